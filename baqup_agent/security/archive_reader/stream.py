"""The bytes of an archive, in blocks and pieces; they are read once and forwards only."""

from __future__ import annotations

from typing import NoReturn, Protocol

from baqup_agent.errors import DataError, IOFailure, describe

#: Bytes of a tar block; headers and contents are padded to a multiple of it.
BLOCK = 512

#: Bytes that are asked of the source at a time.
_READ_BYTES = 256 * 1024

#: Most zero bytes behind the end mark; tar programs fill a record, which is rarely above 10 KiB.
_END_BYTES = 64 * 1024 * 1024


class ByteSource(Protocol):
    """Where an archive comes from; an opened artifact is one."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        ...


class ForwardStream:
    """Cuts what a source gives into blocks and pieces.

    Args:
        source: the stream; it is not closed.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._data = b""
        self._position = 0
        self._read = 0

    @property
    def at(self) -> int:
        """Bytes of the archive that were handed out."""
        return self._read - len(self._data) + self._position

    def take(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end of the archive."""
        position = self._position
        data = self._data[position : position + size]
        self._position = position + len(data)
        return data if len(data) == size else self._gather(data, size)

    def window(self, size: int) -> tuple[bytes, int]:
        """Return what is at hand and where in it the stream stands, taking nothing.

        There are ``size`` bytes from there on, fewer only at the end of the archive.
        """
        while len(self._data) - self._position < size:
            rest = self._data[self._position :]
            if not self._fill():
                self._data = rest
                break
            self._data = rest + self._data
        return self._data, self._position

    def advance(self, size: int) -> None:
        """Pass over some of what `window` returned."""
        self._position += size

    def piece(self, size: int) -> bytes:
        """Return what is at hand, at most ``size`` bytes; none at the end of the archive."""
        position = self._position
        if position == len(self._data):
            self._fill()
            position = 0
        data = self._data
        if position == 0 and len(data) <= size:
            self._position = len(data)
            return data
        data = data[position : position + size]
        self._position = position + len(data)
        return data

    def skip(self, size: int) -> bool:
        """Pass over ``size`` bytes; tell whether the archive had them."""
        if size <= len(self._data) - self._position:  # mostly
            self._position += size
            return True
        while size:
            have = min(len(self._data) - self._position, size)
            self._position += have
            size -= have
            if size and not self._fill():
                return False
        return True

    def check_end(self) -> None:
        """Make sure that nothing hides behind the end mark.

        Raises:
            DataError: something does.
        """
        limit = self.at + _END_BYTES
        while piece := self.piece(_READ_BYTES):
            if piece.count(0) != len(piece):
                raise DataError(
                    f"the archive goes on behind its end mark, before byte {self.at}; "
                    "archives that were joined have to be read one by one"
                )
            if self.at > limit:
                raise DataError(
                    f"the archive goes on behind its end mark for more than {_END_BYTES} bytes; "
                    "take another copy"
                )

    def damaged(self, rule: str) -> NoReturn:
        """Raise a `DataError` that tells the place and the broken rule."""
        raise DataError(
            f"the archive is damaged or cut off near byte {self.at} ({rule}); take another copy"
        )

    def _gather(self, data: bytes, size: int) -> bytes:
        pieces = [data]
        missing = size - len(data)
        while missing and (piece := self.piece(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def _fill(self) -> bool:
        try:
            self._data = self._source.read(_READ_BYTES)
        except OSError as error:
            raise IOFailure(f"the archive cannot be read: {describe(error)}") from error
        self._position = 0
        self._read += len(self._data)
        return bool(self._data)
