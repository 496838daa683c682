"""One header block: its fields, its numbers and its checksum.

Most blocks of an archive differ from the one before in name, size and time only, so the rest is
kept parsed. A checksum is a sum of bytes; see `baqup_agent.staging.archive_header` for how it is
taken quickly.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from baqup_agent.security.member import Kind

_POSIX_MAGIC = b"ustar\00000"
_GNU_MAGIC = b"ustar  \0"

# name, owner (mode, uid, gid), size, time, checksum, and the tail from the type on
_LAYOUT = Struct("100s24s12s12s8s356s")
_HEAD_BYTES = 148

# type, link, magic and version, names of owner and group, two device numbers, prefix
_TAIL_LAYOUT = Struct("c100s8s80x155s12x")

#: Type flags; the two old forms of a file are told apart by no tar program any more.
KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"5": Kind.DIRECTORY,
}

#: The type of an extended header of pax.
PAX = b"x"

#: Owners' numbers stay below: the largest number means "leave it" to chown.
ID_LIMIT = 2**32 - 1

#: While it is taken, the checksum counts as eight spaces.
_CHECKSUM_SUM = 8 * ord(" ")

_POSITIVE = 0x80
_NEGATIVE = 0xFF


class BlockError(ValueError):
    """A block is not as tar programs write it; the text tells the rule."""


class Block(NamedTuple):
    """A header block.

    Attributes:
        flag: the type, one byte.
        name: with its prefix, raw.
        link: raw.
        mode: as it stands.
        uid: the owner's number, possibly negative.
        gid: the group's number, possibly negative.
        size: bytes of what follows, at least 0.
        mtime_s: seconds since the epoch, possibly negative.
        is_gnu: whether it is one of old GNU tar's.
    """

    flag: bytes
    name: bytes
    link: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_s: int
    is_gnu: bool


def parse(data: bytes, at: int = 0) -> Block:
    """Return the fields of the block of 512 bytes that begins ``at`` a place in ``data``.

    Raises:
        BlockError: its checksum, magic or numbers are wrong.
    """
    name, owner, size_field, time_field, checksum, rest = _LAYOUT.unpack_from(data, at)
    flag, link, prefix, is_gnu, total = _tail(rest)
    total += zlib.adler32(data[at : at + _HEAD_BYTES], 0) & 0xFFFF
    if checksum != b"%06o\0 " % total and number(checksum) != total:
        raise BlockError("bad checksum of a header")
    size = number(size_field)
    if size < 0:
        raise BlockError("a negative size")
    name = name.split(b"\0", 1)[0]
    if prefix:
        name = prefix + b"/" + name
    mode, uid, gid = _owner(owner)
    # Calling the class runs a function of Python, which takes three times as long.
    return tuple.__new__(
        Block, (flag, name, link, mode, uid, gid, size, number(time_field), is_gnu)
    )


def number(field: bytes) -> int:
    """Return a number in octal digits, or in GNU tar's binary form.

    Raises:
        BlockError: it is neither.
    """
    text = field.strip(b" \0")
    if text.isdigit():  # of bytes, this asks for ASCII digits
        try:
            return int(text, 8)
        except ValueError as error:
            raise BlockError("a number that is not octal") from error
    if not text:
        return 0
    if field[0] == _POSITIVE:
        return int.from_bytes(field[1:], "big")
    if field[0] == _NEGATIVE:
        return int.from_bytes(field, "big", signed=True)
    raise BlockError("a number that is not octal")


@lru_cache(maxsize=1024)
def _owner(fields: bytes) -> tuple[int, int, int]:
    """Return mode, uid and gid, which most files of a tree have in common."""
    return number(fields[:8]), number(fields[8:16]), number(fields[16:])


@lru_cache(maxsize=512)
def _tail(data: bytes) -> tuple[bytes, bytes, bytes, bool, int]:
    """Return type, link, prefix, whether it is GNU tar's, and what it adds to the checksum."""
    flag, link, magic, prefix = _TAIL_LAYOUT.unpack(data)
    is_gnu = magic == _GNU_MAGIC
    if not is_gnu and magic != _POSIX_MAGIC:
        raise BlockError("a header without the mark of ustar")
    return (
        flag,
        link.split(b"\0", 1)[0],
        # Old GNU tar keeps other things in this place.
        b"" if is_gnu else prefix.split(b"\0", 1)[0],
        is_gnu,
        sum(data) + _CHECKSUM_SUM,
    )
