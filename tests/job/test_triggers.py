"""Custom triggers as types: what checkers see, and what is held against the lifecycle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from baqup_agent import (
    CONTRACT,
    Agent,
    Job,
    LifecycleDeclarationError,
    State,
    Transition,
    Trigger,
    Triggers,
    refine,
)
from baqup_agent.job.triggers import LiveTriggers

LIFECYCLE = refine(
    CONTRACT, "running", initial="a", states=[State("a"), State("b")],
    transitions=[Transition("go", "a", "b")],
)  # fmt: skip


class Go(Triggers):
    go: Trigger


class GoAway(Triggers):
    go: Trigger

    def away(self, *, far: bool) -> None:
        """Declared as a method, with its payload."""


class Nothing(Triggers):
    pass


def agent_with(declared: type[Triggers]) -> type[Agent]:
    def snapshot(self: Agent, job: Job) -> None:
        """Do nothing."""

    snapshot.__annotations__ = {"job": Job[declared]}  # type: ignore[valid-type]
    members = {"name": "agent-x", "version": "1", "lifecycle": LIFECYCLE, "snapshot": snapshot}
    return type("AgentX", (Agent,), members)


def test_triggers_that_agree_are_accepted() -> None:
    """The class is created when both sides name the same triggers."""
    assert agent_with(Go).declared_lifecycle() is LIFECYCLE


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (GoAway, "'away' is declared by GoAway, but not by the lifecycle"),
        (Nothing, "'go' is declared by the lifecycle, but not by Nothing"),
    ],
)
def test_triggers_that_disagree_are_refused(declared: type[Triggers], message: str) -> None:
    """The author learns of it when the class is created."""
    with pytest.raises(LifecycleDeclarationError, match=message):
        agent_with(declared)


def test_a_trigger_is_fired_with_its_payload() -> None:
    """The object calls what it was given; `dir` lists the triggers."""
    fired: list[tuple[str, dict]] = []
    triggers = LiveTriggers(("go",), lambda name, payload: fired.append((name, payload)))

    triggers.go(rows=3)

    assert fired == [("go", {"rows": 3})]
    assert dir(triggers) == ["go"]


AUTHOR = """
from baqup_agent import Agent, Job, Trigger, Triggers

class Dump(Triggers):
    dumped: Trigger
    def counted(self, *, rows: int) -> None: ...

class Mine(Agent):
    name = "agent-mine"
    version = "1"

    def snapshot(self, job: Job[Dump]) -> None:
        job.lifecycle.dumped()
        job.lifecycle.counted(rows=1)
        job.lifecycle.{call}

    def restore(self, job: Job) -> None:
        job.progress(files_processed=1)
"""


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        ("dumped()", None),
        ("dmuped()", '"Dump" has no attribute "dmuped"'),
        ('counted(rows="x")', "incompatible type"),
    ],
)
def test_mypy_checks_triggers_without_a_plug_in(
    tmp_path: Path, call: str, complaint: str | None
) -> None:
    """A misspelt trigger and a wrong payload are errors; a bare `Job` passes strict mode."""
    script = tmp_path / "mine.py"
    script.write_text(AUTHOR.replace("{call}", call))

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(script)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip

    if complaint is None:
        assert done.returncode == 0, done.stdout
    else:
        assert complaint in done.stdout
