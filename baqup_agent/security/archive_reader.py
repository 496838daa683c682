"""Reads an archive's members from a stream, and refuses whatever is not quite right.

The format is parsed by the ``tarfile`` of Python 3.14, on older Pythons by the copy of it in
``backports.zstd``: earlier ones have known holes. It is used for parsing alone. Where it is
lenient, this module is not: a damaged header in mid-stream would be taken for the end of the
archive, extended headers may ask for any amount of memory, times lose their nanoseconds.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, Self, cast

from baqup_agent.errors import BaqupError, DataError, IOFailure, PathEscape, describe
from baqup_agent.security.beneath import Components
from baqup_agent.security.member import MODE_MASK, Kind, Member, printable

if sys.version_info >= (3, 14):
    from tarfile import HeaderError, TarFile, TarInfo
else:
    from backports.zstd.tarfile import HeaderError, TarFile, TarInfo

#: Most bytes of headers that one member may have, its extended headers included.
HEADER_BYTES = 1024 * 1024

_PIECE_BYTES = 256 * 1024
_NS_DIGITS = 9
_ID_LIMIT = 2**32 - 1
_MTIME = re.compile(r"(-?)(\d{1,17})(?:\.(\d*))?", re.ASCII)

#: Type flags of ustar; the two old forms of a file are told apart by no tar program any more.
_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"5": Kind.DIRECTORY,
}


class ByteSource(Protocol):
    """Where an archive comes from; an opened artifact is one."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        ...


class ArchiveReader:
    """The members of an archive, in its order.

    Args:
        source: the stream; it is read to its end and not closed.
        header_bytes: most bytes of headers for one member.

    Iterating raises `DataError` on a damaged archive and `PathEscape` on a name that is absolute
    or contains ``..``.
    """

    def __init__(self, source: ByteSource, header_bytes: int = HEADER_BYTES) -> None:
        self._stream = _ForwardStream(source, header_bytes)
        self._missing = 0

    def __iter__(self) -> Iterator[Member]:
        with _parsing():
            # Reads the first header by itself; `next` hands it out.
            tar = _open(self._stream)
        while True:
            self._stream.begin_header()
            with _parsing():
                info = tar.next()
            if info is None:
                break
            member = _member(info)
            self._missing = member.size
            yield member
        self._stream.check_end()

    def content(self) -> Iterator[bytes]:
        """The content of the member that iteration stands at, in pieces; once only.

        Raises:
            DataError: the archive ends before it.
        """
        while self._missing:
            piece = self._stream.piece(min(self._missing, _PIECE_BYTES))
            if not piece:
                raise DataError("the archive ends in the middle of a file; take another copy")
            self._missing -= len(piece)
            yield piece


class _ForwardStream:
    """A file object for TarFile over a stream that cannot go back."""

    def __init__(self, source: ByteSource, header_bytes: int) -> None:
        self._source = source
        self._header_bytes = header_bytes
        self._allowance = header_bytes
        self._at = 0

    def begin_header(self) -> None:
        """Grant the next member its bytes of headers."""
        self._allowance = self._header_bytes

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes of a header, fewer only at the end."""
        self._allowance -= size
        if self._allowance < 0:
            raise DataError(
                f"a member's headers exceed {self._header_bytes} bytes; "
                "names and attributes take far less"
            )
        pieces: list[bytes] = []
        missing = size
        while missing and (piece := self.piece(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def tell(self) -> int:
        """Bytes read so far."""
        return self._at

    def seek(self, position: int, _whence: int = 0) -> int:
        """Skip forward to ``position``, or to the end if that comes first."""
        if position < self._at:
            raise DataError("a member's size leads backwards in the archive")
        while self._at < position and self.piece(min(position - self._at, _PIECE_BYTES)):
            pass
        return self._at

    def piece(self, size: int) -> bytes:
        """Return what one read gives, at most ``size`` bytes, none at the end."""
        try:
            data = self._source.read(size)
        except OSError as error:
            raise IOFailure(f"the archive cannot be read: {describe(error)}") from error
        self._at += len(data)
        return data

    def check_end(self) -> None:
        """Make sure that nothing hides behind the end mark."""
        while piece := self.piece(_PIECE_BYTES):
            if piece.count(0) != len(piece):
                raise DataError(f"the archive goes on behind its end mark at byte {self._at}")


class _StrictInfo(TarInfo):
    """A header of which TarFile does not pass over the errors in silence."""

    @classmethod
    def fromtarfile(cls, tarfile: TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except HeaderError as error:
            # The end mark is one of these errors, a class that the stubs leave out.
            if type(error).__name__ == "EOFHeaderError":
                raise
            at = cast("_ForwardStream", tarfile.fileobj).tell()
            raise DataError(
                f"the archive is damaged or cut off near byte {at} ({error}); take another copy"
            ) from error


def _open(stream: _ForwardStream) -> TarFile:
    # Only these methods of a file object are called; the stub asks for all of IO[bytes].
    return TarFile(
        fileobj=stream,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        mode="r",
        tarinfo=_StrictInfo,
        encoding="utf-8",
        errors="surrogateescape",
        stream=True,
    )


@contextmanager
def _parsing() -> Iterator[None]:
    """Translate what parsing foreign bytes can raise; tarfile lets many kinds through."""
    try:
        yield
    except (BaqupError, OSError):
        raise
    except Exception as error:
        raise DataError(
            f"the archive cannot be read as tar ({describe(error)}); take another copy"
        ) from error


def _member(info: TarInfo) -> Member:
    name = _bytes(info.name)
    kind = _KINDS.get(info.type)
    if kind is None:
        raise DataError(
            f"member {printable(name)!r} has type {info.type!r}; "
            "an archive holds files, directories and links"
        )
    if info.sparse is not None:
        raise DataError(f"member {printable(name)!r} is sparse; holes are written as zero bytes")
    link = _bytes(info.linkname) if kind in {Kind.SYMLINK, Kind.HARDLINK} else b""
    return Member(
        kind,
        b"/".join(_checked(name)),
        mode=info.mode & MODE_MASK,
        uid=_id(info.uid, name),
        gid=_id(info.gid, name),
        size=info.size if kind is Kind.FILE else 0,
        mtime_ns=_mtime_ns(info, name),
        link=b"/".join(_checked(link)) if kind is Kind.HARDLINK else link,
    )


def _checked(name: bytes) -> Components:
    """Divide a member's name; ``.`` and empty components are dropped.

    Raises:
        PathEscape: it is absolute, or it has a component ``..``.
        DataError: it is empty or has a zero byte.
    """
    if not name or b"\0" in name:
        raise DataError(f"{printable(name)!r} is no name: it is empty or has a zero byte")
    parts = tuple(part for part in name.split(b"/") if part not in {b"", b"."})
    if name.startswith(b"/") or b".." in parts:
        raise PathEscape(
            f"member {printable(name)!r} leaves the target; names are relative and without '..'"
        )
    return parts


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _id(value: int, name: bytes) -> int:
    # The largest number means "leave it" to chown.
    if not 0 <= value < _ID_LIMIT:
        raise DataError(f"member {printable(name)!r} has owner number {value}, which no system has")
    return value


def _mtime_ns(info: TarInfo, name: bytes) -> int:
    """Return the time in nanoseconds; tarfile's own number is a float that has lost some."""
    text = info.pax_headers.get("mtime", str(info.mtime))
    match = _MTIME.fullmatch(text)
    if match is None:
        raise DataError(f"member {printable(name)!r} has modification time {text[:40]!r}")
    sign, seconds, fraction = match.groups()
    nanoseconds = (fraction or "")[:_NS_DIGITS].ljust(_NS_DIGITS, "0")
    value = int(seconds + nanoseconds)
    return -value if sign else value
