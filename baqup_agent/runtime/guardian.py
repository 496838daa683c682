"""A small process that ends the agent's children if the agent itself is killed.

SIGKILL leaves an agent no moment to end anything. The guardian is forked before any thread
exists, sleeps on a pipe, and wakes when the pipe closes, which the kernel does however the agent
ends. Children are found by a mark in their environment, which they inherit from the agent, so
that those which the author's code started by itself are found too.

It also speaks for an agent that has fallen silent (see `baqup_agent.runtime.backstop`).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from baqup_agent.clock import timestamp
from baqup_agent.config.load import mark_environment

#: The variable whose value marks the children of one run.
MARK_VARIABLE = "_BAQUP_RUN"

#: A child between fork and exec does not bear the mark yet; look again after this many seconds.
_SECOND_LOOK_S = 0.02
_LOOKS = 5

#: The line that the agent writes before it leaves in good order.
_ALL_WELL = "all well"


class LastWords(NamedTuple):
    """A status that the guardian leaves on disk if the agent falls silent.

    Attributes:
        after_s: seconds from now until the agent counts as silent.
        staging_dir: root of staging.
        job_id: the job's UUID.
        status: the status message; its times are set when it is written.
    """

    after_s: float
    staging_dir: str
    job_id: str
    status: dict[str, Any]


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

    def hold(self, words: LastWords | None) -> None:
        """Give the guardian its last words, or take them back."""
        self._tell(None if words is None else list(words))

    def relieve(self) -> None:
        """End the guardian and wait for it: the run is over and no child is left."""
        if self.pid is not None and self._writer >= 0:
            self._tell(_ALL_WELL)
            os.close(self._writer)
            self._writer = -1
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)

    def _tell(self, what: object) -> None:
        if self._writer >= 0:
            with contextlib.suppress(OSError):  # somebody killed it
                os.write(self._writer, json.dumps(what).encode() + b"\n")


def _guard(reader: int, mark: bytes) -> None:
    os.setsid()  # a signal to the agent's process group is not meant for the guardian
    signal.set_wakeup_fd(-1)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)
    # Whoever reads the agent's output must see it end when the agent ends.
    os.closerange(0, reader)
    os.closerange(reader + 1, os.sysconf("SC_OPEN_MAX"))
    if _listen(reader):
        return
    for _ in range(_LOOKS):
        for pid in _marked(mark):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        # Nothing tells of a process that takes on the mark, and the agent that would is dead.
        time.sleep(_SECOND_LOOK_S)


def _listen(reader: int) -> bool:
    """Follow what the agent says until the pipe closes; return whether it left in good order."""
    words: LastWords | None = None
    due_s = 0.0
    unread = b""
    while True:
        wait_s = None if words is None else max(0.0, due_s - time.monotonic())
        if not select.select([reader], [], [], wait_s)[0]:
            _speak(words)
            words = None
            continue
        piece = os.read(reader, 65536)
        if not piece:
            return False
        *lines, unread = (unread + piece).split(b"\n")
        for line in map(json.loads, lines):
            if line == _ALL_WELL:
                return True
            words = None if line is None else LastWords(*line)
            due_s = time.monotonic() + (words.after_s if words else 0)


def _speak(words: LastWords | None) -> None:
    from baqup_agent.staging.orphan import write_orphan_status

    if words is None:
        return
    now = timestamp(datetime.now(UTC))
    status = {**words.status, "timestamp": now, "completed_at": now}
    with contextlib.suppress(Exception):  # there is nobody to tell
        write_orphan_status(Path(words.staging_dir), words.job_id, status)


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
