"""What the agent tells the controller about single files."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from baqup_agent.contract import EVENT_CODES
from baqup_agent.security.member import printable

if TYPE_CHECKING:
    from baqup_agent import Job

#: Takes an event's code, the name of the file from the tree's root, and a line about it.
Note = Callable[[str, bytes, str], None]

#: Codes of this agent beyond the contract's, with their severity.
OWN_CODES = {
    "MOUNT_POINT_SKIPPED": "info",
    "SPECIAL_FILE_SKIPPED": "info",
    "SYMLINK_REWRITTEN": "info",
    "OWNER_NOT_RESTORED": "warn",
    "SET_ID_CLEARED": "warn",
    "XATTR_UNREADABLE": "warn",
}

_REFUSED = frozenset({errno.EACCES, errno.EPERM})
_REPLACED = frozenset({errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.ENOTDIR, errno.ENODEV})


def notes_of(job: Job[Any]) -> Note:
    """Return what turns notes into events of the job; equal codes are coalesced there."""

    def note(code: str, name: bytes, message: str) -> None:
        severity = OWN_CODES[code] if code in OWN_CODES else EVENT_CODES[code].severity
        path = printable(name) or "."
        job.event(code, severity=severity, message=message, path=path)
        job.log.debug(message, code=code, path=path)

    return note


def note_missed(note: Note, name: bytes, error: OSError) -> bool:
    """Tell why something in the source could not be read, if the backup can do without it.

    Returns:
        Whether it can: access was refused, or the source changed meanwhile. Anything else means
        that the source itself is in trouble.
    """
    if error.errno in _REFUSED:
        note("PERMISSION_DENIED", name, "left out: access refused")
    elif error.errno == errno.ENOENT:
        note("FILE_VANISHED", name, "gone before it was read")
    elif error.errno in _REPLACED:
        note("FILE_CHANGED", name, "left out: it became something else")
    else:
        return False
    return True


def silent(_code: str, _name: bytes, _message: str) -> None:
    """Take a note and tell nobody."""
