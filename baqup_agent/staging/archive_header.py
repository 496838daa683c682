"""The header blocks of an archive member: ustar, with pax records for what ustar cannot hold.

A ustar header is 512 bytes of fixed fields. Names beyond its 100 + 155 bytes, times with
nanoseconds or before 1970, contents of 8 GiB and more and large owner numbers stand in a pax
extended header before it, a small file of ``length key=value`` lines. Names go in as raw bytes
everywhere: a name that is no UTF-8 is legal on disk, and tar programs take it as it is.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from struct import Struct

from baqup_agent.security.member import MODE_MASK, Kind, Member

#: Bytes of a tar block; headers and contents are padded to a multiple of it.
BLOCK = 512

_NAME_BYTES = 100
_PREFIX_BYTES = 155
_LINK_BYTES = 100
_ID_LIMIT = 8**7
_SIZE_LIMIT = 8**11
_NS = 10**9

# name, numbers (mode, uid, gid, size, mtime), checksum, type, link, magic and version, the owner's
# and the group's names (left empty: numbers are exact, names belong to one machine), two device
# numbers, prefix; short values are filled up with zero bytes.
_LAYOUT = Struct("100s48s8sc100s8s64x8s8s155s12x")
_NUMBERS = b"%07o\0%07o\0%07o\0%011o\0%011o"
_MAGIC = b"ustar\00000"
_NO_DEVICE = b"0000000"
_BLANK_CHECKSUM = b" " * 8
_CHECKSUM_AT = 148
_PAX_TYPE = b"x"
_PAX_NAME = b"././@PaxHeader"


def header(member: Member) -> bytes:
    """Return the blocks that announce a member: one block, or three and more with pax records."""
    name, link = _archived(member)
    records: list[bytes] = []
    prefix, rest = _split(name)
    if rest is None:
        records.append(_record(b"path", name))
        # In old tar formats a name with a slash at its end is a directory's.
        rest = name[:_NAME_BYTES].rstrip(b"/")
    if len(link) > _LINK_BYTES:
        records.append(_record(b"linkpath", link))
        link = link[:_LINK_BYTES]
    size = _limited(records, b"size", member.size, _SIZE_LIMIT)
    uid = _limited(records, b"uid", member.uid, _ID_LIMIT)
    gid = _limited(records, b"gid", member.gid, _ID_LIMIT)
    seconds, fraction = divmod(member.mtime_ns, _NS)
    if fraction or not 0 <= seconds < _SIZE_LIMIT:
        records.append(_record(b"mtime", _decimal(member.mtime_ns)))
        seconds = min(max(seconds, 0), _SIZE_LIMIT - 1)
    numbers = (member.mode & MODE_MASK, uid, gid, size, seconds)
    block = _block(member.kind.value, rest, prefix, link, numbers)
    if not records:
        return block
    extended = b"".join(records)
    return b"%b%b%b%b" % (_pax_block(len(extended)), extended, padding(len(extended)), block)


def padding(size: int) -> bytes:
    """Return the zero bytes that fill ``size`` bytes up to whole blocks."""
    return bytes(-size % BLOCK)


def _archived(member: Member) -> tuple[bytes, bytes]:
    """Write names as tar programs do: relative to ``./``, directories with a final slash."""
    name, link = b"./" + member.name, member.link
    if member.kind is Kind.DIRECTORY and member.name:
        name += b"/"
    elif member.kind is Kind.HARDLINK:
        link = b"./" + link
    return name, link


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """Divide a name into ustar's prefix and name; the latter is None when it does not fit."""
    if len(name) <= _NAME_BYTES:
        return b"", name
    # The shortest prefix that leaves at most 100 bytes; a final slash is no place to cut.
    cut = name.find(b"/", len(name) - _NAME_BYTES - 1, len(name) - 1)
    if 0 < cut <= _PREFIX_BYTES:
        return name[:cut], name[cut + 1 :]
    return b"", None


def _limited(records: list[bytes], key: bytes, value: int, limit: int) -> int:
    """Return what the fixed field holds: the value, or 0 beside a pax record."""
    if 0 <= value < limit:
        return value
    records.append(_record(key, b"%d" % value))
    return 0


def _decimal(mtime_ns: int) -> bytes:
    seconds, fraction = divmod(abs(mtime_ns), _NS)
    return b"%b%d.%09d" % (b"-" if mtime_ns < 0 else b"", seconds, fraction)


def _record(key: bytes, value: bytes) -> bytes:
    """Return ``length key=value``; the length counts its own digits."""
    body = b" %b=%b\n" % (key, value)
    length = len(body) + len(str(len(body)))
    length = len(body) + len(str(length))
    return b"%d%b" % (length, body)


@lru_cache(maxsize=1024)
def _pax_block(size: int) -> bytes:
    """Return the header of an extended header of ``size`` bytes; few sizes ever occur."""
    return _block(_PAX_TYPE, _PAX_NAME, b"", b"", (0o644, 0, 0, size, 0))


def _block(
    kind: bytes, name: bytes, prefix: bytes, link: bytes, numbers: tuple[int, int, int, int, int]
) -> bytes:
    """Return one header block; ``numbers`` are mode, uid, gid, size and mtime in seconds."""
    block = _LAYOUT.pack(
        name,
        _NUMBERS % numbers,
        _BLANK_CHECKSUM,
        kind,
        link,
        _MAGIC,
        _NO_DEVICE,
        _NO_DEVICE,
        prefix,
    )
    # Adler-32 begun at 0 holds the plain sum in its low half as long as that stays below 65521;
    # 256 bytes of at most 255 do, and a sum in Python costs twenty times as much.
    total = (zlib.adler32(block[:256], 0) & 0xFFFF) + (zlib.adler32(block[256:], 0) & 0xFFFF)
    return b"%b%06o\0 %b" % (block[:_CHECKSUM_AT], total, block[_CHECKSUM_AT + 8 :])
