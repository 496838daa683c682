"""The compiled machine, enumerated: every state against every trigger."""

from __future__ import annotations

from itertools import product

import pytest

from baqup_agent.contract import ExitCode
from baqup_agent.lifecycle.declaration import CONTRACT, Deadline, Lifecycle
from baqup_agent.lifecycle.history import Step
from baqup_agent.lifecycle.illegal import IllegalTransition
from baqup_agent.lifecycle.machine import Machine

#: The shortest way to each state, written out by hand.
WAYS = {
    "initializing": (),
    "running": ("start",),
    "completing": ("start", "complete"),
    "terminated": ("start", "complete", "terminate"),
    "failed": ("fail",),
}

#: Every legal pair, written out by hand.
LEGAL = {
    ("initializing", "start"): "running",
    ("initializing", "fail"): "failed",
    ("running", "complete"): "completing",
    ("running", "fail"): "failed",
    ("completing", "terminate"): "terminated",
    ("completing", "fail"): "failed",
}

PAIRS = sorted(product(WAYS, ("start", "complete", "terminate", "fail")))


class Scene:
    """A machine brought to a state, whose effects and steps are noted."""

    def __init__(self, state: str, lifecycle: Lifecycle = CONTRACT) -> None:
        self.seen: list[object] = []
        effects = {
            each.name: [lambda name=each.name: self.seen.append(("effect", name))]
            for each in lifecycle.states
        }
        self.machine = Machine(lifecycle, effects, observer=self.seen.append)
        for trigger in WAYS[state]:
            self.machine.fire(trigger)
        self.seen.clear()


@pytest.mark.parametrize(("state", "trigger"), [pair for pair in PAIRS if pair in LEGAL])
def test_a_legal_trigger_leads_to_its_target(state: str, trigger: str) -> None:
    """It moves the machine, records one step, and runs the target's effects after that."""
    scene = Scene(state)
    before = len(scene.machine.history)

    scene.machine.fire(trigger)

    target = LEGAL[state, trigger]
    step = list(scene.machine.history)[-1]
    assert scene.machine.state == target
    assert len(scene.machine.history) == before + 1
    assert (step.trigger, step.source, step.target) == (trigger, state, target)
    assert scene.seen == [step, ("effect", target)]


@pytest.mark.parametrize(("state", "trigger"), [pair for pair in PAIRS if pair not in LEGAL])
def test_an_illegal_trigger_changes_nothing(state: str, trigger: str) -> None:
    """It raises, naming state, trigger and what is legal; no state, step or effect comes of it."""
    scene = Scene(state)
    history = list(scene.machine.history)

    with pytest.raises(IllegalTransition) as caught:
        scene.machine.fire(trigger)

    assert caught.value.state == state
    assert caught.value.trigger == trigger
    assert set(caught.value.legal) == {fired for source, fired in LEGAL if source == state}
    assert scene.machine.state == state
    assert list(scene.machine.history) == history
    assert scene.seen == []


@pytest.mark.parametrize(
    ("word", "meant"), [("strat", "start"), ("terminated", "terminate"), ("xyzzy", None)]
)
def test_a_misspelt_trigger_gets_a_hint(word: str, meant: str | None) -> None:
    """A name close to a known trigger is answered with that trigger."""
    with pytest.raises(IllegalTransition) as caught:
        Machine(CONTRACT).fire(word)

    assert caught.value.did_you_mean == meant
    assert ("did you mean" in str(caught.value)) == (meant is not None)


def test_the_message_of_an_illegal_trigger_is_one_line_with_the_remedy() -> None:
    """State, trigger and the legal triggers stand in one line."""
    with pytest.raises(IllegalTransition) as caught:
        Machine(CONTRACT).fire("complete")

    assert str(caught.value) == (
        "no transition for 'complete' in state 'initializing'; legal here: 'start', 'fail'"
    )


def test_effects_of_the_initial_state_run_on_begin() -> None:
    """No transition enters the initial state, so `begin` runs its effects, and records nothing."""
    seen: list[str] = []
    machine = Machine(
        CONTRACT, {"initializing": [lambda: seen.append("a"), lambda: seen.append("b")]}
    )

    machine.begin()

    assert seen == ["a", "b"]
    assert len(machine.history) == 0


def test_an_effect_that_raises_leaves_the_machine_in_the_new_state() -> None:
    """The state has changed and is recorded; the effects behind the raising one do not run."""
    seen: list[str] = []

    def burst() -> None:
        raise OSError("disk on fire")

    machine = Machine(CONTRACT, {"running": [burst, lambda: seen.append("after")]})

    with pytest.raises(OSError, match="disk on fire"):
        machine.fire("start")

    assert machine.state == "running"
    assert [step.target for step in machine.history] == ["running"]
    assert seen == []
    machine.fire("fail")
    assert machine.final


class TickingClock:
    """A clock that advances by one second at each look."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return float(self.looks)

    def now(self):
        from datetime import UTC, datetime

        return datetime(2026, 1, 15, 3, 0, self.looks, tzinfo=UTC)


def test_history_tells_both_times_of_each_step() -> None:
    """Each step has the monotonic time and the wall time at which it took place."""
    machine = Machine(CONTRACT, clock=TickingClock())

    machine.fire("start")
    machine.fire("fail")

    first, second = machine.history
    assert isinstance(first, Step)
    assert (first.monotonic_s, second.monotonic_s) == (1.0, 2.0)
    assert first.to_wire() == {
        "trigger": "start",
        "source": "initializing",
        "target": "running",
        "monotonic_s": 1.0,
        "timestamp": "2026-01-15T03:00:01.000000Z",
    }


def test_a_deadline_has_one_source() -> None:
    """Seconds and variable exclude each other, and one of them is needed."""
    with pytest.raises(ValueError, match="one of the two"):
        Deadline("X", ExitCode.IO_ERROR)
    with pytest.raises(ValueError, match="one of the two"):
        Deadline("X", ExitCode.IO_ERROR, seconds=1, variable="Y")


def test_an_unknown_state_is_a_key_error() -> None:
    """Looking up a state that is not declared names it."""
    with pytest.raises(KeyError, match="nowhere"):
        CONTRACT.state("nowhere")
