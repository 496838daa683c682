"""Files with several names: the first name carries the content, the others refer to it."""

from __future__ import annotations

import os
from typing import NamedTuple

from baqup_agent.agents.fs.notes import Note


class _First(NamedTuple):
    """The name that carries a file's content, and what tells the file from its successors."""

    name: bytes
    missing: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def is_still(self, found: os.stat_result) -> bool:
        """Whether what is found under the same number is what was archived.

        A filesystem gives the number of a file that is gone to the next one, and builds stamp all
        they make with the same time of modification; the time of change nobody sets at will. It
        also changes when only a name came or went: then a copy too many is the price.
        """
        return (
            self.ctime_ns == found.st_ctime_ns
            and self.mtime_ns == found.st_mtime_ns
            and self.size == found.st_size
        )


class HardLinks:
    """The multiply named files of a source, by identity, until all their names were met.

    Each takes some 320 bytes and its name while others of its names are to come: 35 MB per 100,000
    files. One of which a name lies outside the source, or is excluded, is kept to the end of the
    walk. A source of many such files, say one of several generations of backups that share their
    files by hard links, needs that much memory.

    Args:
        note: told of a file that changed, or became another one, between two of its names.
    """

    def __init__(self, note: Note) -> None:
        self._note = note
        self._first: dict[int, _First] = {}

    def __len__(self) -> int:
        return len(self._first)

    def earlier(self, found: os.stat_result, name: bytes) -> bytes | None:
        """Return the name under which a file was archived already, None if it was not.

        Args:
            found: its metadata.
            name: the name under which it was met now.
        """
        if found.st_nlink < 2:  # noqa: PLR2004  a file has one name at least
            return None
        key = _key(found)
        first = self._first.pop(key, None)
        if first is None:
            return None
        if not first.is_still(found):
            self._note("FILE_CHANGED", name, "archived anew: it is not what its other name held")
            return None
        if first.missing > 1:
            self._first[key] = first._replace(missing=first.missing - 1)
        return first.name

    def archived(self, found: os.stat_result, name: bytes) -> None:
        """Remember a file's first name while others are to come.

        Args:
            found: its metadata from before it was read: what came after is not in the backup.
            name: the name.
        """
        if found.st_nlink > 1:
            self._first[_key(found)] = _First(
                name, found.st_nlink - 1, found.st_size, found.st_mtime_ns, found.st_ctime_ns
            )


def _key(found: os.stat_result) -> int:
    # One number instead of a pair of them: it is the table's size that counts.
    return found.st_dev << 64 | found.st_ino
