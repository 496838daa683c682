"""Files with several names: the first name carries the content, the others refer to it."""

from __future__ import annotations

import os


class HardLinks:
    """The multiply named files of a source, by identity, until all their names were met."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, int], bytes] = {}
        self._missing: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._first)

    def earlier(self, found: os.stat_result) -> bytes | None:
        """Return the name under which a file was archived already, None if it was not."""
        if found.st_nlink < 2:  # noqa: PLR2004  a file has one name at least
            return None
        key = (found.st_dev, found.st_ino)
        name = self._first.get(key)
        if name is not None:
            self._missing[key] -= 1
            if self._missing[key] == 0:
                del self._first[key], self._missing[key]
        return name

    def archived(self, found: os.stat_result, name: bytes) -> None:
        """Remember a file's first name while others are to come."""
        if found.st_nlink > 1:
            key = (found.st_dev, found.st_ino)
            self._first[key] = name
            self._missing[key] = found.st_nlink - 1
