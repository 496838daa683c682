"""Runs an agent as a controller does: a real process, watched from the outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from baqup_agent.contract import MANIFEST_NAME, ORPHAN_STATUS_NAME
from tests.waiting import eventually

#: Longest wait for something that should happen at once, on a loaded machine, seconds.
PATIENCE_S = 60.0

ACTOR = Path(__file__).parent / "runtime" / "actor.py"


class AgentProcess:
    """One run of one agent.

    Args:
        scene: a directory of its own.
        role: what is asked for.
        program: a script for this interpreter, or a whole command.
        environ: variables beyond the required ones; None takes one away.
        job_id: the job's id; a new one by default.
        unheard: a stream of the agent that nobody reads: its pipe is closed at once.
    """

    def __init__(
        self,
        scene: Path,
        role: str = "snapshot",
        *,
        program: Path | Sequence[str] = ACTOR,
        environ: Mapping[str, str | None] | None = None,
        job_id: str | None = None,
        unheard: str | None = None,
    ) -> None:
        self.job_id = job_id or str(uuid.uuid4())
        self.staging = scene / "staging"
        self.bus = scene / "bus"
        self.bus.mkdir(exist_ok=True)
        variables: dict[str, str | None] = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BAQUP_")},
            "BAQUP_JOB_ID": self.job_id,
            "BAQUP_STAGING_DIR": str(self.staging),
            "BAQUP_BUS_URL": f"file://{self.bus}",
            "BAQUP_BUS_GRACE_PERIOD": "1",
            "BAQUP_BUS_FALLBACK_DIR": str(scene / "buffer"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
            **(environ or {}),
        }
        command = [sys.executable, str(program)] if isinstance(program, Path) else list(program)
        self._lines: list[str] = []
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [*command, role],
            env={name: value for name, value in variables.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if unheard is not None:
            getattr(self.process, unheard).close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        if not self.process.stderr.closed:
            for line in self.process.stderr:
                self._lines.append(line)

    # -- what a controller sees ---------------------------------------------------------------

    @property
    def log(self) -> list[dict[str, Any]]:
        """The log so far; every line must be a JSON object."""
        return [json.loads(line) for line in list(self._lines)]

    @property
    def stderr(self) -> str:
        return "".join(self._lines)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages on the file bus so far."""
        try:
            text = (self.bus / f"{self.job_id}.jsonl").read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def status(self) -> dict[str, Any]:
        """The one status."""
        (status,) = self.of("status")
        return status

    @property
    def states(self) -> list[str]:
        """The states in the order of their first heartbeat."""
        return list(dict.fromkeys(beat["state"] for beat in self.of("heartbeat")))

    @property
    def directory(self) -> Path:
        return self.staging / self.job_id

    @property
    def manifest(self) -> dict[str, Any] | None:
        try:
            loaded: dict[str, Any] = json.loads((self.directory / MANIFEST_NAME).read_text())
        except FileNotFoundError:
            return None
        return loaded

    @property
    def orphan(self) -> dict[str, Any] | None:
        try:
            loaded: dict[str, Any] = json.loads((self.directory / ORPHAN_STATUS_NAME).read_text())
        except FileNotFoundError:
            return None
        return loaded

    # -- what a controller does ---------------------------------------------------------------

    def wait_until(self, condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        """Wait for a condition; fails loudly when it does not come."""
        try:
            eventually(condition, within_s=patience_s)
        except AssertionError:
            raise AssertionError(f"it did not happen; stderr so far:\n{self.stderr}") from None

    def wait_for_log(self, message: str) -> None:
        self.wait_until(lambda: any(line["message"] == message for line in self.log))

    def signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Wait for the end; returns the exit code."""
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end; stderr so far:\n{self.stderr}") from None
        self._reader.join(PATIENCE_S)
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._reader.join(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


def alive(marker: str) -> Iterator[int]:
    """The processes whose command line holds ``marker``."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                state = (entry / "stat").read_bytes().rpartition(b")")[2].split()[0]
            except OSError:
                continue
            if marker.encode() in words and state != b"Z":
                yield int(entry.name)
