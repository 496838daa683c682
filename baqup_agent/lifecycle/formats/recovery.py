"""Finds the refinements that lead to a lifecycle; the inverse of `refine`.

Theory: `refine` rewrites inherited transitions where they stand and appends its own. The
transitions of a lifecycle are therefore blocks: the contract's first, then those of each
refinement in turn, and a block holds nothing but edges whose sources lie in the state refined.
Told back to the moment of its refinement (*lifted*), an edge names the states as they were then.

Where a block begins is not always plain, since edges that a state inherited may stand right
before its own; and an edge that an inner refinement replaced is gone without a trace. Both are
guessed, and every guess is checked by building the lifecycle anew. Should none lead to the very
same lifecycle, its transitions are told outright.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from attrs import evolve

from baqup_agent.lifecycle.declaration import CONTRACT, SEPARATOR, Lifecycle, State, Transition
from baqup_agent.lifecycle.formats.plan import Plan, Refinement, build
from baqup_agent.lifecycle.formats.problems import LifecycleFormatError, Problem

_FAIL = "fail"

#: What a reading has to decide; see `_Guess`.
_FLAGS = ("returning", "inside", "outside", "circling")


def recover(lifecycle: Lifecycle) -> Plan:
    """Return a plan that builds exactly ``lifecycle``.

    Raises:
        LifecycleFormatError: there is none: it is no refinement of the contract's lifecycle, or
            is too large.
    """
    tried: list[Plan] = []
    for flags in product((True, False), (True, False), (False, True), (False, True)):
        plan = _Guess(lifecycle, **dict(zip(_FLAGS, flags, strict=True))).plan()
        if plan not in tried and _builds(plan, lifecycle):
            return plan
        tried.append(plan)
    plan = _outright(lifecycle)
    if build(plan) != lifecycle:
        raise _foreign()
    return plan


def _builds(plan: Plan, lifecycle: Lifecycle) -> bool:
    try:
        return build(plan) == lifecycle
    except LifecycleFormatError:
        return False


def _foreign() -> LifecycleFormatError:
    text = (
        "the lifecycle cannot be stored, because no refinement of the contract's lifecycle leads "
        "to it; build it with refine(CONTRACT, …)"
    )
    return LifecycleFormatError([Problem((), text)])


def _outright(lifecycle: Lifecycle) -> Plan:
    guess = _Guess(lifecycle, **dict.fromkeys(_FLAGS, False))
    bare = [guess.refinement(index, ()) for index in range(len(lifecycle.compounds))]
    return Plan(bare, lifecycle.transitions)


class _Guess:
    """One reading of a lifecycle.

    Args:
        lifecycle: what is read.
        returning: whether edges at the head of a block that look inherited are.
        inside: whether an exit that an inner refinement declares replaced one to a sibling.
        outside: whether it replaced one that left the sibling's state, too.
        circling: whether an inherited edge may be a stay of the state that was refined.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        *,
        returning: bool,
        inside: bool,
        outside: bool,
        circling: bool,
    ) -> None:
        self._lifecycle = lifecycle
        self._returning = returning
        self._circling = circling
        self._inside = inside
        self._outside = outside
        self._outer = [state.name for state in lifecycle.compounds]
        self._rank = {name: index for index, name in enumerate(self._outer)}
        self._children = _children(lifecycle)
        self._place = {leaf.name: at for at, leaf in enumerate(lifecycle.states)}
        # What inner refinements replaced: edges that a refinement had, and that are gone.
        self._gone: dict[int, list[Transition]] = {}
        self._blocks = self._split()
        self._first = self._entered()

    def plan(self) -> Plan:
        """Return the plan of this reading."""
        return Plan(self.refinement(index, block) for index, block in enumerate(self._lifted))

    def refinement(self, index: int, block: Iterable[Transition]) -> Refinement:
        """Return the arguments of one `refine`, with the lifted edges of its block."""
        outer = self._outer[index]
        states = tuple(
            evolve(state, name=_local(state.name), deadline=None) for state in self._states(outer)
        )
        edges = tuple(
            evolve(edge, source=_local(edge.source), target=_told(edge.target, outer))
            for edge in block
        )
        first = self._first.get(outer)
        return Refinement(outer, _local(first) if first else states[0].name, states, edges)

    def _states(self, outer: str) -> Iterator[State]:
        return (self._lifecycle.state(name) for name in self._children[outer])

    def _split(self) -> list[tuple[Transition, ...]]:
        """The block of each refinement, and the lifted form of each in ``_lifted``."""
        edges = self._lifecycle.transitions
        blocks: list[tuple[Transition, ...]] = []
        self._lifted: list[list[Transition]] = []
        end = len(edges)
        for index in range(len(self._outer) - 1, -1, -1):
            inside = self._outer[index] + SEPARATOR
            begin = end
            while begin and edges[begin - 1].source.startswith(inside):
                begin -= 1
            groups = self._groups(edges[begin:end])
            while groups and self._is_inherited(index, groups, edges[:begin]):
                begin += len(groups.pop(0))
            lifted = self._lifted_groups(index, groups)
            self._note_replaced(index, lifted)
            blocks.insert(0, edges[begin:end])
            self._lifted.insert(0, lifted)
            end = begin
        return [edges[:end], *blocks]

    def _groups(self, edges: tuple[Transition, ...]) -> list[list[Transition]]:
        """Edges that differ in their sources alone, these in the order of the leaves."""
        groups: list[list[Transition]] = []
        for edge in edges:
            last = groups[-1][-1] if groups else None
            if last and _is_alike(last, edge) and self._is_after(edge.source, last.source):
                groups[-1].append(edge)
            else:
                groups.append([edge])
        return groups

    def _is_after(self, leaf: str, other: str) -> bool:
        return self._place.get(leaf, -1) > self._place.get(other, -1)

    def _sources(self, index: int, group: list[Transition]) -> list[str]:
        """The leaves of the refinement that the group leaves from, each once."""
        return list(dict.fromkeys(self._alive(index, edge.source) for edge in group))

    def _lift(self, index: int, edge: Transition, source: str) -> Transition:
        return evolve(edge, source=source, target=self._alive(index, edge.target))

    def _alive(self, index: int, name: str) -> str:
        """The state that was a leaf right after the refinement, and that ``name`` lies in."""
        at = name.find(SEPARATOR)
        while at != -1 and self._rank.get(name[:at], index + 1) <= index:
            at = name.find(SEPARATOR, at + 1)
        return name if at == -1 else name[:at]

    def _is_inherited(
        self, index: int, groups: list[list[Transition]], before: tuple[Transition, ...]
    ) -> bool:
        """Whether the first group has the form of an inherited edge, given what is around it."""
        outer, head = self._outer[index], groups[0][0]
        if not self._returning or (_is_in(head.target, outer) and not self._circling):
            return False
        if not _parent(outer) and not _follows(before, head):
            return False
        rest = self._lifted_groups(index, groups[1:])
        if head.trigger == _FAIL:
            barred = {edge.source for edge in rest if edge.trigger == _FAIL}
        elif any(edge.trigger == head.trigger and not _is_in(edge.target, outer) for edge in rest):
            return False
        else:
            barred = {
                edge.source
                for edge in rest
                if _is_in(edge.target, outer) and edge.target != edge.source
            }
        heirs = [name for name in self._children[outer] if name not in barred]
        return self._sources(index, groups[0]) == heirs

    def _lifted_groups(self, index: int, groups: list[list[Transition]]) -> list[Transition]:
        """The edges of the refinement itself, with those that are gone since."""
        lifted = [
            self._lift(index, group[0], source)
            for group in groups
            for source in self._sources(index, group)
        ]
        return lifted + self._gone.get(index, [])

    def _note_replaced(self, index: int, lifted: list[Transition]) -> None:
        """Guess the edges of the outer refinement that this one's exits took the place of."""
        outer = self._outer[index]
        parent = _parent(outer)
        if not parent:
            return  # the contract's own edges are known
        above = self._rank[parent]
        for edge in lifted:
            if _is_in(edge.target, outer) or edge.trigger == _FAIL:
                continue
            target = self._alive(above, edge.target)
            wanted = self._inside if _is_in(target, parent) else self._outside
            gone = Transition(edge.trigger, outer, target)
            if wanted and gone not in self._gone.setdefault(above, []):
                self._gone[above].append(gone)

    def _entered(self) -> dict[str, str]:
        """The first leaf of each refined state, by the edges into it that are older."""
        first: dict[str, str] = {}
        for name in _around(self._lifecycle.initial):
            if name in self._rank:
                first[name] = self._alive(self._rank[name], self._lifecycle.initial)
        for birth, block in enumerate(self._blocks):
            for edge in block:
                for name in _around(edge.target):
                    index = self._rank.get(name, -1)
                    if index >= birth:  # block 0 is the contract's, block n + 1 refinement n's
                        first.setdefault(name, self._alive(index, edge.target))
        return first


#: The contract's edges by trigger and phases, in their order.
_CONTRACT = {
    (edge.trigger, edge.source, edge.target): at for at, edge in enumerate(CONTRACT.transitions)
}


def _follows(before: tuple[Transition, ...], edge: Transition) -> bool:
    """Whether ``edge`` is the contract's own, and stands behind those that come before it."""
    at = _CONTRACT.get(_by_phases(edge), -1)
    return at > (_CONTRACT.get(_by_phases(before[-1]), len(_CONTRACT)) if before else -1)


def _by_phases(edge: Transition) -> tuple[str, str, str]:
    source, target = edge.source.split(SEPARATOR, 1)[0], edge.target.split(SEPARATOR, 1)[0]
    return edge.trigger, source, target


def _is_alike(edge: Transition, other: Transition) -> bool:
    """Whether two edges differ in their sources at most."""
    return (
        edge.trigger == other.trigger
        and edge.target == other.target
        and edge.guard == other.guard
        and edge.description == other.description
    )


def _children(lifecycle: Lifecycle) -> dict[str, list[str]]:
    """The leaves that each refinement brought, in order, refined or not since."""
    children: dict[str, dict[str, None]] = {state.name: {} for state in lifecycle.compounds}
    for leaf in lifecycle.states:
        for name in (*_around(leaf.name), leaf.name):
            if _parent(name) in children:
                children[_parent(name)].setdefault(name)
    return {outer: list(names) for outer, names in children.items()}


def _around(name: str) -> Iterator[str]:
    """The states that a name lies in, outer ones first."""
    at = name.find(SEPARATOR)
    while at != -1:
        yield name[:at]
        at = name.find(SEPARATOR, at + 1)


def _is_in(name: str, outer: str) -> bool:
    return name.startswith(outer + SEPARATOR)


def _parent(name: str) -> str:
    return name.rpartition(SEPARATOR)[0]


def _local(name: str) -> str:
    return name.rpartition(SEPARATOR)[2]


def _told(target: str, outer: str) -> str:
    """A target as a refinement names it."""
    return _local(target) if _parent(target) == outer else target
