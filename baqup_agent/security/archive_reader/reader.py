"""Puts headers together to members, and checks what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from baqup_agent.errors import DataError
from baqup_agent.security.archive_reader import sparse
from baqup_agent.security.archive_reader.block import ID_LIMIT, KINDS, PAX, Block, BlockError, parse
from baqup_agent.security.archive_reader.names import checked
from baqup_agent.security.archive_reader.pax import Records
from baqup_agent.security.archive_reader.quick import QUICK_BYTES, QuickParser
from baqup_agent.security.archive_reader.stream import BLOCK, ByteSource, ForwardStream
from baqup_agent.security.member import MODE_MASK, Extents, Kind, Member, printable

#: Most bytes of headers that one member may have: extended headers, long names, maps of holes.
HEADER_BYTES = 1024 * 1024

_PIECE_BYTES = 1024 * 1024
_END_MARK = bytes(BLOCK)
_NS = 10**9
_TIME_LIMIT_NS = 10**17 * _NS

_OLD_SPARSE = b"S"
_GLOBAL = b"g"
_LONG = {b"L": b"path", b"K": b"linkpath"}
_EXTENSIONS = frozenset({PAX, _GLOBAL, *_LONG})

_NONE: Mapping[bytes, bytes] = MappingProxyType({})


class ArchiveReader:
    """The members of an archive, in its order.

    Args:
        source: the stream; it is read to its end and not closed.
        header_bytes: most bytes of headers for one member.

    Iterating raises `DataError` on a damaged archive, `PathEscape` on a name that is absolute
    or contains ``..``, and `IOFailure` when the source cannot be read.
    """

    def __init__(self, source: ByteSource, header_bytes: int = HEADER_BYTES) -> None:
        self._stream = ForwardStream(source)
        self._header_bytes = header_bytes
        self._allowance = header_bytes
        self._missing = 0
        self._padding = 0
        self._defaults = Records()
        self._quick = QuickParser()
        #: The block that was parsed last, as it stands in the archive.
        self._raw = b""

    def __iter__(self) -> Iterator[Member]:
        while True:
            self._leave_content()
            try:
                member = self._next()
            except BlockError as error:
                self._stream.damaged(str(error))
            if member is None:
                break
            yield member
        self._stream.check_end()

    def content(self) -> Iterator[bytes]:
        """The stored content of the member that iteration stands at, in pieces; once only.

        For a member with extents, these are the bytes of its extents, one after the other.

        Raises:
            DataError: the archive ends before it.
        """
        while piece := self.piece():
            yield piece

    def piece(self) -> bytes:
        """Return the next piece of what `content` hands out; none at its end.

        Raises:
            DataError: the archive ends before it.
        """
        missing = self._missing
        if not missing:
            return b""
        piece = self._stream.piece(min(missing, _PIECE_BYTES))
        if not piece:
            raise _cut_off()
        self._missing = missing - len(piece)
        return piece

    def _leave_content(self) -> None:
        """Pass over what was not asked for, and the padding."""
        rest = self._missing + self._padding
        if rest and not self._stream.skip(rest):
            raise _cut_off()
        self._missing = self._padding = 0

    def _next(self) -> Member | None:
        """Return the next member, None at the end mark."""
        self._allowance = self._header_bytes
        return self._usual() or self._unusual()

    def _usual(self) -> Member | None:
        """Return the next member if it is of the shape that nearly all have, else None."""
        if self._defaults.fields or self._header_bytes < QUICK_BYTES:
            return None
        data, at = self._stream.window(QUICK_BYTES)
        if len(data) - at < QUICK_BYTES:
            return None
        member, taken = self._quick.member(data, at)
        if member is not None:
            self._stream.advance(taken)
            self._missing = size = member.size
            self._padding = -size % BLOCK
        return member

    def _unusual(self) -> Member | None:
        block = self._block()
        if block is None:
            return None
        if block.flag in KINDS:  # nothing extends it
            return self._member(block, self._defaults)
        records = Records()
        while block.flag in _EXTENSIONS:
            self._extend(records, block)
            extended = self._block()
            if extended is None:
                raise BlockError("an extended header without its member")
            block = extended
        return self._member(block, records)

    def _block(self) -> Block | None:
        """Parse the next header block; None at the end mark."""
        self._raw = raw = self._header_block()
        return None if raw == _END_MARK else parse(raw)

    def _header_block(self) -> bytes:
        self._spend(BLOCK)
        raw = self._stream.take(BLOCK)
        if len(raw) < BLOCK:
            raise BlockError("no end mark" if not raw else "half a header")
        return raw

    def _spend(self, size: int) -> None:
        self._allowance -= size
        if self._allowance < 0:
            raise DataError(
                f"a member's headers exceed {self._header_bytes} bytes near byte "
                f"{self._stream.at}; names and attributes take far less"
            )

    def _body(self, block: Block) -> bytes:
        """Return what follows the block of an extended header."""
        whole = block.size + -block.size % BLOCK
        self._spend(whole)
        body = self._stream.take(whole)
        if len(body) < whole:
            raise BlockError("half an extended header")
        return body[: block.size]

    def _extend(self, records: Records, block: Block) -> None:
        """Take in what an extended header says."""
        if block.flag == _GLOBAL:
            self._defaults.add_defaults(self._body(block))
            return
        if block.flag in records.seen:
            raise DataError(
                "the archive cannot be read as tar: a second extended header of type "
                f"{printable(block.flag)!r} for one member near byte {self._stream.at}"
            )
        records.seen.add(block.flag)
        if block.flag == PAX:
            records.add(self._body(block))
        else:
            records.long[_LONG[block.flag]] = _ended(self._body(block))

    def _member(self, block: Block, records: Records) -> Member:
        fields, long = records.fields, records.long
        raw_name = records.sparse.get(b"name", fields.get(b"path", long.get(b"path", block.name)))
        name = checked(raw_name)
        kind = self._kind(block, raw_name)
        try:
            size = records.integer(b"size")
            if size is None:
                size = block.size
            stored, extents = size, None
            if records.sparse or records.pairs or block.flag == _OLD_SPARSE:
                size, stored, extents = self._sparse(block, records, kind, size)
            _check_size(kind, size)
            mtime_ns = self._time(block, records)
            uid = _id(self._number(records, b"uid", block.uid))
            gid = _id(self._number(records, b"gid", block.gid))
        except BlockError as error:
            self._stream.damaged(f"{error}, at member {printable(name)!r}")
        link = b""
        if kind is Kind.SYMLINK or kind is Kind.HARDLINK:
            link = fields.get(b"linkpath", long.get(b"linkpath", block.link))
            if kind is Kind.HARDLINK:
                link = checked(link)
        self._missing = stored
        self._padding = -stored % BLOCK
        mode = block.mode & MODE_MASK
        return Member(
            kind, name, mode, uid, gid, size, mtime_ns, link, records.xattrs or _NONE, extents
        )

    def _kind(self, block: Block, name: bytes) -> Kind:
        if block.flag == _OLD_SPARSE and block.is_gnu:
            return Kind.FILE
        kind = KINDS.get(block.flag)
        if kind is None:
            raise DataError(
                f"member {printable(name)!r} has type {printable(block.flag)!r}; "
                "an archive holds files, directories and links"
            )
        if kind is Kind.FILE and name.endswith(b"/") and name.strip(b"./"):
            raise DataError(
                f"member {printable(name)!r} is a file with a directory's name; "
                "a name's final slash is for directories"
            )
        return kind

    def _sparse(
        self, block: Block, records: Records, kind: Kind, stored: int
    ) -> tuple[int, int, Extents]:
        """Return size, bytes of data and stretches of a file with holes."""
        if kind is not Kind.FILE:
            raise BlockError("a sparse map for what is no file")
        if block.flag == _OLD_SPARSE:
            if records.sparse or records.pairs:
                raise BlockError("two sparse maps")
            size, extents = sparse.old_form(self._raw, stored, self._header_block)
            return size, stored, extents
        return sparse.pax_form(records, stored, self._header_block)

    def _number(self, records: Records, key: bytes, value: int) -> int:
        number = records.integer(key)
        if number is None:
            number = self._defaults.integer(key)
        return value if number is None else number

    def _time(self, block: Block, records: Records) -> int:
        mtime_ns = records.mtime_ns
        if mtime_ns is None:
            mtime_ns = self._defaults.mtime_ns
        if mtime_ns is None:
            mtime_ns = block.mtime_s * _NS
        if abs(mtime_ns) >= _TIME_LIMIT_NS:
            raise BlockError("a modification time out of every range")
        return mtime_ns


def _cut_off() -> DataError:
    return DataError("the archive ends in the middle of a file; take another copy")


def _ended(body: bytes) -> bytes:
    """Return a GNU long name, which ends with a zero byte."""
    name, _, rest = body.partition(b"\0")
    if rest.count(0) != len(rest):
        raise BlockError("a long name with something behind its end")
    return name


def _check_size(kind: Kind, size: int) -> None:
    if not 0 <= size < sparse.SIZE_LIMIT:
        raise BlockError(f"an impossible size of {size} bytes")
    if size and kind is not Kind.FILE:
        raise BlockError(f"a {kind.name} of {size} bytes")


def _id(value: int) -> int:
    # The largest number means "leave it" to chown.
    if not 0 <= value < ID_LIMIT:
        raise BlockError(f"owner number {value}, which no system has")
    return value
