"""A machine under test, watched at every firing.

`Scene.fire` says beforehand, from the model, what has to happen: which guards are asked, which
effects run in which order and in which state, what is recorded, what is raised. Afterwards it
holds that against what did happen, together with the invariants of Contract §1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from baqup_agent.lifecycle.history import Step
from baqup_agent.lifecycle.illegal import IllegalTransition, RefusedTransition
from baqup_agent.testing.clock import ManualClock
from baqup_agent.testing.lifecycle.failure import LifecycleFailure, Passed
from baqup_agent.testing.lifecycle.model import FINAL_PHASES, PHASES, Edge, Firing, phase_of
from baqup_agent.testing.lifecycle.subject import Subject, Switchboard

#: A failure is told by its message; the way through the kit to it tells nothing.
__tracebackhide__ = True

#: Effects that the kit hangs on every state's entry and exit, and actions on every trigger.
EFFECTS_EACH = 2

#: One thing that was seen: its kind, whose it is, which of several, and the machine's state then.
Mark = tuple[str, str, int, str]

#: Told of every firing that was checked: leaf, trigger, edge taken.
Listener = Callable[[str, str, Edge | None], None]

_STEP = "step"


class Fault(Exception):
    """Raised by an effect on the kit's behalf."""


class HardFault(BaseException):
    """The same, as an exception that ``except Exception`` lets through."""


class Scene:
    """One machine from its beginning.

    Args:
        subject: what is tested.
        listener: told of each firing that held.
    """

    def __init__(self, subject: Subject, listener: Listener | None = None) -> None:
        self.model = subject.model
        self.leaf = self.model.initial
        self.passed: list[Passed] = []
        self._listener = listener
        self._board = Switchboard()
        self._seen: list[Mark] = []
        self._fault: tuple[int, BaseException] | None = None
        self._steps: list[tuple[str, str, str]] = []
        self._payload = 0
        names, triggers = self.model.names, self.model.triggers
        self.machine = subject.machine(
            subject.steered(self._board),
            {name: self._row("enter", name) for name in names},
            exits={name: self._row("exit", name) for name in names},
            actions={trigger: self._row("action", trigger) for trigger in triggers},
            observer=self._observe,
            clock=ManualClock(),
        )

    def _row(self, kind: str, name: str) -> list[Callable[[], None]]:
        return [partial(self._happen, kind, name, number) for number in range(EFFECTS_EACH)]

    def _happen(self, kind: str, name: str, number: int) -> None:
        position = len(self._seen)
        self._seen.append((kind, name, number, self.machine.state))
        if self._fault is not None and self._fault[0] == position:
            raise self._fault[1]

    def _observe(self, step: Step) -> None:
        self._happen(_STEP, f"{step.trigger}: {step.source} -> {step.target}", 0)

    def begin(self) -> None:
        """Run the effects of the initial state and check them."""
        self.machine.begin()
        scopes = self.model.scopes(self.leaf)
        self._compare_marks([*_marks("enter", scopes, self.leaf)])
        self._compare_standing()

    def go(self, *firings: Firing) -> Scene:
        """Fire several, each checked; return the scene."""
        for firing in firings:
            self.fire(firing)
        return self

    def push(self, firing: Firing, **payload: Any) -> None:
        """Fire a trigger and check nothing; whatever the machine raises comes through."""
        self._board.open = firing.open
        self.machine.fire(firing.trigger, **payload)

    def lend(self, index: int, guard: Callable[..., bool]) -> None:
        """Let an author's own guard answer for its edge."""
        self._board.own[index] = guard

    def expected(self, edge: Edge) -> list[Mark]:
        """Everything that has to be seen when ``edge`` is taken, in order."""
        model = self.model
        return [
            *_marks("action", (edge.trigger,), edge.source),
            *_marks("exit", model.left(edge), edge.source),
            (_STEP, f"{edge.trigger}: {edge.source} -> {edge.target}", 0, edge.target),
            *_marks("enter", model.entered(edge), edge.target),
        ]

    def fire(self, firing: Firing, fault_at: int | None = None, *, hard: bool = False) -> None:
        """Fire a trigger and check everything about it.

        Args:
            firing: the trigger, and the guards' answers.
            fault_at: the position, among what is then seen, at which an error is raised.
            hard: whether that error is no `Exception`.

        Raises:
            LifecycleFailure: something was not as declared.
        """
        before = self.leaf
        edge = self.model.taken(before, firing)
        marks = [] if edge is None else self.expected(edge)
        fault = fault_at if fault_at is not None and fault_at < len(marks) else None
        moved = edge is not None and (fault is None or _arrived(marks[fault]))
        if edge is not None and moved:
            self.leaf = edge.target
            self._steps.append((edge.trigger, edge.source, edge.target))
        self.passed.append(Passed(_label(firing, self.model.row(before, firing.trigger), fault),
                                  self.leaf))  # fmt: skip
        raised = self._fired(firing, fault, hard=hard)
        self._compare_outcome(firing, before, edge, fault, raised)
        self._compare_standing()
        self._compare_guards(firing, before)
        self._compare_marks(marks if fault is None else marks[: fault + 1])
        if self._listener is not None:
            self._listener(before, firing.trigger, edge)

    def _fired(self, firing: Firing, fault: int | None, *, hard: bool) -> BaseException | None:
        self._seen.clear()
        self._board.open = firing.open
        self._board.asked.clear()
        self._board.payloads.clear()
        self._payload += 1
        if fault is not None:
            error = HardFault if hard else Fault
            self._fault = (fault, error(f"raised by effect {fault}"))
        try:
            self.machine.fire(firing.trigger, probe=self._payload)
        except (Exception, HardFault) as error:  # noqa: BLE001  the outcome is what is checked
            return error
        return None

    def _compare_outcome(
        self,
        firing: Firing,
        before: str,
        edge: Edge | None,
        fault: int | None,
        raised: BaseException | None,
    ) -> None:
        if fault is not None:
            injected = self._fault
            self._fault = None
            if injected is None or raised is not injected[1]:
                self._fail(f"the error of effect {fault} did not come through; got {raised!r}")
        elif edge is not None and raised is not None:
            self._fail(f"{firing} is legal in {before!r}, but raised {raised!r}")
        elif edge is None:
            self._compare_refusal(firing, before, raised)

    def _compare_refusal(self, firing: Firing, before: str, raised: BaseException | None) -> None:
        refused = bool(self.model.row(before, firing.trigger))
        wanted = RefusedTransition if refused else IllegalTransition
        if type(raised) is not wanted:
            word = "refused by its guards" if refused else "illegal"
            self._fail(
                f"{firing} is {word} in {before!r}: {wanted.__name__} was expected, "
                f"got {raised!r}, state {self.machine.state!r}"
            )
        told = (raised.state, raised.trigger, raised.legal)
        if told != (before, firing.trigger, self.model.legal(before)):
            self._fail(f"the error of an illegal {firing} tells {told!r}")

    def _compare_guards(self, firing: Firing, before: str) -> None:
        wanted = self.model.consulted(before, firing)
        if self._board.asked != wanted:
            self._fail(f"guards of edges {wanted} were to be asked, {self._board.asked} were")
        if any(payload != {"probe": self._payload} for payload in self._board.payloads):
            self._fail(f"a guard was called with {self._board.payloads!r}")

    def _compare_marks(self, wanted: list[Mark]) -> None:
        if self._seen != wanted:
            at = next(
                (n for n, pair in enumerate(zip(self._seen, wanted, strict=False))
                 if pair[0] != pair[1]),
                min(len(self._seen), len(wanted)),
            )  # fmt: skip
            self._fail(f"effect {at} was to be {_told(wanted, at)}, was {_told(self._seen, at)}")

    def _compare_standing(self) -> None:
        """Hold state, history, monitor and the invariants against the model."""
        machine, leaf = self.machine, self.leaf
        phase = phase_of(leaf)
        if machine.state != leaf:
            self._fail(f"expected state {leaf!r}, saw {machine.state!r}")
        if machine.phase.value != phase or machine.final != (phase in FINAL_PHASES):
            self._fail(f"in {leaf!r} the machine says phase {machine.phase}, final {machine.final}")
        if machine.monitor.phase.value != phase:
            self._fail(f"the monitor is in {machine.monitor.phase.value!r}, not in {phase!r}")
        steps = [(step.trigger, step.source, step.target) for step in machine.history]
        if steps != self._steps or len(machine.history) != len(steps):
            self._fail(f"expected the history {_tail(self._steps)}, saw {_tail(steps)}")
        self._hold_phase_order()

    def _hold_phase_order(self) -> None:
        for trigger, source, target in self._steps[-1:]:
            old, new = PHASES.index(phase_of(source)), PHASES.index(phase_of(target))
            skips = new not in {old, old + 1, len(PHASES) - 1} or phase_of(source) in FINAL_PHASES
            if skips:
                self._fail(f"{trigger} led from {source!r} to {target!r}, against the phases")

    def _fail(self, problem: str) -> NoReturn:
        raise LifecycleFailure(self.model.initial, self.passed, problem)


def _marks(kind: str, names: tuple[str, ...], state: str) -> list[Mark]:
    return [(kind, name, number, state) for name in names for number in range(EFFECTS_EACH)]


def _arrived(mark: Mark) -> bool:
    """Whether the machine has changed its state by the time of ``mark``."""
    return mark[0] in {_STEP, "enter"}


def _label(firing: Firing, row: tuple[Edge, ...], fault: int | None) -> str:
    label = firing.trigger
    if guarded := [edge for edge in row if edge.guarded]:
        answers = ", ".join("yes" if edge.index in firing.open else "no" for edge in guarded)
        label += f" (guard: {answers})"
    return label if fault is None else f"{label} (error in effect {fault})"


def _told(marks: list[Mark], at: int) -> str:
    if at >= len(marks):
        return "none"
    kind, name, number, state = marks[at]
    return f"{kind} {name!r} #{number} in state {state!r}"


def _tail(steps: list[tuple[str, str, str]]) -> str:
    shown = ", ".join(f"{trigger}: {source} -> {target}" for trigger, source, target in steps[-3:])
    return f"of {len(steps)} steps [{'… ' if len(steps) > 3 else ''}{shown}]"  # noqa: PLR2004
