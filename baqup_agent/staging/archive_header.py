"""The header blocks of an archive member: ustar, with pax records for what ustar cannot hold.

A ustar header is 512 bytes of fixed fields. Names beyond its 100 + 155 bytes, times with
nanoseconds or before 1970, contents of 8 GiB and more, large owner numbers, extended attributes
and the holes of a file stand in a pax extended header before it, a small file of
``length key=value`` lines. Names go in as raw bytes everywhere: a name that is no UTF-8 is legal
on disk. Where pax demands UTF-8 of it, the record ``hdrcharset`` says that it is none: without
that bsdtar complains; GNU tar takes the bytes either way, and only warns of a word it ignores.

Nearly every real file needs a record for its nanoseconds and no other, so this case is cheap.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from struct import Struct

from baqup_agent.errors import DataError
from baqup_agent.security.archive_reader import HEADER_BYTES
from baqup_agent.security.member import MODE_MASK, Kind, Member, printable
from baqup_agent.staging.archive_acl import in_words
from baqup_agent.staging.archive_sparse import sparse_map

#: Bytes of a tar block; headers and contents are padded to a multiple of it.
BLOCK = 512

_NAME_BYTES = 100
_PREFIX_BYTES = 155
_LINK_BYTES = 100
_ID_LIMIT = 8**7
_SIZE_LIMIT = 8**11
_NS = 10**9

# A block is its head (name, mode, owner, group, size, time), the checksum, and its tail (type,
# link, magic and version, the owner's and the group's names, two device numbers, prefix). Short
# values are filled up with zero bytes. The names of owners stay empty: numbers are exact, names
# belong to one machine.
_OWNER = b"%07o\0%07o\0%07o\0"
_HEAD = b"%b%b%011o\0%011o\0"
_BLOCK = b"%b%06o\0 %b"
_TAIL = Struct("c100s8s64x8s8s155s12x")
_MAGIC = b"ustar\00000"
_NO_DEVICE = b"0000000"
#: While it is taken, the checksum counts as eight spaces.
_CHECKSUM_SUM = 8 * ord(" ")
_PAX_TYPE = b"x"
_PAX_NAME = b"././@PaxHeader"

#: Seconds of ten digits that ustar can hold: from 2001 to 2242. Their records have one length.
_TEN_DIGITS = (10**9, _SIZE_LIMIT)
_TIME_RECORD = b"30 mtime=%d.%09d\n"
_TIME_RECORD_BYTES = 30

#: What a reader of ours grants a member, less its other headers.
_RECORDS_LIMIT = HEADER_BYTES - 16 * BLOCK


def header(member: Member) -> bytes:
    """Return the blocks that announce a member: one block, or three and more with pax records.

    Those of a file with holes end with the map of its data.

    Raises:
        DataError: the member's attributes need more room than readers grant.
    """
    kind, name, mode, uid, gid, size, mtime_ns, link, xattrs, extents = member
    if xattrs or extents is not None or link or not name:
        return _extended(member)
    flag = kind._value_  # the public name of it is a property, and ten times as slow
    name = b"./" + name if kind is not Kind.DIRECTORY else b"./%b/" % name
    seconds, fraction = divmod(mtime_ns, _NS)
    if (
        len(name) > _NAME_BYTES
        or not _TEN_DIGITS[0] <= seconds < _TEN_DIGITS[1]
        or size >= _SIZE_LIMIT
    ):
        return _extended(member)
    try:
        owner, tail, total = _same(flag, mode, uid, gid)
    except ValueError:  # numbers that its fields do not hold
        return _extended(member)
    name = name.ljust(_NAME_BYTES, b"\0")
    head = _HEAD % (name, owner, size, seconds)
    total += zlib.adler32(head, 0) & 0xFFFF
    if not fraction:
        return _BLOCK % (head, total, tail)
    return _TIMED_BLOCK % (seconds, fraction, head, total, tail)


def padding(size: int) -> bytes:
    """Return the zero bytes that fill ``size`` bytes up to whole blocks."""
    return bytes(-size % BLOCK)


def _extended(member: Member) -> bytes:
    """Return the blocks of any member, be ustar's fields too small for it or not."""
    name, link = _archived(member)
    records: list[bytes] = []
    size, after = member.size, b""
    if member.extents is not None:
        after = sparse_map(member.extents, member.size)
        size = len(after) + member.stored_bytes
        records += _sparse_records(name, member.size)
        name = _sparse_name(name)
    prefix, rest = _split(name)
    if rest is None:
        records.append(_record(b"path", name))
        # In old tar formats a name with a slash at its end is a directory's.
        rest = name[:_NAME_BYTES].rstrip(b"/")
    if len(link) > _LINK_BYTES:
        records.append(_record(b"linkpath", link))
        link = link[:_LINK_BYTES]
    if records and not _is_utf8(b"".join(records)):
        records.insert(0, _record(b"hdrcharset", b"BINARY"))
    size = _limited(records, b"size", size, _SIZE_LIMIT)
    uid = _limited(records, b"uid", member.uid, _ID_LIMIT)
    gid = _limited(records, b"gid", member.gid, _ID_LIMIT)
    seconds, fraction = divmod(member.mtime_ns, _NS)
    if fraction or not 0 <= seconds < _SIZE_LIMIT:
        records.append(_record(b"mtime", _decimal(member.mtime_ns)))
        seconds = min(max(seconds, 0), _SIZE_LIMIT - 1)
    records += [_record(_xattr_key(key), value) for key, value in member.xattrs.items()]
    records += [_record(key, words) for key, words in in_words(member.xattrs).items()]
    owner = _owner(member.mode, uid, gid)
    block = _block(member.kind.value, rest, prefix, link, owner, size, seconds)
    if not records:
        return block
    extended = b"".join(records)
    if len(extended) + len(after) > _RECORDS_LIMIT:
        raise DataError(
            f"{printable(member.name)!r} has {len(extended) + len(after)} bytes of names and "
            f"attributes; an archive takes at most {_RECORDS_LIMIT} for one member"
        )
    return b"".join((_pax_block(len(extended)), extended, padding(len(extended)), block, after))


def _archived(member: Member) -> tuple[bytes, bytes]:
    """Write names as tar programs do: relative to ``./``, directories with a final slash."""
    name, link = b"./" + member.name, member.link
    if member.kind is Kind.DIRECTORY and member.name:
        name += b"/"
    elif member.kind is Kind.HARDLINK:
        link = b"./" + link
    return name, link


def _sparse_records(name: bytes, size: int) -> list[bytes]:
    """GNU tar's records of a sparse file, version 1.0: the map stands before the data."""
    return [
        _record(b"GNU.sparse.major", b"1"),
        _record(b"GNU.sparse.minor", b"0"),
        _record(b"GNU.sparse.name", name),
        _record(b"GNU.sparse.realsize", b"%d" % size),
    ]


def _sparse_name(name: bytes) -> bytes:
    """The name that a program without knowledge of sparse files gives what it finds."""
    return b"./GNUSparseFile.0/" + name.rpartition(b"/")[2][: _NAME_BYTES // 2]


def _xattr_key(name: bytes) -> bytes:
    # The first equals sign of a record ends its key; GNU tar escapes them in this way.
    return b"SCHILY.xattr." + name.replace(b"%", b"%25").replace(b"=", b"%3D")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


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
    return _block(_PAX_TYPE, _PAX_NAME, b"", b"", _owner(0o644, 0, 0), size, 0)


@lru_cache(maxsize=1024)
def _owner(mode: int, uid: int, gid: int) -> bytes:
    """Return the fields that most files of a tree have in common."""
    return _OWNER % (mode & MODE_MASK, uid, gid)


@lru_cache(maxsize=1024)
def _same(flag: bytes, mode: int, uid: int, gid: int) -> tuple[bytes, bytes, int]:
    """Return what most members have in common: owner, tail, and what the latter adds to the sum.

    Raises:
        ValueError: the numbers take more digits than ustar has for them.
    """
    if not (0 <= uid < _ID_LIMIT and 0 <= gid < _ID_LIMIT):
        raise ValueError(f"owner {uid}:{gid}")
    return _owner(mode, uid, gid), *_tail(flag, b"", b"")


@lru_cache(maxsize=1024)
def _tail(kind: bytes, link: bytes, prefix: bytes) -> tuple[bytes, int]:
    """Return a block from its type on, and what it and the checksum's place add to the sum."""
    tail = _TAIL.pack(kind, link, _MAGIC, _NO_DEVICE, _NO_DEVICE, prefix)
    return tail, sum(tail) + _CHECKSUM_SUM


def _block(
    kind: bytes, name: bytes, prefix: bytes, link: bytes, owner: bytes, size: int, seconds: int
) -> bytes:
    """Return one header block; ``owner`` is what `_owner` makes of mode, uid and gid."""
    head = _HEAD % (name.ljust(_NAME_BYTES, b"\0"), owner, size, seconds)
    tail, total = _tail(kind, link, prefix)
    # Adler-32 begun at 0 holds the plain sum in its low half as long as that stays below 65521;
    # 148 bytes of at most 255 do, and a sum in Python costs twenty times as much.
    return _BLOCK % (head, total + (zlib.adler32(head, 0) & 0xFFFF), tail)


#: A member's block behind the pax header with its nanoseconds, made in one go.
_TIMED_BLOCK = (
    _pax_block(_TIME_RECORD_BYTES) + _TIME_RECORD + bytes(BLOCK - _TIME_RECORD_BYTES) + _BLOCK
)
