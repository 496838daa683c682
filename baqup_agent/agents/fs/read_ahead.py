"""A stream whose next pieces are made ready by a thread of their own.

Decompressing, decrypting and hashing then take place while files are written.
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import BinaryIO, Self

_PIECE_BYTES = 1024 * 1024

#: Pieces that are made ready; what they take of memory is bounded by that.
_PIECES = 4


class ReadAhead:
    """Reads a stream ahead; use it as a context manager.

    Args:
        source: the stream; read by the thread alone until the block ends, and not closed.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._turn = threading.Condition()
        self._ready: deque[bytes | BaseException] = deque()
        self._closed = False
        self._piece = b""
        self._at = 0
        self._thread = threading.Thread(target=self._fill, name="read-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._turn:
            self._closed = True
            self._turn.notify_all()
        self._thread.join()

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end.

        Raises:
            Exception: whatever reading the stream raised.
        """
        if self._at == len(self._piece):
            self._piece, self._at = self._next(), 0
        begin = self._at
        self._at = min(begin + size, len(self._piece))
        return self._piece[begin : self._at]

    def _next(self) -> bytes:
        with self._turn:
            self._turn.wait_for(lambda: self._ready)
            piece = self._ready[0]
            if isinstance(piece, BaseException):
                raise piece
            if piece:  # the end stays where it is
                self._ready.popleft()
                self._turn.notify_all()
            return piece

    def _fill(self) -> None:
        piece: bytes | BaseException = b"?"
        while piece and not isinstance(piece, BaseException):
            try:
                piece = self._source.read(_PIECE_BYTES)
            except BaseException as error:  # noqa: BLE001  raised where the stream is read
                piece = error
            with self._turn:
                self._turn.wait_for(lambda: self._closed or len(self._ready) < _PIECES)
                if self._closed:
                    return
                self._ready.append(piece)
                self._turn.notify_all()
