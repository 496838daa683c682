"""What the lifecycle engine costs: ``python -m tests.benchmarks.bench_lifecycle [ROUNDS]``.

In one run, taken in turn, and told as medians over the rounds:

* the contract's whole lifecycle, driven with effects that do nothing, against a bare
  ``transitions.Machine`` with the same flat states and as many callbacks, and against one with no
  callback at all;
* the same against python-statemachine, where it is installed (it is no dependency:
  ``pip install python-statemachine`` by hand, for the run);
* microseconds per transition for lifecycles of 5, 20 and 100 leaves.

A figure counts transitions only: machines are built before the clock starts.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from transitions import Machine as CoreMachine

from baqup_agent.lifecycle.declaration import CONTRACT, Lifecycle, State, Transition
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.lifecycle.refinement import refine

#: Machines that go through their whole lifecycle in one round.
_BATCH = 300

#: Times that a chain of leaves is gone round in one round.
_LAPS = 2000

_WAY = ("start", "complete", "terminate")


def nothing() -> None:
    """An effect that does nothing."""


def nothing_of(_event: object) -> None:
    """The same, as `transitions` calls it."""


def ours() -> Callable[[], None]:
    """The whole lifecycle on our engine: an effect on entering each state, an observer."""
    effects = {state.name: [nothing] for state in CONTRACT.states}
    machines = [Machine(CONTRACT, effects) for _ in range(_BATCH)]

    def go() -> None:
        for machine in machines:
            for trigger in _WAY:
                machine.fire(trigger)

    return go


def bare(*, callbacks: bool) -> Callable[[], None]:
    """The same on a flat `transitions` machine of strings, driven by trigger name."""
    states = [
        {"name": state.name, **({"on_enter": [nothing_of]} if callbacks else {})}
        for state in CONTRACT.states
    ]
    rows = [
        {"trigger": edge.trigger, "source": edge.source, "dest": edge.target}
        for edge in CONTRACT.transitions
    ]
    models = [
        CoreMachine(
            states=states,
            transitions=rows,
            initial=CONTRACT.initial,
            auto_transitions=False,
            send_event=True,
        )
        for _ in range(_BATCH)
    ]

    def go() -> None:
        for model in models:
            for trigger in _WAY:
                model.trigger(trigger)

    return go


def statemachine() -> Callable[[], None] | None:
    """The same on python-statemachine; None where it is not installed."""
    try:
        from statemachine import State as Place
        from statemachine import StateMachine
    except ModuleNotFoundError:
        return None

    class Job(StateMachine):  # type: ignore[misc, valid-type]
        initializing = Place(initial=True)
        running = Place()
        completing = Place()
        terminated = Place(final=True)
        failed = Place(final=True)
        start = initializing.to(running)
        complete = running.to(completing)
        terminate = completing.to(terminated)
        fail = initializing.to(failed) | running.to(failed) | completing.to(failed)

        def on_enter_running(self) -> None:
            """Do nothing."""

        def on_enter_completing(self) -> None:
            """Do nothing."""

        def on_enter_terminated(self) -> None:
            """Do nothing."""

    machines = [Job() for _ in range(_BATCH)]

    def go() -> None:
        for machine in machines:
            for trigger in _WAY:
                machine.send(trigger)

    return go


def ring(leaves: int) -> Lifecycle:
    """A lifecycle of so many leaves, those of `running` leading round in a circle."""
    if leaves == len(CONTRACT.states):
        return refine(
            CONTRACT, "running", initial="l0", states=[State("l0")],
            transitions=[Transition("next", "l0", "l0"),
                         Transition("complete", "l0", "completing")],
        )  # fmt: skip
    count = leaves - len(CONTRACT.states) + 1
    names = [f"l{number}" for number in range(count)]
    return refine(
        CONTRACT, "running", initial="l0", states=[State(name) for name in names],
        transitions=[
            *(Transition("next", name, names[(at + 1) % count]) for at, name in enumerate(names)),
            Transition("complete", "l0", "completing"),
        ],
    )  # fmt: skip


def round_the_ring(leaves: int) -> Callable[[], None]:
    """Transitions between the leaves of a ring, an effect on entering each."""
    lifecycle = ring(leaves)
    machine = Machine(lifecycle, {state.name: [nothing] for state in lifecycle.states})
    machine.fire("start")

    def go() -> None:
        for _ in range(_LAPS):
            machine.fire("next")

    return go


def seconds(make: Callable[[], Callable[[], None]]) -> float:
    """CPU seconds of one round: other processes on the machine do not count."""
    go = make()
    gc.collect()
    gc.disable()
    began = time.process_time()
    go()
    taken = time.process_time() - began
    gc.enable()
    return taken


def compare(
    subjects: dict[str, Callable[[], Callable[[], None]]], rounds: int
) -> dict[str, list[float]]:
    """The seconds of each subject's rounds, taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, make in subjects.items():
            taken[name].append(seconds(make))
    return taken


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def main(rounds: int) -> None:
    subjects: dict[str, Callable[[], Callable[[], None]]] = {
        "ours": ours,
        "bare transitions, same callbacks": lambda: bare(callbacks=True),
        "bare transitions, no callbacks": lambda: bare(callbacks=False),
    }
    rival = statemachine()
    if rival is not None:
        subjects["python-statemachine"] = lambda: statemachine() or nothing
    taken = compare(subjects, rounds)
    for name, row in taken.items():
        per = statistics.median(row) / (_BATCH * len(_WAY)) * 1e6
        against = f"   ours is {ratio(taken['ours'], row):.2f} of it" if name != "ours" else ""
        print(f"{name:34s} {per:8.2f} µs per transition{against}")
    if rival is None:
        print("python-statemachine                not installed")
    for leaves in (5, 20, 100):
        row = compare({"ring": lambda leaves=leaves: round_the_ring(leaves)}, rounds)["ring"]
        print(f"{leaves:3d} leaves {statistics.median(row) / _LAPS * 1e6:8.2f} µs per transition")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
