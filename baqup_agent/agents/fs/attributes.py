"""What an inode holds beside its bytes and its mode: extended attributes, and holes."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from baqup_agent.agents.fs.notes import Note
from baqup_agent.security.member import Extents

#: Stretches of data after which a sparse file's holes are no longer told apart: its map of them
#: is held in memory. What follows is archived with its zero bytes.
MOST_EXTENTS = 16_384

#: Bytes of a block in ``st_blocks``, whatever the filesystem's own are.
_BLOCK = 512

_UNSUPPORTED = frozenset({errno.ENOTSUP, errno.ENOSYS})

_NONE: Mapping[bytes, bytes] = {}


class Xattrs:
    """Reads extended attributes; access control lists are among them.

    Args:
        note: told of attributes that are there and cannot be read.
    """

    def __init__(self, note: Note) -> None:
        self._note = note
        self._without: set[int] = set()  # devices of filesystems that have none

    def of(self, fd: int, found: os.stat_result, name: bytes) -> Mapping[bytes, bytes]:
        """Return the attributes of an open file or directory, by their names.

        Args:
            fd: its descriptor.
            found: its metadata.
            name: its name in the backup.
        """
        if found.st_dev in self._without:
            return _NONE
        try:
            names = os.listxattr(fd)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                self._without.add(found.st_dev)
            else:
                self._note("XATTR_UNREADABLE", name, f"attributes left out: {error.strerror}")
            return _NONE
        return self._values(fd, names, name) if names else _NONE

    def _values(self, fd: int, names: list[str], name: bytes) -> Mapping[bytes, bytes]:
        values: dict[bytes, bytes] = {}
        for key in names:
            try:
                values[os.fsencode(key)] = os.getxattr(fd, key)
            except OSError as error:
                if error.errno != errno.ENODATA:  # removed since they were listed
                    self._note("XATTR_UNREADABLE", name, f"{key!r} left out: {error.strerror}")
        return values


def may_have_holes(found: os.stat_result) -> bool:
    """Whether a file takes less room on disk than its size says."""
    return found.st_blocks * _BLOCK < found.st_size


def extents_of(fd: int, size: int) -> Extents | None:
    """Return where the data of a file lies; None if it has no holes, or if nobody can tell.

    The descriptor's position is back at the beginning afterwards.

    Args:
        fd: the file's descriptor.
        size: bytes of it that count.
    """
    try:
        extents = _extents(fd, size)
    except OSError as error:
        if error.errno not in {errno.EINVAL, *_UNSUPPORTED}:
            raise
        return None  # the filesystem does not tell
    finally:
        os.lseek(fd, 0, os.SEEK_SET)
    return None if extents == ((0, size),) else extents


def _extents(fd: int, size: int) -> Extents:
    found: list[tuple[int, int]] = []
    at = 0
    while at < size:
        start = _seek(fd, at, os.SEEK_DATA)
        if start is None or start >= size:
            break
        full = len(found) + 1 == MOST_EXTENTS
        end = size if full else _seek(fd, start, os.SEEK_HOLE)
        if end is None:  # cut short meanwhile; whoever compares its times tells of it
            break
        at = min(end, size)
        found.append((start, at - start))
    return tuple(found)


def _seek(fd: int, at: int, whence: int) -> int | None:
    """Return where the next data, or the next hole, begins; None if the file ends before."""
    try:
        return os.lseek(fd, at, whence)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None
