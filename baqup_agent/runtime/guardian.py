"""A small process that ends the agent's children if the agent itself is killed.

SIGKILL leaves an agent no moment to end anything. The guardian is forked before any thread
exists, sleeps on a pipe, and wakes when the pipe closes, which the kernel does however the agent
ends. Children are found by a mark in their environment, which they inherit from the agent, so
that those which the author's code started by itself are found too.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time

from baqup_agent.config.load import mark_environment

#: The variable whose value marks the children of one run.
MARK_VARIABLE = "_BAQUP_RUN"

#: A child between fork and exec does not bear the mark yet; look again after this many seconds.
_SECOND_LOOK_S = 0.02
_LOOKS = 5

#: What the agent writes before it leaves in good order.
_ALL_WELL = b"."


class Guardian:
    """The agent's end of the guardian.

    Attributes:
        pid: the guardian's process id; None where none could be forked.
    """

    def __init__(self) -> None:
        self.pid: int | None = None
        self._writer = -1

    def post(self) -> None:
        """Mark the environment and fork the guardian; the process must have one thread only.

        Raises:
            OSError: no process or pipe could be had; the run can go on without a guardian.
        """
        mark = secrets.token_hex(8)
        mark_environment(MARK_VARIABLE, mark)
        reader, self._writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _guard(reader, f"{MARK_VARIABLE}={mark}".encode())
            finally:
                os._exit(0)
        os.close(reader)

    def relieve(self) -> None:
        """End the guardian and wait for it: the run is over and no child is left."""
        if self.pid is not None and self._writer >= 0:
            with contextlib.suppress(OSError):  # it has gone already
                os.write(self._writer, _ALL_WELL)
            os.close(self._writer)
            self._writer = -1
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)


def _guard(reader: int, mark: bytes) -> None:
    os.setsid()  # a signal to the agent's process group is not meant for the guardian
    signal.set_wakeup_fd(-1)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)
    # Whoever reads the agent's output must see it end when the agent ends.
    os.closerange(0, reader)
    os.closerange(reader + 1, os.sysconf("SC_OPEN_MAX"))
    if os.read(reader, 1) == _ALL_WELL:
        return
    for _ in range(_LOOKS):
        for pid in _marked(mark):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_SECOND_LOOK_S)


def _marked(mark: bytes) -> list[int]:
    """The processes that bear the mark."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and mark in _environ(pid)]


def _environ(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return environ.read().split(b"\0")
    except OSError:  # gone, or not ours
        return []
