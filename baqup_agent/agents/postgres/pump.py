"""A pipe that a child reads from, filled from a stream that is no file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, BinaryIO

from baqup_agent.errors import classify

_PIECE_BYTES = 1 << 20


class Pump:
    """Copies a stream into a pipe in a thread of its own.

    Args:
        stream: what to copy.

    Attributes:
        bytes_out: bytes that were copied so far.
        failure: why the stream could not be read to its end; None while it can.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.bytes_out = 0
        self.failure: Exception | None = None
        self._stream = stream

    @contextmanager
    def pipe(self) -> Iterator[IO[bytes]]:
        """Give the end that a child reads, as a file.

        Raises:
            BaqupError: the stream could not be read. A child that saw too early an end has failed
                too then, but this is the reason.
        """
        read_fd, write_fd = os.pipe()
        thread = threading.Thread(
            target=self._copy, args=(write_fd,), name="postgres-pump", daemon=True
        )
        with os.fdopen(read_fd, "rb", buffering=0) as reader:
            thread.start()
            try:
                yield reader
            except Exception:
                reader.close()  # nobody reads any more: the copying ends
                thread.join()
                if self.failure is None:
                    raise
            finally:
                reader.close()
                thread.join()
        if self.failure is not None:
            raise classify(self.failure)

    def _copy(self, fd: int) -> None:
        try:
            while piece := self._stream.read(_PIECE_BYTES):
                with suppress(BrokenPipeError):  # the child has ended, which it accounts for
                    self._write(fd, piece)
                    continue
                return
        except Exception as error:  # noqa: BLE001  told by `pipe`, in the thread that waits for it
            self.failure = error
        finally:
            os.close(fd)

    def _write(self, fd: int, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            written = os.write(fd, rest)
            self.bytes_out += written
            rest = rest[written:]
