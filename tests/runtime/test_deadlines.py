"""State deadlines end real runs, whatever holds them up (Contract §1)."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest

from baqup_agent import CONTRACT, State, Transition, refine
from baqup_agent.runtime.deadlines import Limit, Watchdog
from baqup_agent.runtime.stays import Stays
from baqup_agent.testing import ManualClock
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
    ("state", "step", "exit_code", "code"),
    [
        ("initializing", "prepare", 69, "INITIALIZATION_TIMEOUT"),
        ("completing", "publish", 74, "COMPLETION_TIMEOUT"),
    ],
)
def test_a_driver_that_is_stuck_in_its_own_work_is_left_behind(
    act: Act, tmp_path: Path, state: str, step: str, exit_code: int, code: str
) -> None:
    """The watchdog reports, and leaves the process with the state's code."""
    environ = {f"HOLD_{step.upper()}": str(tmp_path / "never"), "SHORT": state}
    run = act("write", program=SLOW_ACTOR, environ=environ)

    assert run.wait() == exit_code
    assert run.status["error"]["code"] == code
    assert run.status["exit_code"] == exit_code
    assert run.log[-1]["context"]["exit_code"] == exit_code
    assert run.manifest is None


def test_a_deadline_noticed_late_in_initializing_still_counts(act: Act, tmp_path: Path) -> None:
    """The driver finds the expiry when it comes back, and does not begin the work."""
    gate = tmp_path / "go"
    run = act(
        "write", program=SLOW_ACTOR, environ={"HOLD_PREPARE": str(gate), "SHORT": "initializing"}
    )
    run.wait_for_log("held in prepare")
    held_s = time.monotonic()
    eventually(lambda: time.monotonic() > held_s + 1)  # past the deadline, before the overrun

    gate.touch()

    assert run.wait() == 69
    assert run.states == ["initializing", "failed"]
    assert run.status["error"]["code"] == "INITIALIZATION_TIMEOUT"


class Told:
    """A watchdog on a clock that is moved by hand, and what it told."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.told: list[tuple[str, str]] = []
        self.watchdog = Watchdog(
            lambda limit: self.told.append(("expired", limit.state)),
            lambda limit: self.told.append(("overrun", limit.state)),
            self.clock,
        )


def test_the_watchdog_tells_expiry_and_overrun_once_each() -> None:
    """A stay is told when its time is over, and again when the overrun is; then it ends."""
    scene = Told()
    scene.watchdog.keep([Limit("running", due_s=0, overrun_s=0)])
    scene.watchdog.start()

    eventually(lambda: not scene.watchdog.alive)

    assert scene.told == [("expired", "running"), ("overrun", "running")]


def test_the_first_of_several_stays_to_end_is_told_first() -> None:
    """A leaf's limit and its phase's are kept side by side."""
    scene = Told()
    scene.watchdog.keep([Limit("running", due_s=5, overrun_s=100), Limit("leaf", 3, 100)])
    scene.clock.advance(10)
    scene.watchdog.start()

    eventually(lambda: len(scene.told) == 2)
    scene.watchdog.stop()

    assert scene.told == [("expired", "leaf"), ("expired", "running")]


def test_a_stay_that_ended_in_time_is_not_told() -> None:
    """What is no longer kept never expires; a stopped watchdog tells nothing more."""
    scene = Told()
    scene.watchdog.keep([Limit("running", due_s=10, overrun_s=5)])
    scene.watchdog.start()
    scene.clock.advance(9)
    scene.watchdog.keep([Limit("terminated", due_s=9, overrun_s=100)])

    eventually(lambda: scene.told)
    scene.watchdog.stop()
    eventually(lambda: not scene.watchdog.alive)

    assert scene.told == [("expired", "terminated")]


NESTED = refine(
    CONTRACT,
    "running",
    initial="a",
    states=[State("a", timeout_s=10), State("b")],
    transitions=[Transition("go", "a", "b"), Transition("again", "a", "a")],
)


def test_a_stay_goes_on_while_its_scope_is_not_left() -> None:
    """The phase's time is not begun anew by transitions inside it; a leaf's is, by a stay too."""
    seconds = {"running": 100, "running.a": 10, "completing": 60}
    stays = Stays(NESTED, lambda state: (seconds[state.name], 1) if state.name in seconds else None)

    (phase, first) = stays.enter("initializing", "running.a", 1000)
    (same, second) = stays.enter("running.a", "running.a", 1004)

    assert same is phase
    assert (phase.due_s, first.due_s, second.due_s) == (1100, 1010, 1014)
    assert stays.holds(phase)
    assert stays.holds(second)
    assert not stays.holds(first)
    assert stays.left_s(1005) == 9
    assert stays.enter("running.a", "running.b", 1006) == (phase,)
    assert stays.enter("running.b", "completing", 1007)[0].due_s == 1067
    assert not stays.holds(phase)
