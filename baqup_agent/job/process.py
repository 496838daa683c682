"""Child processes that end with the job (Contract §1: children are ended, none survives).

Each child leads a session of its own, so that it and its offspring can be ended as one group, and
inherits a mark in its environment by which even an orphaned one is found (see
`baqup_agent.runtime.guardian`).

Secrets reach a child by its environment or its stdin. They never stand among its arguments, which
every process of the machine can read, and they are taken out of what it writes to stderr.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Protocol

from attrs import frozen

from baqup_agent.errors import CommandFailed, InternalError
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.security.secret import REDACTED, Secret

#: Bytes of a child's stderr that are kept for the error: its end, where the reason stands.
STDERR_KEPT_BYTES = 64 * 1024

#: Most bytes of stdout that are collected in memory; more needs a ``stdout`` to stream to.
STDOUT_MAX_BYTES = 64 * 1024 * 1024

_CHUNK_BYTES = 1024 * 1024

#: Bytes at the beginning of a cut stderr that are given up in search of a whole line, since half a
#: secret could stand there that nobody would recognise.
_TORN_BYTES = 16 * 1024


#: Most bytes that a pipe can hold when its writer ends, as far as an ordinary user can set it.
_PIPE_BYTES = 1024 * 1024

#: Milliseconds after which a reader of stderr that has nothing to read looks up.
_LOOK_MS = 100

#: Longest wait for that reader on a machine that is overloaded, seconds.
_PATIENCE_S = 30.0


class Sink(Protocol):
    """Takes a child's output piece by piece, for example an artifact writer."""

    def write(self, data: bytes, /) -> object:
        """Take one piece."""


@frozen
class Finished:
    """A child that has ended.

    Attributes:
        argv: the command.
        returncode: its exit code; negative for the signal that killed it.
        stdout: what it wrote there; empty where it was streamed.
        stderr: the end of what it wrote there.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: str


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
        stdin: bytes | Secret | IO[bytes] | None = None,
        stdout: Sink | None = None,
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout_s: float | None = None,
        check: bool = True,
    ) -> Finished:
        """Run a command to its end; `Job.run` describes the arguments."""
        self._token.check()
        command = self._command(argv)
        if isinstance(stdin, Secret):
            stdin = os.fsencode(stdin.reveal())
        feed = subprocess.PIPE if isinstance(stdin, bytes) else stdin or subprocess.DEVNULL
        child = self._start(command, feed, {**self._environment(), **_revealed(env or {})}, cwd)
        with self._alive(child), _limited(child, timeout_s) as expired:
            errors = _Tail(child.stderr)
            if isinstance(stdin, bytes):
                _Feeder(child.stdin, stdin)
            collected = _drain(child.stdout, stdout, command)
            returncode = child.wait()
            told = self._readable(errors.text())  # within: afterwards its stderr is closed
        self._token.check()
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
            return subprocess.Popen(  # noqa: S603  the author's own command, never a shell
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


class _Tail:
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
            while late_bytes < _PIPE_BYTES:
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


class _Feeder:
    """Writes a child's stdin in a thread, so that a child that does not read cannot block."""

    def __init__(self, stream: IO[bytes] | None, data: bytes) -> None:
        threading.Thread(
            target=self._write, args=(stream, data), name="child-stdin", daemon=True
        ).start()

    @staticmethod
    def _write(stream: Any, data: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # it ended without reading all: its choice
            stream.write(data)
            stream.close()


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


def _drain(stream: Any, sink: Sink | None, command: tuple[str, ...]) -> bytes:
    collected = bytearray()
    while piece := stream.read1(_CHUNK_BYTES):
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
    return CommandFailed(f"{shlex.quote(finished.argv[0])} {how}{reason}")
