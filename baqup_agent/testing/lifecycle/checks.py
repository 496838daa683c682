"""The checks of a machine by itself: pairs, suffixes, ways, faults, and the monitor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

from attrs import define, evolve, field

from baqup_agent.lifecycle.history import Step
from baqup_agent.lifecycle.monitor import Divergence, Monitor
from baqup_agent.testing.clock import EPOCH
from baqup_agent.testing.lifecycle.coverage import Coverage, Part
from baqup_agent.testing.lifecycle.failure import LifecycleFailure, Passed
from baqup_agent.testing.lifecycle.model import (
    CONTRACT_EDGES,
    CONTRACT_TRIGGERS,
    PHASES,
    Edge,
    Firing,
    only,
    phase_of,
)
from baqup_agent.testing.lifecycle.scene import EFFECTS_EACH, Scene
from baqup_agent.testing.lifecycle.subject import Subject

#: A failure is told by its message; the way through the kit to it tells nothing.
__tracebackhide__ = True

#: Most guards of one pair of which every combination of answers is tried.
_MOST_COMBINED = 4

#: At least so many illegal triggers are fired in a leaf, to wear out what counts in secret.
_ENDURANCE = 100

#: A trigger that no lifecycle has: a trigger's name is an identifier.
_UNKNOWN = "no such trigger"


@define
class Checks:
    """The checks of one subject; each takes what it is about, and raises if it does not hold.

    Attributes:
        subject: what is tested.
        suffixes: the length of the sequences behind every pair.
        thorough: whether those consist of all triggers, or of legal ones only.
        exit_paths: how many runs through the driver there will be.
    """

    subject: Subject
    suffixes: int
    thorough: bool
    exit_paths: int = 0
    coverage: Coverage = field(init=False)

    def __attrs_post_init__(self) -> None:
        model = self.subject.model
        count = sum(len(self._endings(*pair)) for pair in model.pairs)
        kind = "triggers" if self.thorough else "legal triggers"
        self.coverage = Coverage(
            name=self.subject.name,
            pairs=Part("pairs", len(model.pairs)),
            edges=Part("edges", len(model.edges)),
            suffixes=Part("suffixes", count, f"each of {self.suffixes} {kind}"),
            fault_positions=Part(
                "fault positions", sum(len(self._positions(edge)) for edge in model.edges)
            ),
            exit_paths=Part("exit paths", self.exit_paths),
        )

    def scene(self, leaf: str | None = None) -> Scene:
        """A machine brought to a leaf, every step on the way checked."""
        scene = Scene(self.subject, self._visit)
        scene.begin()
        return scene if leaf is None else scene.go(*self._way(leaf))

    def scene_of(self, subject: Subject, leaf: str) -> Scene:
        """A machine of another declaration brought to a leaf by this one's way."""
        return Scene(subject).go(*self._way(leaf))

    def _way(self, leaf: str) -> tuple[Firing, ...]:
        way = self.subject.model.way(leaf)
        if way is None:
            raise LifecycleFailure(self.subject.model.initial, (), f"no way leads to {leaf!r}")
        return way

    def _visit(self, leaf: str, trigger: str, edge: Edge | None) -> None:
        if trigger in self.subject.model.triggers:
            self.coverage.pairs.visited.add((leaf, trigger))
        if edge is not None:
            self.coverage.edges.visited.add(edge.index)

    # -- pairs ----------------------------------------------------------------

    def pair(self, leaf: str, trigger: str) -> None:
        """Fire one trigger in one leaf, with every combination of its guards' answers."""
        for firing in self._answers(leaf, trigger):
            self.scene(leaf).fire(firing)

    def leaf(self, leaf: str) -> None:
        """Fire every trigger in one leaf; all that is illegal on one machine, again and again."""
        model = self.subject.model
        illegal = [each for each in model.triggers if not model.row(leaf, each)]
        scene = self.scene(leaf)
        for trigger in (*illegal, _UNKNOWN):
            scene.fire(Firing(trigger))
        for trigger in model.legal(leaf):
            self.pair(leaf, trigger)

    def _answers(self, leaf: str, trigger: str) -> Iterator[Firing]:
        guards = [edge.index for edge in self.subject.model.row(leaf, trigger) if edge.guarded]
        every = range(len(guards) + 1)
        sizes = every if len(guards) <= _MOST_COMBINED else sorted({0, 1, len(guards)})
        for size in sizes:
            for agreeing in combinations(guards, size):
                yield Firing(trigger, frozenset(agreeing))

    def unknown(self, leaf: str) -> None:
        """Fire a trigger that the lifecycle does not have."""
        self.scene(leaf).fire(Firing(_UNKNOWN))

    # -- suffixes -------------------------------------------------------------

    def suffix(self, leaf: str, trigger: str) -> None:
        """Go on from one pair by every sequence of triggers, each on a machine of its own."""
        for sequence in self._endings(leaf, trigger):
            self.scene(leaf).go(*sequence)
            self.coverage.suffixes.visited.add((leaf, sequence))

    def _endings(self, leaf: str, trigger: str) -> list[tuple[Firing, ...]]:
        """The pair's own firing, followed by each of the sequences."""
        model = self.subject.model
        letters = model.alphabet()
        first = next(each for each in letters if each.trigger == trigger)
        if self.thorough:
            return [(first, *rest) for rest in product(letters, repeat=self.suffixes)]
        return [(first, *rest) for rest in self._legal(model.end(leaf, [first]), self.suffixes)]

    def _legal(self, leaf: str, length: int) -> Iterator[tuple[Firing, ...]]:
        model = self.subject.model
        firings = [only(edge) for trigger in model.legal(leaf) for edge in model.row(leaf, trigger)]
        if length == 0 or not firings:
            yield ()
            return
        for firing in firings:
            for rest in self._legal(model.end(leaf, [firing]), length - 1):
                yield (firing, *rest)

    # -- ways -----------------------------------------------------------------

    def way_to(self, leaf: str) -> None:
        """Take the shortest way to a leaf, firing on each step everything that is illegal."""
        model = self.subject.model
        scene = self.scene()
        for firing in (*self._way(leaf), None):
            illegal = [each for each in model.triggers if not model.row(scene.leaf, each)]
            rounds = 1 + _ENDURANCE // max(1, len(illegal)) if firing is None else 1
            for _ in range(rounds):
                scene.go(*(Firing(trigger) for trigger in illegal))
            if firing is not None:
                scene.fire(firing)

    def way_out(self, leaf: str, final: str) -> None:
        """Take the shortest way from a leaf to a final state, where every trigger is illegal."""
        model = self.subject.model
        scene = self.scene(leaf)
        way = model.way_out(leaf, final)
        if way is None:
            raise LifecycleFailure(
                model.initial, scene.passed, f"no way leads from {leaf!r} to {final!r}"
            )
        scene.go(*way)
        scene.go(*(Firing(trigger) for trigger in model.triggers))

    # -- faults ---------------------------------------------------------------

    def fault(self, edge: Edge, *, hard: bool = False) -> None:
        """Raise an error in every effect of an edge, one after the other, and fail from there."""
        if self.subject.model.taken(edge.source, only(edge)) != edge:
            return  # an edge without a guard stands before it: it is never taken
        for position in self._positions(edge):
            scene = self.scene(edge.source)
            scene.fire(only(edge), position, hard=hard)
            # The machine still knows where it is: the run can be ended from there.
            scene.fire(Firing("fail"))
            self.coverage.fault_positions.visited.add((edge.index, position))

    def _positions(self, edge: Edge) -> range:
        model = self.subject.model
        rows = 1 + len(model.left(edge)) + len(model.entered(edge))
        return range(EFFECTS_EACH * rows + 1)

    # -- the monitor ----------------------------------------------------------

    def monitor_alone(self, source: str) -> None:
        """Tell the monitor of every step from a phase; it follows the contract's, and no other."""
        triggers = (*CONTRACT_TRIGGERS, "of_the_authors")
        for trigger, target in product(triggers, PHASES):
            monitor = self.scene(self._first_leaf(source)).machine.monitor
            stays = trigger not in CONTRACT_TRIGGERS and target == source
            legal = stays or CONTRACT_EDGES.get((trigger, source)) == target
            self._tell(monitor, Step(trigger, source, target, 0.0, EPOCH), legal=legal)
        for elsewhere in PHASES:
            if elsewhere != source:
                monitor = self.scene(self._first_leaf(source)).machine.monitor
                step = Step("of_the_authors", elsewhere, elsewhere, 0.0, EPOCH)
                self._tell(monitor, step, legal=False)

    def _tell(self, monitor: Monitor, step: Step, *, legal: bool) -> None:
        try:
            monitor.follow(step)
        except Divergence:
            agreed = False
        else:
            agreed = True
        if agreed != legal:
            word = "let pass" if agreed else "refused"
            raise LifecycleFailure(
                step.source, [Passed(step.trigger, step.target)], f"the monitor {word} a step"
            )

    def monitor_wired(self, index: int) -> None:
        """Bend one edge of the declaration away from the contract: the machine must notice."""
        edge = self.subject.model.edges[index]
        home = phase_of(edge.source)
        own = CONTRACT_EDGES.get((edge.trigger, home), home)
        for phase in PHASES:
            if phase != own:
                self._bend(edge, self._first_leaf(phase))

    def _bend(self, edge: Edge, target: str) -> None:
        rows = list(self.subject.lifecycle.transitions)
        rows[edge.index] = evolve(rows[edge.index], target=target)
        bent = evolve(self.subject, lifecycle=evolve(self.subject.lifecycle, transitions=rows))
        scene = self.scene_of(bent, edge.source)
        try:
            scene.push(only(edge))
        except Divergence:
            return
        raise LifecycleFailure(
            self.subject.model.initial,
            [*scene.passed, Passed(edge.trigger, target)],
            "the monitor did not see a step off the contract",
        )

    def _first_leaf(self, phase: str) -> str:
        return next(leaf for leaf in self.subject.model.leaves if phase_of(leaf) == phase)

    @property
    def bendable(self) -> tuple[Edge, ...]:
        """For each trigger in each phase, the first edge that can be taken."""
        model = self.subject.model
        firsts: dict[tuple[str, str], Edge] = {}
        for edge in model.edges:
            if model.taken(edge.source, only(edge)) == edge:
                firsts.setdefault((edge.trigger, phase_of(edge.source)), edge)
        return tuple(firsts.values())
