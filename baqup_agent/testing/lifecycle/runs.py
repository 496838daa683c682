"""The checks of whole runs: which exit code follows from what, and what holds for every run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from attrs import define

from baqup_agent.lifecycle.declaration import SignalPolicy, State
from baqup_agent.lifecycle.illegal import IllegalTransition
from baqup_agent.testing.lifecycle.coverage import Coverage
from baqup_agent.testing.lifecycle.exit_codes import (
    ABORTED,
    DEADLINES,
    OWN,
    UNREPORTED,
    Trouble,
    troubles,
)
from baqup_agent.testing.lifecycle.failure import LifecycleFailure, Passed
from baqup_agent.testing.lifecycle.inbox import Expiry, Item, Outage, Raise, Stop
from baqup_agent.testing.lifecycle.model import FINAL_PHASES, PHASES, Firing, phase_of
from baqup_agent.testing.lifecycle.run import Outcome, Passage, Spot, run
from baqup_agent.testing.lifecycle.subject import Subject

#: A failure is told by its message; the way through the kit to it tells nothing.
__tracebackhide__ = True

_CODES = frozenset({0, *OWN.values()})

#: The first spot of a run that is being failed, and the one before its report.
_FAILING = Spot("action", "fail", 0)
_UNREPORTED_YET = Spot("enter", "failed", 0)


@define(slots=False)
class RunChecks:
    """The checks of one subject's runs.

    Attributes:
        subject: what is tested.
        coverage: where visited exit paths are noted.
    """

    subject: Subject
    coverage: Coverage

    @cached_property
    def states(self) -> dict[str, State]:
        """The declared states by name, refined ones too."""
        lifecycle = self.subject.lifecycle
        return {state.name: state for state in (*lifecycle.compounds, *lifecycle.states)}

    @property
    def live(self) -> tuple[str, ...]:
        """The leaves in which a run goes on."""
        leaves = self.subject.model.leaves
        return tuple(leaf for leaf in leaves if phase_of(leaf) not in FINAL_PHASES)

    def way(self, leaf: str) -> tuple[Firing, ...]:
        """The plan that leads to a leaf."""
        way = self.subject.model.way(leaf)
        if way is None:
            raise LifecycleFailure(self.subject.model.initial, (), f"no way leads to {leaf!r}")
        return way

    def rest(self, leaf: str) -> tuple[Firing, ...]:
        """The plan that leads from a leaf to ``terminated``."""
        rest = self.subject.model.way_out(leaf, "terminated")
        if rest is None:
            raise LifecycleFailure(
                self.subject.model.initial, (), f"no way leads from {leaf!r} to 'terminated'"
            )
        return rest

    def by_way_of(self, leaf: str, *events: Item) -> tuple[Item, ...]:
        """The plan of a run that ends well, with events in one leaf of it."""
        return (*self.way(leaf), *events, *self.rest(leaf))

    def trouble(self, leaf: str, trouble: Trouble) -> None:
        """An error in a leaf ends the run in ``failed`` with the code of the contract's table."""
        plan = self.by_way_of(leaf)
        spot = Spot("enter", leaf, self._rows(leaf))
        outcome = run(self.subject, plan, fault=(spot, trouble.make))
        why = f"{trouble.name} raised on entering {leaf!r}"
        self._expect(outcome, plan, trouble.exit_code, why=why)
        if phase_of(leaf) == "running":
            thrown = self.by_way_of(leaf, Raise(trouble.make, trouble.name))
            self._expect(run(self.subject, thrown), thrown, trouble.exit_code)
        self.coverage.exit_paths.visited.add((leaf, trouble.name))

    def _rows(self, leaf: str) -> int:
        """The last spot of a leaf's row: the first leaf is entered before there is anything."""
        return 1 if leaf in {"initializing", "running"} else 0

    def stop(self, leaf: str, signal_name: str) -> None:
        """A stop signal in a leaf does what the leaf's policy says."""
        plan = self.by_way_of(leaf, Stop(signal_name))
        self._expect(run(self.subject, plan), plan, *self._codes_of_a_stop(leaf, self.rest(leaf)))

    def _codes_of_a_stop(self, leaf: str, rest: Sequence[Firing]) -> tuple[int, ...]:
        """What may follow: work that was to be finished may be aborted behind the leaf."""
        policy = self.policy(leaf)
        if policy is SignalPolicy.ABORT:
            return (ABORTED,)
        if policy is SignalPolicy.IGNORE:
            return (0,)
        here, left = leaf, False
        for firing in rest:
            edge = self.subject.model.taken(here, firing)
            here = here if edge is None else edge.target
            own = phase_of(here) == phase_of(leaf)
            if own and not left and self.policy(here) is SignalPolicy.ABORT:
                return (ABORTED,)
            left = left or not own or self.policy(here) is SignalPolicy.IGNORE
        aborts = {self.policy(each) is SignalPolicy.ABORT for each in self.live}
        return (0, ABORTED) if True in aborts and phase_of(leaf) != "completing" else (0,)

    def policy(self, leaf: str) -> SignalPolicy | None:
        """The policy of a leaf: its own, or that of the nearest state around it."""
        for name in reversed(self.subject.model.scopes(leaf)):
            if self.states[name].on_signal is not None:
                return self.states[name].on_signal
        return None

    def expiry(self, leaf: str) -> None:
        """Each deadline that holds in a leaf ends the run with its own code; a stale one does not.

        A code that the declaration gives to a deadline is the code of its error.
        """
        limited = [
            each
            for name in self.subject.model.scopes(leaf)
            if (each := self.states[name].deadline) is not None
        ]
        for depth, deadline in enumerate(limited):
            plan = self.by_way_of(leaf, Expiry(depth))
            wanted = DEADLINES[deadline.error_code]
            self._expect(run(self.subject, plan), plan, wanted)
            if int(deadline.exit_code) != wanted:
                self._fail(plan, f"the deadline of {leaf!r} declares {deadline.exit_code}")
        stale = self.by_way_of(leaf, Expiry(None))
        self._expect(run(self.subject, stale), stale, 0)

    def outage(self, leaf: str) -> None:
        """A bus that goes away and stays away costs the report; one that returns costs nothing."""
        way, rest = self.way(leaf), self.rest(leaf)
        away = self.by_way_of(leaf, Outage(down=True))
        self._expect(run(self.subject, away, staged=True), away, UNREPORTED)
        for back in range(len(rest)):
            plan: list[Item] = [*way, Outage(down=True), *rest[:back]]
            plan += [Outage(down=False), *rest[back:]]
            self._expect(run(self.subject, plan), plan, 0)

    # -- faults between the effects of a run ----------------------------------

    @property
    def happy(self) -> tuple[Firing, ...]:
        """The shortest plan of a run that ends well."""
        return self.rest(self.subject.model.initial)

    def clean(self) -> Outcome:
        """A run in which nothing goes wrong, published in a real staging area."""
        outcome = run(self.subject, self.happy, staged=True)
        self._expect(outcome, self.happy, 0)
        if not outcome.manifest:
            self._fail(self.happy, "the run ended well, and no manifest is visible")
        return outcome

    def faults(self) -> None:
        """An error between any two effects of a run leads to the code that the moment asks for."""
        errors = troubles()
        for number, passage in enumerate(self.clean().passages):
            trouble = errors[number % len(errors)]
            outcome = run(self.subject, self.happy, fault=(passage.spot, trouble.make), staged=True)
            wanted = _code_at(passage, trouble)
            self._expect(outcome, self.happy, wanted, why=f"{trouble.name} at {passage.spot}")

    def second_faults(self) -> None:
        """An error while the run is being failed does not hide the first one."""
        first = Raise(lambda: OSError(5, "the first error"), "OSError")
        leaf = next(each for each in self.live if phase_of(each) == "running")
        plan = self.by_way_of(leaf, first)
        passages = run(self.subject, plan, staged=True).passages
        failing = passages.index(next(each for each in passages if each.spot == _FAILING))
        for passage in passages[failing:]:
            if passage.spot == _UNREPORTED_YET:
                continue  # nothing of the author's comes before the report
            fault = (passage.spot, lambda: ValueError("the second error"))
            outcome = run(self.subject, plan, fault=fault, staged=True)
            self._expect(outcome, plan, 74, why=f"a second error at {passage.spot}")

    def passages(self, *, staged: bool) -> tuple[Passage, ...]:
        """The spots that a good run comes by; looked up once."""
        if staged not in self._passages:
            self._passages[staged] = run(self.subject, self.happy, staged=staged).passages
        return self._passages[staged]

    @cached_property
    def _passages(self) -> dict[bool, tuple[Passage, ...]]:
        return {}

    # -- what holds for every run ---------------------------------------------

    def _expect(self, outcome: Outcome, plan: Sequence[Item], *codes: int, why: str = "") -> None:
        if outcome.exit_code not in codes:
            wanted = " or ".join(map(str, codes))
            said = f"{why}: " if why else ""
            self._fail(plan, f"{said}expected exit code {wanted}, saw {outcome.exit_code}", outcome)
        self.hold(outcome, plan)

    def hold(self, outcome: Outcome, plan: Sequence[Item], *, statuses: int = 1) -> None:
        """Hold the invariants of Contract §1, §4 and §5 against a run that has ended."""
        for holds, problem in (
            (outcome.exit_code in _CODES, f"exit code {outcome.exit_code} is none of the contract"),
            (phase_of(outcome.state) in FINAL_PHASES, f"the run ended in {outcome.state!r}"),
            (
                (outcome.exit_code == 0) == (outcome.state == "terminated"),
                f"exit code {outcome.exit_code} in {outcome.state!r}",
            ),
            (
                len(outcome.statuses) == statuses,
                f"{len(outcome.statuses)} statuses are out, {statuses} was expected",
            ),
            (not outcome.broken, "; ".join(outcome.broken)),
            (_in_order(outcome.steps), "the phases came out of order"),
            (
                outcome.machine.monitor.phase.value == phase_of(outcome.state),
                f"the monitor is in {outcome.machine.monitor.phase.value!r}",
            ),
        ):
            if not holds:
                self._fail(plan, problem, outcome)
        self._hold_the_end(outcome, plan)

    def hold_cause(self, outcome: Outcome, plan: Sequence[Item], failed: Passage | None) -> None:
        """A run ends badly only if something happened to it, and well only if nothing had to.

        Args:
            outcome: how it ended.
            plan: what happened.
            failed: where an effect was to fail, if anywhere.
        """
        causes = [item for item in plan if not isinstance(item, Firing)]
        calm = [item for item in causes if item != Expiry(None) and item != Outage(down=False)]
        if outcome.exit_code != 0 and not calm and failed is None:
            self._fail(plan, f"exit code {outcome.exit_code} for no reason", outcome)
        raised = any(isinstance(item, Raise) for item in causes)
        doomed = failed is not None and not failed.final
        if outcome.exit_code == 0 and (raised or doomed):
            self._fail(plan, "exit code 0 in spite of an error", outcome)

    def _hold_the_end(self, outcome: Outcome, plan: Sequence[Item]) -> None:
        """The final state absorbs every trigger."""
        for trigger in self.subject.model.triggers:
            try:
                outcome.machine.fire(trigger)
            except IllegalTransition:
                continue
            self._fail(plan, f"{trigger!r} was taken in {outcome.state!r}", outcome)

    def _fail(self, plan: Sequence[Item], problem: str, outcome: Outcome | None = None) -> None:
        model = self.subject.model
        if outcome is not None:
            passed = [Passed(trigger, target) for trigger, _, target in outcome.steps]
            events = [event for event in outcome.events if event not in model.triggers]
            problem = f"{problem} (events: {', '.join(events) or 'none'})"
        else:
            passed = [Passed(str(item), "…") for item in plan]
        raise LifecycleFailure(model.initial, passed, problem, ended=True)


def _code_at(passage: Passage, trouble: Trouble) -> int:
    if passage.final:
        return 0  # the outcome stands
    if passage.published and not passage.reported:
        return UNREPORTED
    return trouble.exit_code


def _in_order(steps: Sequence[tuple[str, str, str]]) -> bool:
    phases = [PHASES.index(phase_of(target)) for _, _, target in steps]
    ends = [phase for phase in phases if PHASES[phase] in FINAL_PHASES]
    return phases == sorted(phases) and len(ends) == 1
