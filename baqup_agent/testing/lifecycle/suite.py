"""All cases of one lifecycle, each with a group, a readable id and a check to call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from attrs import define, field, frozen

from baqup_agent.agent import Agent
from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.testing.lifecycle import exit_codes
from baqup_agent.testing.lifecycle.checks import Checks
from baqup_agent.testing.lifecycle.coverage import Coverage
from baqup_agent.testing.lifecycle.model import PHASES
from baqup_agent.testing.lifecycle.runs import RunChecks
from baqup_agent.testing.lifecycle.subject import MachineFactory, Subject

#: Most pairs that become a test each; beyond, the pairs of a leaf share one.
MOST_SINGLE_PAIRS = 400

#: Most sequences that suffixes may add up to, where their length is not asked for.
MOST_SEQUENCES = 2000

#: Pairs up to which a lifecycle counts as small.
_SMALL = 24


@frozen
class Case:
    """One test.

    Attributes:
        group: the test's name without ``test_``.
        id: what stands in brackets behind it.
        check: raises if what is tested does not hold.
    """

    group: str
    id: str
    check: Callable[[], None]

    def __str__(self) -> str:
        return f"test_{self.group}[{self.id}]"


@define
class Suite:
    """Everything that is tested about one lifecycle.

    Attributes:
        subject: what is tested.
        suffix_length: the triggers behind every pair; by default as many as stay affordable.
        examples: how many walks and runs hypothesis tries, each.
    """

    subject: Subject
    suffix_length: int | None = None
    examples: int = 60
    checks: Checks = field(init=False)
    run_checks: RunChecks = field(init=False)
    _troubles: tuple[exit_codes.Trouble, ...] = field(init=False, factory=exit_codes.troubles)

    def __attrs_post_init__(self) -> None:
        self.checks = _affordable(self.subject, self.suffix_length)
        self.run_checks = RunChecks(self.subject, self.checks.coverage)
        self.coverage.exit_paths.total = len(self.run_checks.live) * len(self._troubles)

    @property
    def coverage(self) -> Coverage:
        """What the cases have visited so far, in this process."""
        return self.checks.coverage

    def cases(self) -> Iterator[Case]:
        """Every case, the quick and telling ones first."""
        yield from self._pairs()
        yield from self._leaves()
        yield from self._faults()
        yield from self._monitor()
        yield from self._suffixes()
        yield from self._runs()
        yield from self._searches()

    def complete_pairs(self) -> None:
        """Visit the pairs that no case of this process has visited, and state the coverage.

        With a selection of tests, or several processes, the cases of this one are not all.

        Raises:
            AssertionError: not every pair could be visited.
        """
        model, visited = self.subject.model, self.coverage.pairs.visited
        missing = [pair for pair in model.pairs if pair not in visited]
        for leaf, trigger in missing:
            if model.way(leaf) is not None:
                self.checks.pair(leaf, trigger)
        left = [f"{leaf}-{trigger}" for leaf, trigger in missing if (leaf, trigger) not in visited]
        if left:
            raise AssertionError(
                f"{len(left)} of {len(model.pairs)} pairs were not visited: {', '.join(left[:5])}"
                f"{', …' if len(left) > 5 else ''}; make their leaves reachable"  # noqa: PLR2004
            )

    def _pairs(self) -> Iterator[Case]:
        model = self.subject.model
        if len(model.pairs) > MOST_SINGLE_PAIRS:
            for leaf in model.leaves:
                yield Case("pairs_of_leaf", leaf, partial(self.checks.leaf, leaf))
            return
        for leaf, trigger in model.pairs:
            yield Case("pair", f"{leaf}-{trigger}", partial(self.checks.pair, leaf, trigger))

    def _leaves(self) -> Iterator[Case]:
        for leaf in self.subject.model.leaves:
            yield Case("unknown_trigger", leaf, partial(self.checks.unknown, leaf))
            yield Case("way_to", leaf, partial(self.checks.way_to, leaf))
        for leaf in self.run_checks.live:
            for final in ("terminated", "failed"):
                yield Case("way", f"{leaf}-{final}", partial(self.checks.way_out, leaf, final))

    def _faults(self) -> Iterator[Case]:
        for edge in self.subject.model.edges:
            place = f"{edge.source}-{edge.trigger}-{edge.target}"
            yield Case("fault_in_effect", place, partial(self.checks.fault, edge))
            hard = partial(self.checks.fault, edge, hard=True)
            yield Case("hard_fault_in_effect", place, hard)

    def _monitor(self) -> Iterator[Case]:
        for phase in PHASES:
            yield Case("monitor", phase, partial(self.checks.monitor_alone, phase))
        for edge in self.checks.bendable:
            wired = partial(self.checks.monitor_wired, edge.index)
            yield Case("monitor_watches", f"{edge.source}-{edge.trigger}", wired)

    def _suffixes(self) -> Iterator[Case]:
        if self.checks.suffixes == 0:
            return
        for leaf, trigger in self.subject.model.pairs:
            suffix = partial(self.checks.suffix, leaf, trigger)
            yield Case("suffixes", f"{leaf}-{trigger}", suffix)

    def _runs(self) -> Iterator[Case]:
        runs = self.run_checks
        yield Case("run", "good", _dropped(runs.clean))
        for leaf in runs.live:
            for trouble in self._troubles:
                name = f"{leaf}-{trouble.name}"
                yield Case("exit_code", name, partial(runs.trouble, leaf, trouble))
            for signal_name in ("SIGTERM", "SIGINT"):
                stop = partial(runs.stop, leaf, signal_name)
                yield Case("stop_signal", f"{leaf}-{signal_name}", stop)
            yield Case("deadline", leaf, partial(runs.expiry, leaf))
            yield Case("bus_outage", leaf, partial(runs.outage, leaf))
        yield Case("run", "fault-between-any-two-effects", runs.faults)
        yield Case("run", "second-fault", runs.second_faults)

    def _searches(self) -> Iterator[Case]:
        from baqup_agent.testing.lifecycle import properties

        some = self.examples
        yield Case("search", "walks", partial(properties.walks, self.checks, some))
        yield Case("search", "runs", partial(properties.runs, self.run_checks, some, staged=False))
        published = partial(properties.runs, self.run_checks, some // 2, staged=True)
        yield Case("search", "published-runs", published)
        for edge in self.subject.model.edges:
            if edge.guarded and self.subject.model.way(edge.source) is not None:
                place = f"{edge.source}-{edge.trigger}-{edge.target}"
                check = partial(properties.guard, self.checks, edge.index, some)
                yield Case("guard", place, check)


def suite_of(
    agent: type[Agent] | Lifecycle,
    *,
    machine: MachineFactory = Machine,
    suffix_length: int | None = None,
    examples: int = 60,
) -> Suite:
    """Return the suite of an agent's class or of a lifecycle (see `lifecycle_tests`)."""
    if isinstance(agent, Lifecycle):
        subject = Subject("a lifecycle", agent, machine)
    else:
        subject = Subject(agent.__name__, agent.declared_lifecycle(), machine)
    return Suite(subject, suffix_length, examples)


def _affordable(subject: Subject, asked: int | None) -> Checks:
    """The longest suffixes, of all triggers or at least of the legal ones, within the bounds."""
    if asked is not None:
        return Checks(subject, asked, thorough=True)
    pairs, letters = len(subject.model.pairs), len(subject.model.alphabet())
    longest = 3 if pairs <= _SMALL else 2
    for length in range(longest, 0, -1):
        if pairs * letters**length <= MOST_SEQUENCES:
            return Checks(subject, length, thorough=True)
    if pairs <= MOST_SEQUENCES // 2:
        return Checks(subject, 1, thorough=False)
    return Checks(subject, 0, thorough=False)


def _dropped(check: Callable[[], object]) -> Callable[[], None]:
    def call() -> None:
        check()

    return call


def grouped(cases: Iterator[Case]) -> dict[str, Sequence[Case]]:
    """The cases by group, in order of first appearance."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    return dict(groups)
