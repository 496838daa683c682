"""What is drawn, before anything is said of where: nested boxes, and the arrows between them.

A lifecycle is flat, and one of a hundred leaves has a hundred ``fail`` edges. A picture of those
would show nothing, so that edges which the refined state has as a whole are drawn once:

* from the box, where every leaf inside has the same edge;
* to the box, where an edge from outside leads to the leaf that the box is entered at, which a
  marker inside then points to.

The edge by which a run failed is always drawn from its own leaf.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator

from attrs import frozen

from baqup_agent.lifecycle.declaration import SEPARATOR, Guard, Lifecycle, State, Transition
from baqup_agent.lifecycle.diagrams.overlay import Overlay


@frozen
class Node:
    """A box: a leaf, or a refined state with what is inside.

    Attributes:
        state: what it stands for.
        children: the boxes inside, in order; empty for a leaf.
        entry: name of the leaf at which it is entered; itself for a leaf, None if never.
    """

    state: State
    children: tuple[Node, ...]
    entry: str | None

    @property
    def name(self) -> str:
        """The state's full name."""
        return self.state.name

    @property
    def first(self) -> str | None:
        """Name of the child that it is entered at."""
        if self.entry is None:
            return None
        inside = (child.name for child in self.children if is_within(self.entry, child.name))
        return next(inside, None)

    def leaves(self) -> Iterator[Node]:
        """The leaves inside, or itself."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()

    def walk(self) -> Iterator[Node]:
        """Itself and all that is inside, outer before inner."""
        yield self
        for child in self.children:
            yield from child.walk()


@frozen
class Arrow:
    """One drawn edge.

    Attributes:
        source: name of the box it starts at.
        target: name of the box it leads to.
        edges: the transitions that it stands for; all of one trigger and guard.
        failing: whether it is the one by which the run failed.
    """

    source: str
    target: str
    edges: tuple[Transition, ...]
    failing: bool = False

    @property
    def stays(self) -> bool:
        """Whether it leads back to where it started."""
        return self.source == self.target

    def taken(self, run: Overlay | None) -> int:
        """How often a run took it."""
        if run is None:
            return 0
        keys = {(edge.source, edge.trigger, edge.target) for edge in self.edges}
        return sum(run.taken.get(key, 0) for key in keys)


@frozen
class Picture:
    """All that is drawn.

    Attributes:
        roots: the outermost boxes, in order.
        arrows: the edges between boxes, in order of declaration.
        initial: name of the box that the first marker points to.
    """

    roots: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    initial: str

    def nodes(self) -> Iterator[Node]:
        """Every box, outer before inner."""
        for root in self.roots:
            yield from root.walk()


def is_within(name: str, box: str) -> bool:
    """Whether the state ``name`` is ``box``, or lies inside."""
    return name == box or name.startswith(box + SEPARATOR)


def picture(lifecycle: Lifecycle, run: Overlay | None = None) -> Picture:
    """Return what is to be drawn of a lifecycle, and of a run of it."""
    return _Builder(lifecycle, run).build()


def _identity(guard: Guard | None) -> object:
    """What tells guards apart; one that cannot be hashed is only equal to itself."""
    return guard if guard is None or isinstance(guard, Hashable) else id(guard)


class _Builder:
    """Collects boxes and arrows of one lifecycle."""

    def __init__(self, lifecycle: Lifecycle, run: Overlay | None) -> None:
        self._lifecycle = lifecycle
        self._run = run
        self._paths = {
            s.name: tuple(p.name for p in lifecycle.scopes(s.name)) for s in lifecycle.states
        }
        self._entries = self._entry_leaves()
        self._members: dict[str, set[str]] = {}
        for leaf, path in self._paths.items():
            for box in path:
                self._members.setdefault(box, set()).add(leaf)

    def build(self) -> Picture:
        roots = dict.fromkeys(path[0] for path in self._paths.values())
        return Picture(
            roots=tuple(self._node(root, 0) for root in roots),
            arrows=tuple(self._arrows()),
            initial=self._outermost(self._lifecycle.initial, None),
        )

    def _node(self, name: str, depth: int) -> Node:
        below = dict.fromkeys(
            path[depth + 1]
            for path in self._paths.values()
            if len(path) > depth + 1 and path[depth] == name
        )
        children = tuple(self._node(child, depth + 1) for child in below)
        return Node(self._lifecycle.state(name), children, self._entries.get(name))

    def _entry_leaves(self) -> dict[str, str]:
        """For each box the leaf at which edges from outside enter it most often."""
        hits: dict[str, Counter[str]] = {}
        for edge in self._lifecycle.transitions:
            around = self._paths[edge.source]
            for box in self._paths[edge.target]:
                if box not in around:
                    hits.setdefault(box, Counter())[edge.target] += 1
        # A declaration does not keep what was named as initial; of equals, it is mostly the first.
        order = {leaf: -i for i, leaf in enumerate(self._paths)}
        entries = {
            box: max(counter, key=lambda leaf: (counter[leaf], order[leaf]))
            for box, counter in hits.items()
        }
        initial = self._lifecycle.initial
        return entries | dict.fromkeys(self._paths[initial], initial)

    def _outermost(self, target: str, source: str | None) -> str:
        """The largest box around ``target`` that is entered there and that ``source`` is not in."""
        around = self._paths[source] if source else ()
        boxes = [box for box in self._paths[target] if self._entries.get(box) == target]
        return next((box for box in boxes if box not in around), target)

    def _arrows(self) -> Iterator[Arrow]:
        groups: dict[tuple[str, str, object], dict[str, Transition]] = {}
        for edge in self._lifecycle.transitions:
            # A second edge of the same trigger, target and guard would never be tried.
            key = (edge.trigger, edge.target, _identity(edge.guard))
            groups.setdefault(key, {}).setdefault(edge.source, edge)
        drawn: set[tuple[str, str, str, object]] = set()
        for edge in self._lifecycle.transitions:
            guard = _identity(edge.guard)
            group = groups[edge.trigger, edge.target, guard]
            source = self._whole(edge, group)
            if (source, edge.trigger, edge.target, guard) not in drawn:
                drawn.add((source, edge.trigger, edge.target, guard))
                yield from self._drawn(edge, source, group)

    def _whole(self, edge: Transition, group: dict[str, Transition]) -> str:
        """The largest box around the source in which every leaf has the edge."""
        boxes = (
            box
            for box in self._paths[edge.source]
            if edge.target not in self._members[box] and self._members[box] <= group.keys()
        )
        return next(boxes, edge.source)

    def _drawn(
        self, edge: Transition, source: str, group: dict[str, Transition]
    ) -> Iterator[Arrow]:
        inside = self._members[source] if source != edge.source else {edge.source}
        edges = tuple(row for leaf, row in group.items() if leaf in inside)
        failing = [row for row in edges if self._run is not None and self._run.is_failing(row)]
        others = tuple(row for row in edges if row not in failing)
        if others or not failing:
            yield Arrow(source, self._outermost(edge.target, edge.source), edges=others)
        for row in failing:
            yield Arrow(row.source, self._outermost(row.target, row.source), (row,), failing=True)
