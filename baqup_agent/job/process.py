"""Child processes that end with the job (Contract §1: children are ended, none survives).

Each child leads a session of its own, so that it and its offspring can be ended as one group, and
inherits a mark in its environment by which even an orphaned one is found (see
`baqup_agent.runtime.guardian`).

Secrets reach a child by its environment or its stdin. They never stand among its arguments, which
every process of the machine can read, and they are taken out of what it writes to stderr.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import select
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, BinaryIO, Protocol

from baqup_agent.errors import CommandFailed, InternalError
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.job.child_streams import (
    PIPE_BYTES,
    STDERR_KEPT_BYTES,
    StderrTail,
    StdinFeeder,
)
from baqup_agent.security.secret import REDACTED, Secret
from baqup_agent.staging.child import Finished
from baqup_agent.staging.writer import ArtifactWriter

#: Most bytes of stdout that are collected in memory; more needs a ``stdout`` to stream to.
STDOUT_MAX_BYTES = 64 * 1024 * 1024

_CHUNK_BYTES = 1024 * 1024

#: Milliseconds after which a child's output in which nothing comes is looked away from.
_LOOK_MS = 100


class _OutOfTime(Exception):
    """The time limit is over, so the output is worth nothing and need not be waited for."""


class Sink(Protocol):
    """Takes a child's output piece by piece, for example an artifact writer."""

    def write(self, data: bytes, /) -> object:
        """Take one piece."""


class ChildProcesses:
    """Starts children, and ends all of them when the job must stop.

    Args:
        token: the job's cancellation; a child does not outlive it.
        environment: gives the environment that children inherit.
        clean: removes secrets from a text that a child wrote; bytes that are no UTF-8 are
            surrogates in it.
        betrays: whether a text holds a secret that cannot be there by chance.
    """

    def __init__(
        self,
        token: CancellationToken,
        environment: Callable[[], dict[str, str]],
        clean: Callable[[str], str] = str,
        betrays: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._token = token
        self._environment = environment
        self._clean = clean
        self._betrays = betrays
        self._live: set[subprocess.Popen[bytes]] = set()
        self._changed = threading.Condition()

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        stdin: bytes | Secret | IO[bytes] | BinaryIO | None = None,
        stdout: Sink | None = None,
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout_s: float | None = None,
        check: bool = True,
        on_bytes: Callable[[int], object] | None = None,
    ) -> Finished:
        """Run a command to its end; `Job.run` describes the arguments."""
        with _whole(stdout):
            self._token.check()
            command = self._command(argv)
            feed, content = _feed(stdin)
            child = self._start(command, feed, {**self._environment(), **_revealed(env or {})}, cwd)
            with (
                self._alive(child),
                _limited(child, timeout_s) as expired,
                StderrTail(child.stderr) as errors,
                _fed(child, content) as feeder,
            ):
                collected = _drain(child.stdout, stdout, command, on_bytes, expired)
                returncode = child.wait()
                told = self._readable(errors.text())
            self._token.check()
            if feeder is not None:
                feeder.finish()
            finished = Finished(command, returncode, collected, told)
            if expired.is_set():
                raise _failed(finished, f"was ended after its {timeout_s:g} s")
            if check and returncode != 0:
                raise _failed(finished, _ending(returncode))
            return finished

    def terminate(self, grace_s: float) -> None:
        """End every child: SIGTERM to its group, and after ``grace_s`` seconds SIGKILL."""
        self._signal_all(signal.SIGTERM)
        with self._changed:
            self._changed.wait_for(lambda: not self._live, timeout=grace_s)
        self._signal_all(signal.SIGKILL)

    def _command(self, argv: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
        words = tuple(str(word) if isinstance(word, Secret) else os.fspath(word) for word in argv)
        for place, word in enumerate(words):
            if REDACTED in word or self._betrays(word):
                raise InternalError(
                    f"argument {place} of {self._clean(words[0])!r} holds a secret, and every "
                    "process of the machine can read arguments; "
                    "pass it as env={'NAME': secret} or stdin=secret",
                    code="SECRET_IN_ARGUMENTS",
                )
        return words

    def _readable(self, errors: str) -> str:
        """Clean what a child wrote; only then may it be decoded for good, and be shortened."""
        cleaned = self._clean(errors).encode("utf-8", "surrogateescape")
        return cleaned.decode("utf-8", "replace").strip()[-STDERR_KEPT_BYTES:].lstrip()

    def _start(
        self,
        command: tuple[str, ...],
        stdin: int | IO[bytes],
        env: Mapping[str, str],
        cwd: str | os.PathLike[str] | None,
    ) -> subprocess.Popen[bytes]:
        try:
            child = subprocess.Popen(  # noqa: S603  the author's own command, never a shell
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailed(
                f"{command[0]!r} could not be started: {error.strerror}; "
                "is it installed in the image and on PATH?"
            ) from error
        _widen(child.stdout)
        return child

    @contextlib.contextmanager
    def _alive(self, child: subprocess.Popen[bytes]) -> Iterator[None]:
        with self._changed:
            self._live.add(child)
        try:
            if self._token.cancelled:  # cancelled between the check and the registration
                _signal_group(child, signal.SIGKILL)
            yield
        finally:
            if child.poll() is None:  # an error cut the run short; the child must not outlive it
                _signal_group(child, signal.SIGKILL)
                child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            with self._changed:
                self._live.discard(child)
                self._changed.notify_all()

    def _signal_all(self, signum: signal.Signals) -> None:
        with self._changed:
            live = tuple(self._live)
        for child in live:
            _signal_group(child, signum)


@contextlib.contextmanager
def _whole(sink: Sink | None) -> Iterator[None]:
    """Fail the artifact of a child that fails: tried again, it would follow half a dump there."""
    try:
        yield
    except BaseException as error:
        if isinstance(sink, ArtifactWriter):
            sink.fail(error)
        raise


@contextlib.contextmanager
def _limited(child: subprocess.Popen[bytes], timeout_s: float | None) -> Iterator[threading.Event]:
    """Kill the child's group after ``timeout_s``; the event tells whether that was done."""
    expired = threading.Event()
    if timeout_s is None:
        yield expired
        return

    def expire() -> None:
        expired.set()
        _signal_group(child, signal.SIGKILL)

    timer = threading.Timer(timeout_s, expire)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


def _feed(
    stdin: bytes | Secret | IO[bytes] | BinaryIO | None,
) -> tuple[int | IO[bytes], bytes | IO[bytes] | BinaryIO | None]:
    """What the child's stdin is made from, and what a thread must write there."""
    if stdin is None:
        return subprocess.DEVNULL, None
    if isinstance(stdin, Secret):
        return subprocess.PIPE, os.fsencode(stdin.reveal())
    if isinstance(stdin, io.TextIOBase):
        raise InternalError("stdin takes bytes, not text; open the file with 'rb'")
    if isinstance(stdin, bytes) or not _is_plain_file(stdin):
        return subprocess.PIPE, stdin
    return stdin, None


def _is_plain_file(stream: Any) -> bool:
    """Whether a descriptor gives just what reading the stream would; it is positioned for that.

    Others have one as well, but one of a file that they unpack, or of a pipe of which they hold
    the beginning already; and whoever derives a class of stream may mean to see what is read.
    """
    if type(stream) is io.BufferedReader and type(stream.raw) is io.FileIO and stream.seekable():
        os.lseek(stream.fileno(), stream.tell(), os.SEEK_SET)  # it has read ahead
        return True
    return type(stream) is io.FileIO


def _fed(
    child: subprocess.Popen[bytes], content: bytes | IO[bytes] | BinaryIO | None
) -> contextlib.AbstractContextManager[StdinFeeder | None]:
    if content is None:
        return contextlib.nullcontext()
    return StdinFeeder(child.stdin, content, lambda: _signal_group(child, signal.SIGKILL))


def _drain(
    stream: Any,
    sink: Sink | None,
    command: tuple[str, ...],
    on_bytes: Callable[[int], object] | None,
    expired: threading.Event,
) -> bytes:
    def go_on() -> None:
        if expired.is_set():
            raise _OutOfTime

    collected = bytearray()
    with contextlib.suppress(_OutOfTime):  # the caller tells, once the child has ended
        if isinstance(sink, ArtifactWriter):  # it reads the pipe itself, into its own buffers
            sink.copy_from_fd(stream.fileno(), on_bytes=on_bytes, check=go_on)
            return b""
        for piece in _pieces(stream.fileno(), go_on):
            if on_bytes is not None:
                on_bytes(len(piece))
            if sink is not None:
                sink.write(piece)
                continue
            collected += piece
            if len(collected) > STDOUT_MAX_BYTES:
                raise CommandFailed(
                    f"{command[0]!r} wrote more than {STDOUT_MAX_BYTES} bytes to stdout; "
                    "give run() a stdout to stream to"
                )
    return bytes(collected)


def _pieces(fd: int, go_on: Callable[[], None]) -> Iterator[bytes]:
    """Read a pipe to its end, or until ``go_on`` raises: a grandchild may hold it for ever."""
    look = select.poll()
    look.register(fd, select.POLLIN)
    while True:
        go_on()
        if look.poll(_LOOK_MS):
            piece = os.read(fd, _CHUNK_BYTES)
            if not piece:
                return
            yield piece


def _widen(stream: Any) -> None:
    """Let a pipe hold a whole buffer, so that the two ends take turns less often."""
    with contextlib.suppress(OSError, AttributeError):  # the user has many pipes; no Linux
        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _signal_group(child: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signum)


def _revealed(env: Mapping[str, str | Secret]) -> dict[str, str]:
    return {
        name: value.reveal() if isinstance(value, Secret) else value for name, value in env.items()
    }


def _ending(returncode: int) -> str:
    if returncode >= 0:
        return f"exited with {returncode}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"was killed by signal {-returncode}"


def _failed(finished: Finished, how: str) -> CommandFailed:
    lines = finished.stderr.splitlines()
    reason = f": {lines[-1]}" if lines else ", without a word on stderr"
    return CommandFailed(
        f"{shlex.quote(finished.argv[0])} {how}{reason}",
        returncode=finished.returncode,
        stderr=finished.stderr,
    )
