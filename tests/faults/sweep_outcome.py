"""What became of one run of one agent, as its controller sees it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.agent_process import AgentProcess
from tests.faults.sweep_verdict import judge

FS = (sys.executable, "-m", "baqup_agent.agents.fs")
AUTHOR = (sys.executable, str(Path(__file__).with_name("sweep_author.py")))

#: Longest wait for one run on a loaded machine, seconds.
PATIENCE_S = 120.0


class Outcome(NamedTuple):
    """What became of a run.

    Attributes:
        code: its exit code.
        error: the error of its status; empty if there is none.
        directory: the job's directory.
        events: how often each event occurred.
        log: the messages that it logged.
    """

    code: int
    error: dict[str, Any]
    directory: Path
    events: dict[str, int]
    log: list[str]

    @property
    def staged(self) -> list[str] | None:
        """What lies in ``.staging``; None if that is gone."""
        hidden = self.directory / ".staging"
        return sorted(path.name for path in hidden.iterdir()) if hidden.is_dir() else None

    def require_failure(self, code: int, error: str, *words: str) -> None:
        """The exit code, the error's code, a message of one line with these words, no manifest."""
        assert (self.code, self.error.get("code")) == (code, error), self.error
        message = self.error["message"]
        assert "\n" not in message
        assert [word for word in words if word not in message] == [], message
        assert not judge(self.directory).published

    def require_success(self) -> None:
        """Exit 0, and everything that the manifest lists verifies."""
        assert (self.code, self.error) == (0, {})
        verdict = judge(self.directory)
        assert verdict.published
        assert verdict.problems == ()


@contextmanager
def started(
    scene: Path,
    role: str = "snapshot",
    *,
    program: Sequence[str] = FS,
    unheard: str | None = None,
    **variables: object,
) -> Iterator[AgentProcess]:
    """Start an agent, with variables named without their prefix; it ends with the block."""
    environ: dict[str, str | None] = {
        f"BAQUP_{name.upper()}": str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in variables.items()
    }
    run = AgentProcess(scene, role, program=program, environ=environ, unheard=unheard)
    try:
        yield run
    finally:
        run.end()


def outcome(run: AgentProcess) -> Outcome:
    """Wait for the end of a run; return what became of it."""
    code = run.wait(PATIENCE_S)
    statuses = run.of("status")
    error = statuses[-1]["error"] if statuses else None
    events = {event["code"]: event["count"] for event in run.of("event")}
    log = [line["message"] for line in run.log] if run.stderr.startswith("{") else []
    return Outcome(code, error or {}, run.directory, events, log)


@pytest.fixture
def ran(tmp_path: Path) -> Callable[..., Outcome]:
    """Runs agents in the test's directory to their end."""

    def run(*arguments: Any, **variables: Any) -> Outcome:
        with started(tmp_path, *arguments, **variables) as agent:
            return outcome(agent)

    return run
