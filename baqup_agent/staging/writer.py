"""The writer of one artifact: compress, checksum and store in a single pass (Contract §4)."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from attrs import frozen

from baqup_agent.errors import InternalError, IOFailure
from baqup_agent.observability.sink import LogSink
from baqup_agent.observability.tracing import Span, Tracing
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.codec import Codec, Encoder
from baqup_agent.staging.part import PartFile

if TYPE_CHECKING:
    from typing import Self

    from _typeshed import ReadableBuffer

#: Bytes that are gathered before they are compressed; a million tiny writes stay cheap so.
BUFFER_BYTES = 256 << 10

#: Bytes of a large write between two looks at the cancellation.
SLICE_BYTES = 1 << 20


@frozen
class Format:
    """How an artifact is stored.

    Attributes:
        codec: how its content is compressed.
        level: the level of that compression.
        checksum_algorithm: the checksum taken of the bytes as stored.
    """

    codec: Codec
    level: int
    checksum_algorithm: str


class ArtifactWriter:
    """Takes the content of one artifact; a context manager, used by one thread at a time.

    At the end of the ``with`` block the artifact is sealed: its frame finished, its file synced
    and closed, its checksum known. If the block raises, or if any write failed, even one whose
    error the block swallowed, the part is removed: a sealed artifact holds every byte that was
    written to it.

    Args:
        part: the file to fill.
        form: how it is stored.
        log: is told if a part cannot be removed.
        check: called on each write; raises when the job must stop.
        settle: told at the end, when the artifact was sealed or given up.
        tracing: records spans.
    """

    def __init__(
        self,
        part: PartFile,
        form: Format,
        *,
        log: LogSink,
        check: Callable[[], None],
        settle: Callable[[ArtifactWriter], None],
        tracing: Tracing | None = None,
    ) -> None:
        self._part = part
        self._form = form
        self._log = log
        self._check = check
        self._settle = settle
        self._encoder: Encoder | None = None
        self._buffer = bytearray()
        self._bytes_in = 0
        self._failure: BaseException | None = None
        self._artifact: Artifact | None = None
        self._closed = False
        self._tracing = tracing or Tracing()
        self._span = self._tracing.begin(
            "agent.write_artifact", **{"baqup.artifact": part.filename}
        )
        self._compressing: Span | None = None

    @property
    def name(self) -> str:
        """The file name under which the artifact will be published, suffix included."""
        return self._part.filename

    @property
    def bytes_in(self) -> int:
        """Bytes written by the agent so far."""
        return self._bytes_in

    @property
    def bytes_out(self) -> int:
        """Bytes stored so far; what is still in the compressor does not count."""
        return self._part.size_bytes

    @property
    def closed(self) -> bool:
        """Whether the artifact was sealed or given up."""
        return self._closed

    @property
    def sealed(self) -> bool:
        """Whether the artifact is complete."""
        return self._artifact is not None

    @property
    def artifact(self) -> Artifact:
        """The sealed artifact.

        Raises:
            InternalError: it is not sealed (yet).
        """
        if self._artifact is None:
            raise InternalError(
                f"the artifact {self.name!r} is not sealed; leave its 'with' block first"
            )
        return self._artifact

    def tell(self) -> int:
        """Return the position in the uncompressed content: the same as `bytes_in`."""
        return self._bytes_in

    def flush(self) -> None:
        """Do nothing: only a finished artifact is of use. For code that expects a file."""

    def write(self, data: ReadableBuffer) -> int:
        """Append bytes to the content.

        Args:
            data: anything that holds bytes; text must be encoded first.

        Returns:
            The number of bytes, always all of them.

        Raises:
            InternalError: the artifact is closed, or ``data`` holds no bytes.
            IOFailure: the bytes could not be stored.
            JobCancelled: the job must stop.
        """
        if self._closed:
            raise InternalError(
                f"the artifact {self.name!r} is closed; write inside its 'with' block"
            )
        flat = data if isinstance(data, bytes) else self._flat(data)
        size = len(flat)
        try:
            self._check()
            if size < BUFFER_BYTES:
                self._buffer += flat
                if len(self._buffer) >= BUFFER_BYTES:
                    self._drain()
            else:
                self._drain()
                self._encode_large(flat)
        except BaseException as error:
            self._failure = error
            raise
        self._bytes_in += size
        return size

    def __enter__(self) -> Self:
        if self._closed:
            raise InternalError(f"the artifact {self.name!r} is closed; ask for a new one")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._closed:
            return
        if error is not None:
            self.abandon()
            return
        if self._failure is not None:
            self.abandon()
            raise self._failure
        self._seal()

    def abandon(self) -> None:
        """Give the artifact up and remove its part; nothing if it is closed."""
        if self._closed:
            return
        self._close()
        try:
            self._part.remove()
        except IOFailure as error:
            # The error that led here is the one to report.
            self._log.warn("a part could not be removed", reason=error.message)
        self._settle(self)

    def remove(self) -> None:
        """Remove the part of a sealed artifact.

        Raises:
            IOFailure: it cannot be removed.
        """
        self._part.remove()

    def leave(self) -> None:
        """Give the artifact up, but leave on disk what there is; nothing if it is closed."""
        if not self._closed:
            self._close()
            self._part.close()

    def _close(self) -> None:
        self._closed = True
        self._buffer = bytearray()
        self._encoder = None
        if self._compressing is not None:
            self._tracing.end(self._compressing, self._failure)
        self._span.set(
            **{"baqup.bytes_in": self._bytes_in, "baqup.bytes_out": self._part.size_bytes}
        )
        self._tracing.end(self._span, self._failure)

    def _begin_compressing(self) -> Span:
        return self._tracing.begin(
            "agent.compress", self._span, **{"baqup.compression": self._form.codec.name}
        )

    def _flat(self, data: ReadableBuffer) -> bytes | memoryview:
        try:
            view = memoryview(data)
        except TypeError as error:
            raise InternalError(
                f"the artifact {self.name!r} was given a {type(data).__name__}, it takes bytes; "
                "encode text first, for instance with .encode()"
            ) from error
        return view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes()

    def _drain(self) -> None:
        gathered, self._buffer = self._buffer, bytearray()
        if gathered:
            self._encode(gathered)

    def _encode_large(self, flat: bytes | memoryview) -> None:
        view = memoryview(flat)
        for start in range(0, len(view), SLICE_BYTES):
            if start:
                self._check()
            self._encode(view[start : start + SLICE_BYTES])

    def _encode(self, data: ReadableBuffer) -> None:
        if self._encoder is None:
            self._encoder = self._form.codec.encoder(self._form.level, large=True)
            self._compressing = self._begin_compressing()
        self._store(self._encoder.compress(data))

    def _seal(self) -> None:
        try:
            # Content that fitted into the buffer is not worth the start of worker threads.
            encoder = self._encoder or self._form.codec.encoder(self._form.level, large=False)
            self._store(encoder.compress(self._buffer))
            self._store(encoder.flush())
            self._tracing.end(self._compressing or self._begin_compressing())
            checksum = self._part.seal()
        except BaseException:
            self.abandon()
            raise
        self._close()
        self._artifact = Artifact(
            filename=self.name,
            size_bytes=self._part.size_bytes,
            checksum_algorithm=self._form.checksum_algorithm,
            checksum_value=checksum,
            compression=self._form.codec.name,
        )
        self._settle(self)

    def _store(self, data: ReadableBuffer) -> None:
        if data:
            self._part.write(data)
