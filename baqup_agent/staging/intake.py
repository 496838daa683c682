"""What an artifact's writer takes, on its way into the files (Contract §4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen

from baqup_agent.errors import InternalError
from baqup_agent.staging.cipher import Cipher
from baqup_agent.staging.codec import Codec, Encoder
from baqup_agent.staging.pipeline import BUFFER_BYTES, Pipeline
from baqup_agent.staging.series import PartSeries

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@frozen
class Format:
    """How an artifact is stored.

    Attributes:
        codec: how its content is compressed.
        level: the level of that compression.
        checksum_algorithm: the checksum taken of the bytes as stored.
        workers: threads that the compressor may have for itself; 0 for none.
        cipher: encrypts what was compressed; None to leave it in the clear.
    """

    codec: Codec
    level: int
    checksum_algorithm: str
    workers: int = 0
    cipher: Cipher | None = None


class Intake:
    """Buffers that are filled by one thread, and the pipeline that empties them.

    Content that fits into one buffer is encoded and stored by `finish`, in the thread that calls
    it. More starts a pipeline.

    Args:
        files: where encoded content goes.
        form: how it is encoded.
        check: called while a full buffer waits; raises when the job must stop.
        begun: called when the encoder is about to begin.

    Attributes:
        bytes_in: bytes taken so far.
    """

    def __init__(
        self,
        files: PartSeries,
        form: Format,
        check: Callable[[], None],
        begun: Callable[[], None],
    ) -> None:
        self.bytes_in = 0
        self._files = files
        self._form = form
        self._check = check
        self._begun = begun
        self._encryptor: Encoder | None = None
        self._pipeline: Pipeline | None = None
        self._stopped = False
        self._buffer = bytearray()
        self._view = memoryview(self._buffer)
        self._filled = 0

    def require_going(self) -> None:
        """Raise what ended a thread of the pipeline, if anything did."""
        if self._pipeline is not None and self._pipeline.failure is not None:
            raise self._pipeline.failure

    def append(self, data: bytes | memoryview) -> None:
        """Take bytes in, of any length."""
        end = self._filled + len(data)
        if end <= len(self._buffer):
            self._view[self._filled : end] = data
            self.advance(len(data))
            return
        rest = memoryview(data)
        while rest:
            room = self.room()
            count = min(len(room), len(rest))
            room[:count] = rest[:count]
            self.advance(count)
            rest = rest[count:]
            if rest:
                self._check()

    def room(self) -> memoryview:
        """Return where the next bytes go: some of a buffer, at least one byte."""
        if self._filled == len(self._buffer):
            self._hand_over()
        return self._view[self._filled :]

    def advance(self, count: int) -> None:
        """Take in as many bytes as were put where `room` said."""
        self._filled += count
        self.bytes_in += count

    def finish(self) -> None:
        """Have all of the content encoded and stored."""
        if self._pipeline is not None:
            self._pipeline.put(self._buffer, self._filled)
            self._pipeline.complete()
            return
        encoder = self._begin(workers=0)  # so little is not worth the start of threads
        self._store(encoder.compress(self._view[: self._filled]))
        self._store(encoder.flush())
        self._finish_storing()

    def stop(self) -> bool:
        """Stop the threads, if there are any; return whether nobody writes any more."""
        self._stopped = True
        return self._pipeline is None or self._pipeline.abort()

    def free_memory(self) -> None:
        """Let go of the buffers; to be called by the thread that fills them."""
        self._stopped = True
        self._buffer = bytearray()
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._encryptor = self._pipeline = None

    def _hand_over(self) -> None:
        """Exchange a full buffer for an empty one."""
        if self._stopped:
            raise InternalError(f"the artifact {self._files.filename!r} is closed already")
        if not self._buffer:
            self._buffer = bytearray(BUFFER_BYTES)
        else:
            pipeline = self._pipeline or self._begin_pipeline()
            pipeline.put(self._buffer, self._filled)
            self._buffer = pipeline.buffer()
        self._view = memoryview(self._buffer)
        self._filled = 0

    def _begin_pipeline(self) -> Pipeline:
        encoder = self._begin(self._form.workers)
        self._pipeline = Pipeline(
            encoder.compress if self._form.codec.suffix else None,
            encoder.flush,
            self._store,
            self._finish_storing,
            release=self._files.close,
            check=self._check,
        )
        self._pipeline.start()
        return self._pipeline

    def _begin(self, workers: int) -> Encoder:
        self._begun()
        if self._form.cipher is not None:
            self._encryptor = self._form.cipher.encryptor()
        return self._form.codec.encoder(self._form.level, workers=workers)

    def _store(self, data: ReadableBuffer) -> None:
        if data and self._encryptor is not None:
            data = self._encryptor.compress(data)
        if data:
            self._files.write(data)

    def _finish_storing(self) -> None:
        if self._encryptor is not None:
            self._files.write(self._encryptor.flush())
