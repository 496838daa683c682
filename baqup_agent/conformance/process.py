"""An agent's process from outside: started below a keeper, drained, signalled, ended."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from baqup_agent.conformance import keeper
from baqup_agent.conformance.file_watch import FileWatch
from baqup_agent.conformance.output import Output
from baqup_agent.conformance.timeline import Timeline
from baqup_agent.conformance.verdicts import CannotJudge, NotApplicable

#: Seconds for a keeper to start an agent, and to end all that is below it.
_KEEPER_S = 30.0

#: Seconds for the rest of the output once the agent has ended.
_REST_S = 2.0

_CHUNK = 65536


@frozen
class Launch:
    """What is started, and how.

    Attributes:
        argv: the whole command line.
        environment: all that it sees.
        directory: where it starts.
        pid1: as process 1 of a namespace of its own, as in a container.
        offline: without any network but its own loopback interface, which is down.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    pid1: bool = False
    offline: bool = False


@frozen
class Survivor:
    """A process that an agent started and that still lives."""

    pid: int
    command: str


class Process:
    """One agent, running or ended.

    Args:
        launch: what to start.
        timeline: is told start, files, output and end.
        watched: the directory whose files are watched.

    Raises:
        CannotJudge: the command cannot be started, or the suite lacks something.
        NotApplicable: the kernel refuses a namespace.
    """

    def __init__(self, launch: Launch, timeline: Timeline, watched: Path) -> None:
        self._timeline = timeline
        self.stdout = Output("stdout", timeline)
        self.stderr = Output("stderr", timeline)
        self.started_at_s = 0.0
        self.pid = 0
        self._status: int | None = None
        self._told = threading.Event()
        self._refusal: Exception | None = None
        self._open = {"stdout", "stderr"}
        self._closing = False
        self._lock = threading.Lock()
        self._files = FileWatch(watched)
        self._keeper = self._start_keeper(launch)
        self._pump = threading.Thread(target=self._run, name="agent-output", daemon=True)
        self._pump.start()
        self._await_start(launch)

    @property
    def status(self) -> int | None:
        """The exit code, or minus the number of the signal that ended it; None while it runs."""
        return self._status

    @property
    def drained(self) -> bool:
        """Whether both streams have ended."""
        return not self._open

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to the agent alone; False if it has ended."""
        with self._lock:
            if self._status is not None or self._closing:
                return False
            os.kill(self.pid, number)
        self._timeline.add("signal", number.name, number)
        return True

    def survivors(self) -> list[Survivor]:
        """Return the processes below the agent's keeper that live, the agent itself aside."""
        return [
            one
            for pid in keeper.below(self._keeper.pid)
            if pid != self.pid and (one := _alive(pid))
        ]

    def settle(self) -> None:
        """Take in what an ended agent left in its pipes, and what it did to files."""
        self._timeline.wait(lambda: self.drained or None, time.monotonic() + _REST_S)
        with self._lock:
            self._take_files()

    def close(self) -> None:
        """Kill what lives and free everything; harmless when repeated."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        assert self._keeper.stdin is not None  # noqa: S101  it was asked for
        with contextlib.suppress(OSError):
            self._keeper.stdin.close()
        try:
            self._keeper.wait(_KEEPER_S)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        self._pump.join(_KEEPER_S)
        for stream in (self.stdout, self.stderr):
            stream.end()
        if self._status is None:  # it was killed by the keeper, which does not tell
            self._status = -signal.SIGKILL
            self._timeline.add("note", "the suite killed it")

    def _start_keeper(self, launch: Launch) -> subprocess.Popen[bytes]:
        ends = [os.pipe(), os.pipe()]
        self._pipes = {"stdout": ends[0][0], "stderr": ends[1][0]}
        writers = tuple(pair[1] for pair in ends)
        request = {
            "argv": launch.argv,
            "env": dict(launch.environment),
            "cwd": str(launch.directory),
            "stdout": writers[0],
            "stderr": writers[1],
            "pid1": launch.pid1,
            "offline": launch.offline,
        }
        try:
            started = subprocess.Popen(  # noqa: S603  our own program, and no shell
                [sys.executable, "-I", "-S", str(Path(keeper.__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=writers,
                env={},
                start_new_session=True,
                bufsize=0,
            )
        finally:
            for writer in writers:
                os.close(writer)
        assert started.stdin is not None  # noqa: S101  it was asked for
        _write_all(started.stdin.fileno(), json.dumps(request).encode() + b"\n")
        return started

    def _await_start(self, launch: Launch) -> None:
        if not self._told.wait(_KEEPER_S):
            self.close()
            raise CannotJudge(f"{launch.argv[0]} was not started in {_KEEPER_S:g} s")
        if self._refusal is not None:
            self.close()
            raise self._refusal

    def _run(self) -> None:
        """Read everything there is to read, until the keeper ends."""
        assert self._keeper.stdout is not None  # noqa: S101  it was asked for
        with contextlib.ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            stack.callback(self._files.close)
            report = self._keeper.stdout.fileno()
            stack.callback(self._keeper.stdout.close)
            selector.register(report, selectors.EVENT_READ, "keeper")
            selector.register(self._files.descriptor, selectors.EVENT_READ, "files")
            for name, descriptor in self._pipes.items():
                stack.callback(os.close, descriptor)
                selector.register(descriptor, selectors.EVENT_READ, name)
            while any([self._take(selector, key) for key, _ in selector.select()]):  # noqa: C419
                pass  # every one of them is read: what is not stays ready, and this would spin
        self._told.set()

    def _take(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> bool:
        """Read from one descriptor; False if that was the keeper's end."""
        if key.data == "files":
            with self._lock:
                self._take_files()
            return True
        data = os.read(key.fd, _CHUNK)
        if key.data == "keeper":
            for line in data.splitlines():
                self._hear(json.loads(line))
            return bool(data)
        if data:
            (self.stdout if key.data == "stdout" else self.stderr).take(data)
        else:
            selector.unregister(key.fd)
            self._open.discard(key.data)
            self._timeline.wake()
        return True

    def _hear(self, facts: dict[str, Any]) -> None:
        at_s = facts["at_s"]
        if "started" in facts:
            self.pid, self.started_at_s = facts["started"], at_s
            self._timeline.add("start", f"pid {self.pid}", at_s=at_s)
        elif "ended" in facts:
            with self._lock:
                self._status = facts["ended"]
            self._timeline.add("exit", exit_words(facts["ended"]), facts["ended"], at_s=at_s)
        elif "refused" in facts:
            self._refusal = NotApplicable(f"this machine grants {facts['refused']}")
        else:
            self._refusal = CannotJudge(f"the command cannot be started: {facts['failed']}")
        self._told.set()

    def _take_files(self) -> None:
        changes = self._files.changes()  # unread they would stay ready, and the thread would spin
        if self._closing:
            return
        for word, path in changes:
            self._timeline.add("file", f"{path} {word}", (word, path))


def exit_words(status: int) -> str:
    """Say how a process ended: ``exit code 64``, ``ended by SIGKILL``."""
    if status >= 0:
        return f"exit code {status}"
    with contextlib.suppress(ValueError):
        return f"ended by {signal.Signals(-status).name}"
    return f"ended by signal {-status}"


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _alive(pid: int) -> Survivor | None:
    """Describe a process; None if it is gone or waits to be reaped."""
    try:
        state = (
            Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
        )
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, IndexError):
        return None
    command = " ".join(_printable(words)) or "?"
    return None if state in "ZX" else Survivor(pid, command)


def _printable(words: Sequence[bytes]) -> Iterator[str]:
    return (word.decode("utf-8", "replace") for word in words if word)
