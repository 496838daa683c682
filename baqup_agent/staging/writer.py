"""The writer of one artifact: compress, encrypt, checksum and store in one pass (Contract §4)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import IO, TYPE_CHECKING, BinaryIO

from baqup_agent.errors import InternalError, IOFailure
from baqup_agent.observability.sink import LogSink
from baqup_agent.observability.tracing import Span, Tracing
from baqup_agent.security.secret import Secret
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.child import Finished, Runner
from baqup_agent.staging.intake import Format, Intake
from baqup_agent.staging.series import PartSeries, StoredFile
from baqup_agent.staging.source import Source

if TYPE_CHECKING:
    from typing import Self

    from _typeshed import ReadableBuffer


class ArtifactWriter:
    """Takes the content of one artifact; a context manager, used by one thread at a time.

    There are three ways in, in any order: `write`, `copy_from_fd` and `run`. Content that fits
    into one buffer is stored by the caller at the end; more starts threads that compress and store
    behind the caller's back, and whose errors the caller's next call raises.

    At the end of the ``with`` block the artifact is sealed: its frame finished, its file synced
    and closed, its checksum known. If the block raises, or if any write failed, even one whose
    error the block swallowed, what was stored is removed: a sealed artifact holds every byte that
    was written to it.

    Args:
        files: the files to fill.
        form: how it is stored.
        log: is told if a file cannot be removed.
        check: called on each write; raises when the job must stop.
        settle: told at the end, when the artifact was sealed or given up.
        tracing: records spans.
        runner: runs children for `run`; None where there can be none.
    """

    def __init__(
        self,
        files: PartSeries,
        form: Format,
        *,
        log: LogSink,
        check: Callable[[], None],
        settle: Callable[[ArtifactWriter], None],
        tracing: Tracing | None = None,
        runner: Runner | None = None,
    ) -> None:
        self._files = files
        self._form = form
        self._log = log
        self._check = check
        self._settle = settle
        self._runner = runner
        self._intake = Intake(files, form, self._go_on, self._begin_compressing)
        self._failure: BaseException | None = None
        self._artifacts: tuple[Artifact, ...] = ()
        self._closed = False
        self._tracing = tracing or Tracing()
        self._span = self._tracing.begin(
            "agent.write_artifact", **{"baqup.artifact": files.filename}
        )
        self._compressing: Span | None = None

    @property
    def name(self) -> str:
        """The file name under which the artifact will be published, suffixes included.

        One that is split is published in parts, whose names begin with it.
        """
        return self._files.filename

    @property
    def bytes_in(self) -> int:
        """Bytes taken from the agent so far."""
        return self._intake.bytes_in

    @property
    def bytes_out(self) -> int:
        """Bytes stored so far; what is still on its way does not count."""
        return self._files.size_bytes

    @property
    def closed(self) -> bool:
        """Whether the artifact was sealed or given up."""
        return self._closed

    @property
    def sealed(self) -> bool:
        """Whether the artifact is complete."""
        return bool(self._artifacts)

    @property
    def artifact(self) -> Artifact:
        """The sealed artifact; of one that was split, its first part.

        Raises:
            InternalError: it is not sealed (yet).
        """
        return self.artifacts[0]

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """What the manifest lists: the artifact, or all parts of one that was split.

        Raises:
            InternalError: it is not sealed (yet).
        """
        if not self._artifacts:
            raise InternalError(
                f"the artifact {self.name!r} is not sealed; leave its 'with' block first"
            )
        return self._artifacts

    def tell(self) -> int:
        """Return the position in the uncompressed content: the same as `bytes_in`."""
        return self._intake.bytes_in

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
            IOFailure: the bytes, or some before them, could not be stored.
            JobCancelled: the job must stop.
        """
        self._require_open()
        flat = data if isinstance(data, bytes) else self._flat(data)
        try:
            self._go_on()
            self._intake.append(flat)
        except BaseException as error:
            self._failure = error
            raise
        return len(flat)

    def copy_from_fd(
        self,
        fd: int,
        size: int | None = None,
        *,
        offset: int | None = None,
        on_bytes: Callable[[int], object] | None = None,
        check: Callable[[], None] | None = None,
    ) -> int:
        """Append what an open file, a pipe or a socket gives.

        The bytes are read straight into the buffers that are compressed. While nothing comes, the
        job's cancellation is heard.

        Args:
            fd: what to read from.
            size: how many bytes; None for all there are.
            offset: where in the file to begin, whose own position then stays; None to read from
                that position on.
            on_bytes: told of the bytes of each piece once it was read.
            check: called before each piece and while nothing comes; raises to give the artifact up.

        Returns:
            The number of bytes; fewer than ``size`` only where the source has no more.

        Raises:
            OSError: the source cannot be read. What came before is in the artifact, `bytes_in`
                tells how much, and the artifact may be written on.
            InternalError: the artifact is closed.
            IOFailure: the bytes could not be stored.
            JobCancelled: the job must stop.
        """
        self._require_open()
        go_on = self._go_on if check is None else partial(self._go_on_with, check)
        source = Source(fd, offset, go_on)
        total = 0
        try:
            while size is None or total < size:
                go_on()
                room = self._intake.room()
                count = source.read_into(room if size is None else room[: size - total])
                if not count:
                    break
                self._intake.advance(count)
                total += count
                if on_bytes is not None:
                    on_bytes(count)
        except BaseException as error:
            if error is not source.failure:
                self._failure = error
            raise
        return total

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stdin: bytes | Secret | IO[bytes] | BinaryIO | None = None,
        timeout_s: float | None = None,
        on_bytes: Callable[[int], object] | None = None,
    ) -> Finished:
        """Append what a child process writes to its stdout.

        If the child fails, so does the artifact: half a dump is none.

        Args:
            argv: the command and its arguments; no shell is involved.
            env: variables added to the inherited environment, which carries no secrets.
            cwd: its working directory.
            stdin: bytes, an open file or any binary stream, to feed it; nothing by default.
            timeout_s: longest run, seconds; it is killed then.
            on_bytes: told the size of each piece of its output.

        Returns:
            Its exit code, which is 0, and the end of its stderr.

        Raises:
            CommandFailed: it could not be started, failed, or ran out of time; the message
                carries the last line of its stderr, `returncode` and `stderr` tell more.
            InternalError: the artifact is closed, or nobody is there to run children.
            IOFailure: its output could not be stored.
            JobCancelled: the job must stop; the child was ended.
        """
        self._require_open()
        if self._runner is None:
            raise InternalError(
                f"the artifact {self.name!r} belongs to no job, so it runs no command; "
                "run it yourself and use copy_from_fd"
            )
        try:
            return self._runner(
                argv,
                stdin=stdin,
                stdout=self,
                env=env,
                cwd=cwd,
                timeout_s=timeout_s,
                on_bytes=on_bytes,
            )
        except BaseException as error:
            self._failure = error
            raise

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

    def fail(self, error: BaseException) -> None:
        """Have the artifact given up at the end of its block, even if that swallows the error.

        For who fills it on behalf of the block, and cannot bring all of what belongs there.
        """
        self._failure = error

    def abandon(self) -> None:
        """Give the artifact up and remove what was stored of it; nothing if it is closed."""
        if self._closed:
            return
        self._close()
        stopped = self._stop()
        self._intake.free_memory()
        try:
            self._files.remove(close=stopped)
        except IOFailure as error:
            # The error that led here is the one to report.
            self._log.warn("a part could not be removed", reason=error.message)
        self._settle(self)

    def remove(self) -> None:
        """Remove the files of a sealed artifact.

        Raises:
            IOFailure: one cannot be removed.
        """
        self._files.remove()

    def leave(self) -> None:
        """Give the artifact up, but leave on disk what there is; nothing if it is closed."""
        if not self._closed:
            self._close()
            if self._stop():
                self._files.close()

    def _require_open(self) -> None:
        if self._closed:
            raise InternalError(
                f"the artifact {self.name!r} is closed; write inside its 'with' block"
            )

    def _go_on(self) -> None:
        self._check()
        self._intake.require_going()

    def _go_on_with(self, check: Callable[[], None]) -> None:
        self._go_on()
        check()

    def _flat(self, data: ReadableBuffer) -> bytes | memoryview:
        try:
            view = memoryview(data)
        except TypeError as error:
            raise InternalError(
                f"the artifact {self.name!r} was given a {type(data).__name__}, it takes bytes; "
                "encode text first, for instance with .encode()"
            ) from error
        return view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes()

    def _begin_compressing(self) -> None:
        self._compressing = self._tracing.begin(
            "agent.compress", self._span, **{"baqup.compression": self._form.codec.name}
        )

    def _seal(self) -> None:
        try:
            self._check()
            self._intake.finish()
            if self._compressing is not None:
                self._tracing.end(self._compressing)
            stored = self._files.seal()
        except BaseException as error:
            self._failure = error
            self.abandon()
            raise
        self._close()
        self._intake.free_memory()
        self._artifacts = tuple(self._described(file) for file in stored)
        self._settle(self)

    def _described(self, file: StoredFile) -> Artifact:
        cipher = self._form.cipher
        return Artifact(
            filename=file.filename,
            size_bytes=file.size_bytes,
            checksum_algorithm=self._form.checksum_algorithm,
            checksum_value=file.checksum,
            compression=self._form.codec.name,
            encrypted=cipher is not None,
            part=file.part,
            encryption=None if cipher is None else cipher.encryption,
        )

    def _stop(self) -> bool:
        """Stop what is going on behind; return whether nobody writes any more."""
        stopped = self._intake.stop()
        if not stopped:
            self._log.warn("the disk holds up the writer of an artifact", artifact=self.name)
        return stopped

    def _close(self) -> None:
        self._closed = True
        if self._compressing is not None:
            self._tracing.end(self._compressing, self._failure)
        self._span.set(
            **{"baqup.bytes_in": self._intake.bytes_in, "baqup.bytes_out": self._files.size_bytes}
        )
        self._tracing.end(self._span, self._failure)
