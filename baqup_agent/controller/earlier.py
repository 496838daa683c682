"""What an earlier run of the same job left, told apart from what ours leaves."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import frozen

from baqup_agent.contract import MANIFEST_NAME, ORPHAN_STATUS_NAME
from baqup_agent.controller.observe import Message, decode_message

#: Longest orphan status that is read, bytes.
_MAX_ORPHAN_BYTES = 16 * 1024 * 1024


@frozen
class Earlier:
    """What was there before ours began.

    Attributes:
        manifest: whether a manifest was published already.
        orphan: inode and time of an orphan status, if there was one.
    """

    manifest: bool
    orphan: tuple[int, int] | None

    @classmethod
    def look(cls, directory: Path) -> Earlier:
        """Look at a job's directory, which need not exist."""
        return cls(os.path.lexists(directory / MANIFEST_NAME), _identity(directory))

    def newer_orphan(self, directory: Path, job_id: str) -> Message | None:
        """Return the orphan status that our run left, if it left one (Contract §3)."""
        if _identity(directory) in (None, self.orphan):
            return None
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(directory / ORPHAN_STATUS_NAME, flags)
            with os.fdopen(descriptor, "rb") as file:
                message = decode_message(file.read(_MAX_ORPHAN_BYTES), job_id)
        except OSError:
            return None
        return message if message is not None and message["type"] == "status" else None


def _identity(directory: Path) -> tuple[int, int] | None:
    try:
        found = (directory / ORPHAN_STATUS_NAME).lstat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
