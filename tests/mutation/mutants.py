"""Machines that are wrong in one place each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any
from unittest import mock

from attrs import evolve

from baqup_agent import errors
from baqup_agent.contract import ExitCode
from baqup_agent.lifecycle.declaration import Lifecycle, Transition
from baqup_agent.lifecycle.history import History, Step
from baqup_agent.lifecycle.illegal import IllegalTransition
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.lifecycle.monitor import Divergence, Monitor
from baqup_agent.runtime import failing
from tests.mutation.harness import Mutant

# -- the table ----------------------------------------------------------------

Rewrite = Callable[[tuple[Transition, ...]], tuple[Transition, ...]]


def _rewritten(rewrite: Rewrite, lifecycle: Lifecycle, *args: Any, **options: Any) -> Machine:
    rows = rewrite(lifecycle.transitions)
    return Machine(evolve(lifecycle, transitions=rows), *args, **options)


def _table_mutant(name: str, rewrite: Rewrite, near: str = "") -> Mutant:
    return Mutant(name, partial(_rewritten, rewrite), near=near)


def table_mutants(lifecycle: Lifecycle) -> Iterator[Mutant]:
    """Every cell of the table with every other content: retargeted, emptied, filled."""
    leaves = [state.name for state in lifecycle.states]
    for leaf, trigger in product(leaves, lifecycle.triggers):
        rows = [
            number
            for number, row in enumerate(lifecycle.transitions)
            if (row.source, row.trigger) == (leaf, trigger)
        ]
        near = f"{leaf}-{trigger}"
        if not rows:
            for target in leaves:
                name = f"add {leaf} {trigger} {target}"
                yield _table_mutant(name, _adding(leaf, trigger, target), near)
        for number in rows:
            yield _table_mutant(f"drop {leaf} {trigger}", _dropping(number), near)
            for target in leaves:
                if target != lifecycle.transitions[number].target:
                    name = f"retarget {leaf} {trigger} {target}"
                    yield _table_mutant(name, _retargeting(number, target), near)


def _adding(leaf: str, trigger: str, target: str) -> Rewrite:
    return lambda rows: (*rows, Transition(trigger, leaf, target))


def _dropping(number: int) -> Rewrite:
    return lambda rows: (*rows[:number], *rows[number + 1 :])


def _retargeting(number: int, target: str) -> Rewrite:
    return lambda rows: (
        *rows[:number], evolve(rows[number], target=target), *rows[number + 1 :]
    )  # fmt: skip


def swapped_targets(lifecycle: Lifecycle) -> Iterator[Mutant]:
    """Each two rows with each other's target."""
    count = len(lifecycle.transitions)
    for one, other in ((a, b) for a in range(count) for b in range(a)):
        targets = [lifecycle.transitions[each].target for each in (one, other)]
        if targets[0] != targets[1]:
            yield _table_mutant(f"swap {one} {other}", _swapping(one, other))


def _swapping(one: int, other: int) -> Rewrite:
    def rewrite(rows: tuple[Transition, ...]) -> tuple[Transition, ...]:
        changed = list(rows)
        changed[one] = evolve(rows[one], target=rows[other].target)
        changed[other] = evolve(rows[other], target=rows[one].target)
        return tuple(changed)

    return rewrite


def guard_mutants(lifecycle: Lifecycle) -> Iterator[Mutant]:
    """Each guard left out, turned round, called without its payload, or asked twice."""

    def changed(number: int, change: Callable[..., Any]) -> Rewrite:
        return lambda rows: (
            *rows[:number],
            evolve(rows[number], guard=change(rows[number].guard)),
            *rows[number + 1 :],
        )

    for number, row in enumerate(lifecycle.transitions):
        if row.guard is not None:
            for name, change in _GUARD_CHANGES.items():
                yield _table_mutant(f"guard {name} {row.trigger}", changed(number, change))


_GUARD_CHANGES: dict[str, Callable[..., Any]] = {
    "left out": lambda _: None,
    "always no": lambda _: lambda **_payload: False,
    "turned round": lambda guard: lambda **payload: not guard(**payload),
    "without payload": lambda guard: lambda **_payload: guard(),
    "asked twice": lambda guard: lambda **payload: guard(**payload) and guard(**payload),
}

# -- effects ------------------------------------------------------------------


class BadEffects(Machine):
    """Does something else with the effect at one position of one edge.

    Args:
        spoil: source, trigger and position of the effect, and what becomes of it.
    """

    def __init__(
        self,
        spoil: tuple[str, str, int, str],
        lifecycle: Lifecycle,
        effects: Any = None,
        **options: Any,
    ) -> None:
        self._spoil = spoil
        self._now = ("", "")
        self._position = 0
        self._kept: Callable[[], None] | None = None
        for kind in ("exits", "actions"):
            options[kind] = self._wrapped(options.get(kind) or {})
        super().__init__(lifecycle, self._wrapped(effects or {}), **options)

    def _wrapped(self, table: Any) -> Any:
        return {name: [partial(self._run, each) for each in row] for name, row in table.items()}

    def _run(self, effect: Callable[[], None]) -> None:
        source, trigger, position, what = self._spoil
        here = self._now == (source, trigger) and self._position == position
        self._position += 1
        if here and what == "late":
            self._kept = effect
            return
        for _ in range({"drop": 0, "double": 2}.get(what, 1) if here else 1):
            effect()
        if self._kept is not None:
            kept, self._kept = self._kept, None
            kept()

    def fire(self, trigger: str, **payload: Any) -> None:
        self._now, self._position = (self.state, trigger), 0
        super().fire(trigger, **payload)

    def begin(self) -> None:
        self._now, self._position = ("", "begin"), 0
        super().begin()


def effect_mutants(lifecycle: Lifecycle) -> Iterator[Mutant]:
    """Every effect of every edge dropped, doubled, or run behind the one after it."""
    from baqup_agent.testing.lifecycle.model import Model
    from baqup_agent.testing.lifecycle.scene import EFFECTS_EACH

    model = Model(lifecycle)
    places = [("", "begin", len(model.scopes(model.initial)))]
    for edge in model.edges:
        rows = 1 + len(model.left(edge)) + len(model.entered(edge))
        places.append((edge.source, edge.trigger, rows))
    for source, trigger, rows in places:
        for position, what in product(range(EFFECTS_EACH * rows), ("drop", "double", "late")):
            name = f"{what} effect {position} of {source} {trigger}"
            machine = partial(BadEffects, (source, trigger, position, what))
            yield Mutant(name, machine, near=f"{source}-{trigger}")


# -- hidden state -------------------------------------------------------------


class Moody(Machine):
    """Misbehaves when its mood says so.

    Args:
        mood: takes the triggers fired so far and this one; returns whether to misbehave.
        way: how: ``swallow`` the trigger, ``refuse`` it, or ``fail`` in its place.
    """

    def __init__(
        self, mood: Callable[[list[str], str], bool], way: str, *args: Any, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._mood, self._way = mood, way
        self._fired: list[str] = []

    def fire(self, trigger: str, **payload: Any) -> None:
        before = list(self._fired)
        self._fired.append(trigger)
        if not self._mood(before, trigger):
            super().fire(trigger, **payload)
        elif self._way == "refuse":
            raise IllegalTransition(self.state, trigger, (), ())
        elif self._way == "fail":
            super().fire("fail")


def hidden_state_mutants(lifecycle: Lifecycle, most: int) -> Iterator[Mutant]:
    """Every k-th firing misbehaves, or every one behind a certain other."""
    for every, way in product(range(2, most + 1), ("swallow", "refuse", "fail")):
        machine = partial(Moody, _each(every), way)
        yield Mutant(f"{way} every firing number {every}", machine, near="way_to")
    for before, trigger in product(lifecycle.triggers, repeat=2):
        mood = partial(_behind, before, trigger)
        machine = partial(Moody, mood, "swallow")
        yield Mutant(f"swallow {trigger} behind {before}", machine, near="way_to")


def _each(every: int) -> Callable[[list[str], str], bool]:
    return lambda before, _trigger: (len(before) + 1) % every == 0


def _behind(wanted: str, trigger: str, before: list[str], fired: str) -> bool:
    return fired == trigger and before[-1:] == [wanted]


# -- history and monitor ------------------------------------------------------


class _NoHistory(History):
    def record(self, trigger: str, source: str, target: str) -> Step:
        return Step(trigger, source, target, self.clock.monotonic(), self.clock.now())


class _TwiceHistory(History):
    def record(self, trigger: str, source: str, target: str) -> Step:
        super().record(trigger, source, target)
        return super().record(trigger, source, target)


class _TurnedHistory(History):
    def record(self, trigger: str, source: str, target: str) -> Step:
        return super().record(trigger, target, source)


class _DeafMonitor(Monitor):
    def follow(self, step: Step) -> None:
        """Follow nothing."""


class _MildMonitor(Monitor):
    def follow(self, step: Step) -> None:
        try:
            super().follow(step)
        except Divergence:
            self.phase = type(self.phase)(step.target.partition(".")[0])


class _HarshMonitor(Monitor):
    def follow(self, step: Step) -> None:
        super().follow(step)
        if step.source == step.target:
            raise Divergence(step, self.phase)


def _with_part(part: str, made: Callable[[Machine], object], *args: Any, **options: Any) -> Machine:
    machine = Machine(*args, **options)
    setattr(machine, part, made(machine))
    return machine


def _unheard(*args: Any, **options: Any) -> Machine:
    return Machine(*args, **{**options, "observer": None})


def witness_mutants() -> Iterator[Mutant]:
    """History, monitor and observer that do not do their part."""
    for history in (_NoHistory, _TwiceHistory, _TurnedHistory):
        made: Any = partial(_history_of, history)
        yield Mutant(history.__name__, partial(_with_part, "history", made))
    for monitor in (_DeafMonitor, _MildMonitor):
        yield Mutant(
            monitor.__name__, partial(_with_part, "monitor", partial(_monitor_of, monitor))
        )
    yield Mutant("no observer", _unheard)


def harsh_monitor() -> Mutant:
    """A monitor that takes a stutter for a step off the contract."""
    return Mutant("harsh", partial(_with_part, "monitor", partial(_monitor_of, _HarshMonitor)))


def _history_of(cls: type[History], machine: Machine) -> History:
    return cls(machine.history.clock)


def _monitor_of(cls: type[Monitor], machine: Machine) -> Monitor:
    return cls(machine.monitor.phase)


# -- exit codes ---------------------------------------------------------------


def exit_code_mutants(*, all_codes: bool) -> Iterator[Mutant]:
    """Each class of the error tree with another exit code: the next one, or every one."""
    from baqup_agent.testing.lifecycle.exit_codes import OWN

    codes = list(ExitCode)
    for name in OWN:
        cls = getattr(errors, name)
        right = codes.index(cls.exit_code)
        for shift in range(1, len(codes) if all_codes else 2):
            wrong = codes[(right + shift) % len(codes)]
            world = partial(mock.patch.object, cls, "exit_code", wrong)
            yield Mutant(f"{name} has {wrong}", world=world)


def classification_mutants() -> Iterator[Mutant]:
    """Foreign exceptions put into the wrong class, each kind in its turn."""
    for name, (kinds, wrong) in _WRONG_CLASSES.items():
        world = partial(mock.patch.object, failing, "classify", partial(_classify, kinds, wrong))
        yield Mutant(name, world=world)


_WRONG_CLASSES: dict[str, tuple[tuple[type[BaseException], ...], type[errors.BaqupError]]] = {
    "OSError is a bug": ((OSError,), errors.InternalError),
    "a refused connection is an I/O error": ((ConnectionRefusedError,), errors.IOFailure),
    "a timeout is an I/O error": ((TimeoutError,), errors.IOFailure),
    "a broken pipe is the network": ((BrokenPipeError,), errors.SourceUnavailable),
    "a bug is an I/O error": ((ValueError,), errors.IOFailure),
    "an illegal trigger is a failure": ((IllegalTransition,), errors.GeneralFailure),
    "sys.exit is a failure": ((SystemExit,), errors.GeneralFailure),
    "an interrupt is an abort": ((KeyboardInterrupt,), errors.Aborted),
    "a cancelled job is an abort": ((errors.JobCancelled,), errors.Aborted),
    "no memory is unavailable": ((MemoryError,), errors.SourceUnavailable),
}


def _classify(
    kinds: tuple[type[BaseException], ...], wrong: type[errors.BaqupError], error: BaseException
) -> errors.BaqupError:
    return wrong("mutated") if isinstance(error, kinds) else errors.classify(error)
