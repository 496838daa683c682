"""One member of an archive, as the writer is given it and the reader hands it out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

#: Bits of a mode that an archive keeps: permissions, set-id bits and the sticky bit.
MODE_MASK = 0o7777

#: The bits that make a program run as its owner or group.
SET_ID_MASK = 0o6000


#: Where the data of a sparse file lies: pairs of an offset and a length, in bytes, ascending.
Extents = tuple[tuple[int, int], ...]

_NO_XATTRS: Mapping[bytes, bytes] = MappingProxyType({})


class Kind(Enum):
    """What a member is; the value is its type flag in a ustar header."""

    FILE = b"0"
    HARDLINK = b"1"
    SYMLINK = b"2"
    DIRECTORY = b"5"


class Member(NamedTuple):
    """A member's header, free of any archive format.

    Attributes:
        kind: what it is.
        name: its path from the tree's root, raw bytes, joined by ``/``; empty for the root.
        mode: permission, set-id and sticky bits.
        uid: the owner's number.
        gid: the group's number.
        size: bytes of content, holes included; 0 for everything but files.
        mtime_ns: modification time in nanoseconds since the epoch, possibly negative.
        link: a symbolic link's text as it is, or the ``name`` a hard link stands for.
        xattrs: extended attributes by their full names; access lists are among them, as
            ``system.posix_acl_access`` and ``system.posix_acl_default``.
        extents: where the data of a file with holes lies; None for a file without.
    """

    kind: Kind
    name: bytes
    mode: int = 0o600
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    xattrs: Mapping[bytes, bytes] = _NO_XATTRS
    extents: Extents | None = None

    @property
    def path(self) -> tuple[bytes, ...]:
        """The components of ``name``."""
        return split(self.name)

    @property
    def stored_bytes(self) -> int:
        """Bytes of content that an archive holds: those outside of the holes."""
        if self.extents is None:
            return self.size
        return sum(length for _, length in self.extents)


def split(name: bytes) -> tuple[bytes, ...]:
    """Return the components of a name; none for the root."""
    return tuple(name.split(b"/")) if name else ()


def printable(name: bytes) -> str:
    """Return a name fit for messages; bytes that are no UTF-8 are written as escapes."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
