"""The two ends of a child's pipes that need a thread: what feeds it, what hears its last words."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from io import BytesIO
from typing import IO, Any, BinaryIO

#: Most bytes that a pipe can hold when its writer ends, as far as an ordinary user can set it.
PIPE_BYTES = 1024 * 1024

#: Bytes of a child's stderr that are kept for the error: its end, where the reason stands.
STDERR_KEPT_BYTES = 64 * 1024

#: Bytes at the beginning of a cut stderr that are given up in search of a whole line, since half a
#: secret could stand there that nobody would recognise.
_TORN_BYTES = 16 * 1024

_CHUNK_BYTES = 1024 * 1024

#: Milliseconds after which a reader of stderr that has nothing to read looks up.
_LOOK_MS = 100

#: Longest wait for a thread at its end on a machine that is overloaded, seconds.
_PATIENCE_S = 30.0


class StdinFeeder:
    """Writes a child's stdin in a thread, so that a child that does not read cannot block.

    Args:
        stream: the child's stdin.
        content: what to write: bytes, or anything that is read from.
        give_up: ends the child where the content cannot be read: closing its stdin would tell it
            that this was all, and it might take half a dump for a whole one.

    Attributes:
        failure: why the content could not be read to its end; None while it can.
    """

    def __init__(
        self,
        stream: IO[bytes] | None,
        content: bytes | BinaryIO | IO[bytes],
        give_up: Callable[[], None],
    ) -> None:
        self.failure: BaseException | None = None
        self._give_up = give_up
        source = BytesIO(content) if isinstance(content, bytes) else content
        self._thread = threading.Thread(
            target=self._write, args=(stream, source), name="child-stdin", daemon=True
        )
        self._thread.start()

    def _write(self, stream: Any, source: Any) -> None:
        with contextlib.suppress(OSError, ValueError):  # it ended without reading all: its choice
            while piece := self._piece(source):
                stream.write(piece)
            stream.close()

    def _piece(self, source: Any) -> bytes:
        try:
            return bytes(source.read(_CHUNK_BYTES))
        except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
            self.failure = error
            self._give_up()
            return b""

    def finish(self) -> None:
        """Raise what kept the content from being read; to be called when the child has ended."""
        self._thread.join(_PATIENCE_S)
        if self.failure is not None:
            raise self.failure


class StderrTail:
    """Reads a stream to its end in a thread and keeps the last part."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._pieces: deque[bytes] = deque()
        self._kept = 0
        self._cut = False
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._read, args=(stream,), name="child-stderr", daemon=True
        )
        self._thread.start()

    def _read(self, stream: Any) -> None:
        fd = stream.fileno()
        look = select.poll()
        look.register(fd, select.POLLIN)
        late_bytes = 0
        with contextlib.suppress(OSError, ValueError):
            while late_bytes < PIPE_BYTES:
                ended = self._ended.is_set()  # before the look, which then sees all the child wrote
                if look.poll(_LOOK_MS):
                    piece = os.read(fd, _CHUNK_BYTES)
                    if not piece:
                        return
                    self._keep(piece)
                    late_bytes += len(piece) if ended else 0
                elif ended:
                    return

    def _keep(self, piece: bytes) -> None:
        most = STDERR_KEPT_BYTES + _TORN_BYTES
        self._cut |= len(piece) > most
        self._pieces.append(piece[-most:])
        self._kept += len(self._pieces[-1])
        while self._kept - len(self._pieces[0]) >= most:
            self._kept -= len(self._pieces.popleft())
            self._cut = True

    def text(self) -> str:
        """What was kept, whole lines as far as there are any; odd bytes are surrogates.

        To be called when the child has ended: all that it wrote is read, and a grandchild that
        holds the stream open, or goes on writing, is not waited for.
        """
        self._ended.set()
        self._thread.join(_PATIENCE_S)
        kept = b"".join(self._pieces)
        if self._cut or len(kept) > STDERR_KEPT_BYTES + _TORN_BYTES:
            kept = kept[-STDERR_KEPT_BYTES - _TORN_BYTES :]
            line_end = kept.find(b"\n", 0, _TORN_BYTES)
            kept = kept[line_end + 1 if line_end >= 0 else _TORN_BYTES :]
        return kept.decode("utf-8", "surrogateescape")
