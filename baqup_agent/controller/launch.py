"""An agent as a child process: started, told to stop, waited for.

The agent leads a session of its own. A terminal's Ctrl-C therefore reaches the controller alone,
which passes it on once as SIGTERM, to the agent only, as a container runtime does. And when the
agent has ended, what it left running in its process group is ended too, as the end of a
container would; how many there were is told, because an agent should leave none.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from attrs import frozen

from baqup_agent.controller.output import LineBuffer, OutputLine, OutputPump
from baqup_agent.errors import UsageError

#: Seconds that the rest of an agent's output is waited for once the agent has ended.
_OUTPUT_GRACE_S = 2.0


@frozen
class Exit:
    """How a process ended.

    Attributes:
        code: its exit code; None if a signal ended it.
        signal: that signal's number; None otherwise.
        left_behind: how many of its processes outlived it and were killed.
        output_complete: False if some process out of reach still holds its output open.
    """

    code: int | None
    signal: int | None = None
    left_behind: int = 0
    output_complete: bool = True


class AgentProcess:
    """One agent, running or ended.

    Args:
        argv: its whole command line.
        environment: all that it sees.

    Raises:
        UsageError: it cannot be started.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = _start(argv, environment)
        self._buffer = LineBuffer()
        streams = {"stdout": self._process.stdout, "stderr": self._process.stderr}
        self._pump = OutputPump(cast("dict[str, IO[bytes]]", streams), self._buffer)
        self._pump.start()
        self._ended = threading.Event()
        self._exit: Exit | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, name="agent-end", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id, which is its group's and session's too."""
        return self._process.pid

    def output(self) -> tuple[list[OutputLine], int]:
        """Return its new lines, and how many older ones had to be dropped."""
        return self._buffer.take()

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to the agent; False if it has ended already.

        Raises:
            PermissionError: it runs as another user, as behind sudo.
        """
        with self._lock:  # never reaped in between: the number cannot belong to another process
            if self._ended.is_set() or self._exit is not None:
                return False
            os.kill(self.pid, number)
            return True

    def wait(self, timeout_s: float) -> bool:
        """Wait at most ``timeout_s`` seconds; tell whether it has ended."""
        return self._ended.wait(timeout_s)

    def finish(self) -> Exit:
        """Reap the ended agent and whatever it left running; wait for it if it has not ended."""
        self._ended.wait()
        with self._lock:
            if self._exit is None:
                self._exit = self._reap()
            return self._exit

    def _watch(self) -> None:
        # WNOWAIT leaves it unreaped: until `_reap` its group's number cannot be taken by others.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self._ended.set()

    def _reap(self) -> Exit:
        left = _live_members(self.pid)
        with contextlib.suppress(PermissionError):  # it may run as another user, as behind sudo
            os.killpg(self.pid, signal.SIGKILL)
        status = self._process.wait()
        complete = self._pump.finish(_OUTPUT_GRACE_S)
        code, number = (status, None) if status >= 0 else (None, -status)
        return Exit(code, number, left, complete)


def _start(argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603  running the command it is given is its purpose
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"the agent {argv[0]!r} cannot be started: {reason}; "
            "check that it is a program, or a script whose first line names its interpreter"
        ) from error


def _live_members(group: int) -> int:
    """Count the processes of a group other than its leader, zombies aside (Linux)."""
    count = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything: the fields begin behind it.
            state, _, found = entry.read_text("utf-8", "replace").rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue  # it ended while we looked
        count += int(found) == group and state not in "ZX" and entry.parent.name != str(group)
    return count
