"""State deadlines end real runs, whatever holds them up (Contract §1)."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from baqup_agent.runtime.deadlines import Limit, Watchdog
from tests.agent_process import alive
from tests.runtime.conftest import SLOW_ACTOR, Act
from tests.waiting import eventually


@pytest.mark.parametrize("name", ["heed", "swallow", "deaf-in-c", "deaf-in-python", "child"])
def test_a_job_that_outlasts_its_time_is_ended(act: Act, name: str) -> None:
    """Exit 1 with JOB_TIMEOUT, reported, no manifest, no child left."""
    nap = f"3600.{uuid.uuid4().int % 10**9}"
    run = act(name, environ={"BAQUP_JOB_TIMEOUT": "1", "NAP": nap})

    assert run.wait() == 1
    assert run.status["error"]["code"] == "JOB_TIMEOUT"
    assert run.status["exit_code"] == 1
    assert run.log[-1]["context"]["code"] == "JOB_TIMEOUT"
    assert run.manifest is None
    assert list(alive(nap)) == []


def test_c_code_that_holds_the_lock_is_ended_too(act: Act) -> None:
    """No thread of the agent can run, and still the code is 1 and a status lies on disk."""
    run = act("deaf-holding-the-lock", environ={"BAQUP_JOB_TIMEOUT": "1"})

    assert run.wait() == 1
    assert run.manifest is None
    assert run.orphan is not None
    assert run.orphan["error"]["code"] == "JOB_TIMEOUT"
    assert run.orphan["exit_code"] == 1
    assert run.orphan["completed_at"] > run.orphan["started_at"]


@pytest.mark.parametrize(
    ("step", "exit_code", "code"),
    [("prepare", 69, "INITIALIZATION_TIMEOUT"), ("publish", 74, "COMPLETION_TIMEOUT")],
)
def test_a_driver_that_is_stuck_in_its_own_work_is_left_behind(
    act: Act, tmp_path: Path, step: str, exit_code: int, code: str
) -> None:
    """The watchdog reports, and leaves the process with the state's code."""
    environ = {f"HOLD_{step.upper()}": str(tmp_path / "never"), "STATE_S": "0.5"}
    run = act("write", program=SLOW_ACTOR, environ=environ)

    assert run.wait() == exit_code
    assert run.status["error"]["code"] == code
    assert run.status["exit_code"] == exit_code
    assert run.log[-1]["context"]["exit_code"] == exit_code
    assert run.manifest is None


def test_a_deadline_noticed_late_in_initializing_still_counts(act: Act, tmp_path: Path) -> None:
    """The driver finds the expiry when it comes back, and does not begin the work."""
    gate = tmp_path / "go"
    run = act("write", program=SLOW_ACTOR, environ={"HOLD_PREPARE": str(gate), "STATE_S": "0.5"})
    run.wait_for_log("held in prepare")
    eventually(lambda: run.log[-1]["message"] != "" and _age_s(run) > 1.5)

    gate.touch()

    assert run.wait() == 69
    assert run.states == ["initializing", "failed"]
    assert run.status["error"]["code"] == "INITIALIZATION_TIMEOUT"


def _age_s(run: object) -> float:
    import time

    return time.monotonic() - run.started_s  # type: ignore[attr-defined]


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.s = 0.0

    def monotonic(self) -> float:
        return self.s

    def now(self):
        raise AssertionError("the watchdog reports no times")


def test_the_watchdog_tells_expiry_and_overrun_once_each() -> None:
    """A stay is reported when its time is over, and again when the overrun is."""
    clock, told = ManualClock(), []
    watchdog = Watchdog(
        lambda state: told.append(("expired", state)),
        lambda state: told.append(("overrun", state)),
        clock,
    )
    watchdog.enter(Limit("running", seconds=0, overrun_s=0))
    watchdog.start()

    eventually(lambda: len(told) == 2)

    assert told == [("expired", "running"), ("overrun", "running")]


def test_a_state_that_was_left_in_time_is_not_told() -> None:
    """Entering the next state starts a new time; a stopped watchdog tells nothing more."""
    clock, told = ManualClock(), []
    watchdog = Watchdog(told.append, told.append, clock)
    watchdog.enter(Limit("running", seconds=10, overrun_s=5))
    watchdog.start()

    clock.s = 9
    watchdog.enter(Limit("completing", seconds=10, overrun_s=5))
    clock.s = 18.9
    watchdog.enter(Limit("terminated", seconds=0, overrun_s=100))
    eventually(lambda: told)
    watchdog.stop()
    eventually(lambda: not watchdog.alive)

    assert told == ["terminated"]
