"""The two ends of a child's pipes that need a thread: what feeds it, what hears its last words."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from typing import Self

#: Most bytes that a pipe can hold when its writer ends, as far as an ordinary user can set it.
PIPE_BYTES = 1024 * 1024

#: Bytes of a child's stderr that are kept for the error: its end, where the reason stands.
STDERR_KEPT_BYTES = 64 * 1024

#: Bytes at the beginning of a cut stderr that are given up in search of a whole line, since half a
#: secret could stand there that nobody would recognise.
_TORN_BYTES = 16 * 1024

_CHUNK_BYTES = 1024 * 1024

#: Milliseconds after which a thread for which nothing happens looks whether it must stop.
_LOOK_MS = 100

#: Longest wait for a thread at its end on a machine that is overloaded, seconds.
_PATIENCE_S = 30.0


def _started(target: Callable[[int], None], stream: Any, name: str) -> threading.Thread:
    """Start a thread that gets, and closes, a descriptor of its own for a pipe's end.

    If others closed it, the thread would go on with a number that by then means another file; and
    they would wait, since a stream cannot be closed while a thread writes to it.
    """
    fd = os.dup(stream.fileno())
    thread = threading.Thread(target=target, args=(fd,), name=name, daemon=True)
    try:
        thread.start()
    except BaseException:
        os.close(fd)
        raise
    stream.close()
    return thread


class StdinFeeder:
    """Writes a child's stdin in a thread, so that a child that does not read cannot block.

    A context manager, to be left when the child has ended: nothing is fed any more then, although
    a grandchild may hold the other end, and need not read.

    Args:
        stream: the child's stdin; it is closed at once, the thread has a descriptor of its own.
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
        self._source: Any = BytesIO(content) if isinstance(content, bytes) else content
        self._ended = threading.Event()
        self._thread = _started(self._feed, stream, "child-stdin")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # an error of others cuts its input short just as well
            self._give_up()
        self._ended.set()

    def _feed(self, fd: int) -> None:
        try:
            os.set_blocking(fd, False)  # this end alone; the child's own blocks as ever
            while piece := self._piece():
                self._write(fd, piece)
        except OSError:
            pass  # the child ended without reading all: its choice
        finally:
            os.close(fd)

    def _write(self, fd: int, piece: bytes) -> None:
        look = select.poll()
        look.register(fd, select.POLLOUT)
        rest = memoryview(piece)
        while rest:
            if self._ended.is_set():
                raise BrokenPipeError
            if look.poll(_LOOK_MS):
                with contextlib.suppress(BlockingIOError):  # anything else would cut it short
                    rest = rest[os.write(fd, rest) :]

    def _piece(self) -> bytes:
        try:
            return bytes(self._source.read(_CHUNK_BYTES))
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
    """Reads a stream to its end in a thread and keeps the last part.

    A context manager, after which nothing is read any more.

    Args:
        stream: the child's stderr; it is closed at once, the thread has a descriptor of its own.
    """

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._pieces: deque[bytes] = deque()
        self._kept = 0
        self._cut = False
        self._ended = threading.Event()
        self._thread = _started(self._read, stream, "child-stderr")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _read(self, fd: int) -> None:
        try:
            self._listen(fd)
        finally:
            os.close(fd)

    def _listen(self, fd: int) -> None:
        look = select.poll()
        look.register(fd, select.POLLIN)
        late_bytes = 0
        with contextlib.suppress(OSError):
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

    def _end(self) -> None:
        self._ended.set()
        self._thread.join(_PATIENCE_S)  # it looks up soon, and reads no more than a pipe's worth

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
        self._end()
        kept = b"".join(self._pieces)
        if self._cut or len(kept) > STDERR_KEPT_BYTES + _TORN_BYTES:
            kept = kept[-STDERR_KEPT_BYTES - _TORN_BYTES :]
            line_end = kept.find(b"\n", 0, _TORN_BYTES)
            kept = kept[line_end + 1 if line_end >= 0 else _TORN_BYTES :]
        return kept.decode("utf-8", "surrogateescape")
