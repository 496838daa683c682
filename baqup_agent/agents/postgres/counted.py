"""A stream that counts what is read from it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Counted(io.RawIOBase):
    """Reads another stream.

    Args:
        stream: what is read.

    Attributes:
        bytes_out: bytes that were read so far.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.bytes_out = 0
        self._stream = stream

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer; return 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self.bytes_out += len(data)
        return len(data)
