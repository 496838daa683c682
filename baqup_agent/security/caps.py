"""How much an archive may hold before its extraction is given up (Contract §7)."""

from __future__ import annotations

from typing import NamedTuple

from baqup_agent.errors import LimitExceeded
from baqup_agent.security.archive_reader import HEADER_BYTES
from baqup_agent.security.member import Kind, Member, printable

_FILES = "BAQUP_SOURCE_MAX_FILES"
_DEPTH = "BAQUP_SOURCE_MAX_DEPTH"
_BYTES = "BAQUP_TARGET_MAX_BYTES"
_ENTRIES = "BAQUP_TARGET_MAX_ENTRIES"
_NAME = "BAQUP_TARGET_MAX_NAME"


class Limits(NamedTuple):
    """How much an archive may hold; 0 is no limit.

    Attributes:
        max_files: members other than directories.
        max_depth: components of a name.
        max_bytes: content of all files together, holes counted.
        max_entries: members.
        max_name: bytes of a name.
        header_bytes: headers of one member.
    """

    max_files: int = 0
    max_depth: int = 0
    max_bytes: int = 0
    max_entries: int = 0
    max_name: int = 0
    header_bytes: int = HEADER_BYTES


class Caps:
    """Counts members against limits.

    Args:
        limits: what is allowed.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entries = 0
        self._files = 0
        self._bytes = 0

    def admit(self, member: Member) -> None:
        """Count a member.

        Raises:
            LimitExceeded: with it, the archive holds more than is allowed; the message names the
                variable that sets the limit.
        """
        limits = self._limits
        self._entries += 1
        self._files += member.kind is not Kind.DIRECTORY
        self._bytes += member.size
        if limits.max_files and self._files > limits.max_files:
            raise _exceeded(member, f"holds more than {limits.max_files} files", _FILES)
        if limits.max_entries and self._entries > limits.max_entries:
            raise _exceeded(member, f"holds more than {limits.max_entries} entries", _ENTRIES)
        if limits.max_bytes and self._bytes > limits.max_bytes:
            raise _exceeded(member, f"holds more than {limits.max_bytes} bytes", _BYTES)
        if limits.max_name and len(member.name) > limits.max_name:
            raise _exceeded(member, f"has a name of more than {limits.max_name} bytes", _NAME)
        if limits.max_depth and _depth(member.name) > limits.max_depth:
            raise _exceeded(
                member, f"holds more than {limits.max_depth} levels of directories", _DEPTH
            )


def _depth(name: bytes) -> int:
    return name.count(b"/") + 1 if name else 0


def _exceeded(member: Member, what: str, variable: str) -> LimitExceeded:
    name = printable(member.name[-200:])
    return LimitExceeded(f"the archive {what} (at {name!r}); raise {variable} if that is intended")
