"""A lifecycle read as a plain table: the oracle that the machine under test is held against.

Nothing here calls the machine, or a method of `Lifecycle`: names are split, edges are looked up
and scopes are compared by code of this module alone, so that an error in the engine is not
repeated in what is expected of it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from attrs import frozen

from baqup_agent.lifecycle.declaration import Lifecycle

#: The contract's edges between phases, written out by hand (Contract §1).
CONTRACT_EDGES = {
    ("start", "initializing"): "running",
    ("complete", "running"): "completing",
    ("terminate", "completing"): "terminated",
    ("fail", "initializing"): "failed",
    ("fail", "running"): "failed",
    ("fail", "completing"): "failed",
}

#: The contract's phases in the order in which a run may see them.
PHASES = ("initializing", "running", "completing", "terminated", "failed")

#: The contract's own triggers.
CONTRACT_TRIGGERS = ("start", "complete", "terminate", "fail")

#: The phases that end a run.
FINAL_PHASES = frozenset({"terminated", "failed"})


@frozen
class Edge:
    """One row of the declaration.

    Attributes:
        index: its place in the declaration.
        trigger: what takes it.
        source: the leaf it leaves.
        target: the leaf it enters.
        guarded: whether a guard stands before it.
    """

    index: int
    trigger: str
    source: str
    target: str
    guarded: bool


@frozen
class Firing:
    """A trigger, and which guards would say yes to it.

    Attributes:
        trigger: its name.
        open: the indices of the guarded edges whose guards agree.
    """

    trigger: str
    open: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return self.trigger


class Model:
    """The interpreter of a declaration.

    Args:
        lifecycle: the declaration; only its data is read.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.initial = lifecycle.initial
        self.leaves = tuple(state.name for state in lifecycle.states)
        self.names = (*(state.name for state in lifecycle.compounds), *self.leaves)
        self.edges = tuple(
            Edge(index, row.trigger, row.source, row.target, row.guard is not None)
            for index, row in enumerate(lifecycle.transitions)
        )
        self.triggers = tuple(dict.fromkeys(edge.trigger for edge in self.edges))
        self._rows: dict[tuple[str, str], list[Edge]] = defaultdict(list)
        self._from: dict[str, list[Edge]] = defaultdict(list)
        for edge in self.edges:
            self._rows[edge.source, edge.trigger].append(edge)
            self._from[edge.source].append(edge)
        self._ways = self._search(self.initial)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every leaf against every trigger."""
        return tuple((leaf, trigger) for leaf in self.leaves for trigger in self.triggers)

    def row(self, leaf: str, trigger: str) -> tuple[Edge, ...]:
        """The edges of one pair, in declaration order."""
        return tuple(self._rows.get((leaf, trigger), ()))

    def legal(self, leaf: str) -> tuple[str, ...]:
        """The triggers that a leaf accepts, in declaration order."""
        return tuple(dict.fromkeys(edge.trigger for edge in self._from.get(leaf, ())))

    def taken(self, leaf: str, firing: Firing) -> Edge | None:
        """The edge that a firing takes; None where it is illegal or refused."""
        for edge in self.row(leaf, firing.trigger):
            if not edge.guarded or edge.index in firing.open:
                return edge
        return None

    def consulted(self, leaf: str, firing: Firing) -> list[int]:
        """The guards that a firing asks, in order, up to the first edge that lets it pass."""
        asked = []
        for edge in self.row(leaf, firing.trigger):
            if not edge.guarded:
                break
            asked.append(edge.index)
            if edge.index in firing.open:
                break
        return asked

    def scopes(self, name: str) -> tuple[str, ...]:
        """The states around a leaf and the leaf itself, outermost first."""
        words = name.split(".")
        return tuple(".".join(words[:count]) for count in range(1, len(words) + 1))

    def left(self, edge: Edge) -> tuple[str, ...]:
        """What an edge leaves, innermost first."""
        stays = self._around(edge)
        return tuple(name for name in reversed(self.scopes(edge.source)) if name not in stays)

    def entered(self, edge: Edge) -> tuple[str, ...]:
        """What an edge enters, outermost first."""
        stays = self._around(edge)
        return tuple(name for name in self.scopes(edge.target) if name not in stays)

    def _around(self, edge: Edge) -> set[str]:
        """What encloses both ends of an edge, and is therefore neither left nor entered."""
        stays = set()
        for outer, other in zip(
            self.scopes(edge.source)[:-1], self.scopes(edge.target)[:-1], strict=False
        ):
            if outer != other:
                break
            stays.add(outer)
        return stays

    def way(self, leaf: str) -> tuple[Firing, ...] | None:
        """A shortest sequence from the start to a leaf; None if there is none."""
        return self._ways.get(leaf)

    def way_out(self, leaf: str, final: str) -> tuple[Firing, ...] | None:
        """A shortest sequence from a leaf to a final state; None if there is none."""
        return self._search(leaf).get(final)

    def _search(self, start: str) -> dict[str, tuple[Firing, ...]]:
        ways: dict[str, tuple[Firing, ...]] = {start: ()}
        unseen = deque([start])
        while unseen:
            here = unseen.popleft()
            for edge in self._from.get(here, ()):
                firing = only(edge)
                if edge.target not in ways and self.taken(here, firing) == edge:
                    ways[edge.target] = (*ways[here], firing)
                    unseen.append(edge.target)
        return ways

    def end(self, leaf: str, firings: Iterable[Firing]) -> str:
        """Where a sequence leads from a leaf."""
        for firing in firings:
            edge = self.taken(leaf, firing)
            leaf = leaf if edge is None else edge.target
        return leaf

    def alphabet(self) -> tuple[Firing, ...]:
        """Every trigger, with all guards open and, where there are guards, with all shut."""
        return tuple(self._letters())

    def _letters(self) -> Iterator[Firing]:
        for trigger in self.triggers:
            guarded = {edge.index for edge in self.edges if edge.trigger == trigger}
            guarded &= {edge.index for edge in self.edges if edge.guarded}
            yield Firing(trigger, frozenset(guarded))
            if guarded:
                yield Firing(trigger)


def only(edge: Edge) -> Firing:
    """The firing that is meant to take ``edge``: no other guard agrees to it."""
    return Firing(edge.trigger, frozenset({edge.index}) if edge.guarded else frozenset())


def phase_of(name: str) -> str:
    """The contract's state that a name begins with."""
    return name.split(".", 1)[0]
