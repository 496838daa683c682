"""A lifecycle made ready for proof: a graph that tolerates whatever is wrong with it.

`Lifecycle`'s own look-ups expect a sound declaration. What stands here expects nothing: names may
be unknown, used twice or in no phase. Every search is without recursion and linear in leaves and
edges, so that a declaration of any size and shape is answered.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.declaration import (
    CONTRACT,
    SEPARATOR,
    Lifecycle,
    SignalPolicy,
    State,
    Transition,
)
from baqup_agent.lifecycle.proof.rules import listed, quoted

#: The phases by their names.
PHASES = frozenset(phase.value for phase in AgentState)

#: The phases in which a run has ended.
FINAL = frozenset(state.name for state in CONTRACT.states if state.final)

#: Deepest nesting of leaves, names; deeper ones are a mistake and would only cost time.
DEEPEST = 32

#: Names that paths may hold altogether; beyond it a finding shows its own edge alone.
_PATH_NAMES = 200_000

#: Comparisons of names that hints may cost altogether; finding one is slow.
_COMPARISONS = 10_000

#: Longest name that a hint is sought for, characters.
_LONGEST_HINTED = 100

Edges = Mapping[str, Sequence[Transition]]


class Shape:
    """The leaves and edges of a lifecycle that can be walked.

    Args:
        lifecycle: any declaration, sound or not.

    Attributes:
        leaves: the leaves by name, of equal names the first.
        compounds: the refined states by name.
        ways: the edges between existing leaves by their source, in declaration order.
        live: the leaves in which a run has not ended, in declaration order.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.leaves = _by_name(lifecycle.states)
        self.compounds = _by_name(lifecycle.compounds)
        self.ways: dict[str, list[Transition]] = defaultdict(list)
        for edge in lifecycle.transitions:
            if edge.source in self.leaves and edge.target in self.leaves:
                self.ways[edge.source].append(edge)
        self.live = [name for name in self.leaves if phase_of(name) not in FINAL]
        self._places = {name: place for place, name in enumerate(self.leaves)}
        self._arrivals = breadth_first([lifecycle.initial], self.edges)
        self._entered = self._first_inside()
        self._path_names = _PATH_NAMES
        self._comparisons = _COMPARISONS

    def edges(self, leaf: str) -> Sequence[Transition]:
        """The edges that leave a leaf for another, in declaration order."""
        return self.ways.get(leaf, ())

    def first(self, leaves: Iterable[str]) -> str:
        """Of some leaves the one that was declared first."""
        return min(leaves, key=self._places.__getitem__)

    def reached(self, leaf: str) -> bool:
        """Whether some way leads there from the initial leaf."""
        return leaf in self._arrivals

    def around(self, name: str) -> list[State]:
        """The declared states that ``name`` lies in, the phase first, itself last."""
        known = (self.compounds.get(scope) or self.leaves.get(scope) for scope in scopes_of(name))
        return [state for state in known if state is not None]

    def policy(self, leaf: str) -> SignalPolicy | None:
        """What a request to stop means in a leaf; None if nothing around it says."""
        policies = (state.on_signal for state in reversed(self.around(leaf)))
        return next((policy for policy in policies if policy is not None), None)

    def bounded(self, leaf: str) -> bool:
        """Whether a stay in a leaf ends after a fixed number of seconds, its own or a scope's."""
        return any(state.deadline and state.deadline.seconds for state in self.around(leaf))

    def way(self, name: str) -> tuple[str, ...]:
        """The shortest way to a leaf, or into a refined state; empty if there is none."""
        leaf: str | None = self._entered.get(name)
        if leaf is None:
            return ()
        back: list[str] = []
        while leaf is not None:
            if len(back) >= self._path_names:
                self._path_names = 0
                return (self._entered[name],)
            edge = self._arrivals[leaf]
            back += [leaf] if edge is None else [leaf, edge.trigger]
            leaf = None if edge is None else edge.source
        self._path_names -= len(back)
        return tuple(reversed(back))

    def way_along(self, *edges: Transition) -> tuple[str, ...]:
        """The shortest way to the first edge's source, and the edges."""
        onward = [name for edge in edges for name in (edge.trigger, edge.target)]
        return (*(self.way(edges[0].source) or (edges[0].source,)), *onward)

    def hint(self, name: str, known: Collection[str]) -> str:
        """What a name that is unknown may have meant, as the end of a message."""
        if len(name) <= _LONGEST_HINTED and self._comparisons > 0:
            self._comparisons -= len(known)
            for close in get_close_matches(name, known, n=1):
                return f"did you mean {quoted(close)}?"
        return f"there are {listed(known)}" if known else "there is none"

    def _first_inside(self) -> dict[str, str]:
        """For each state that a way enters, the leaf by which it is entered first."""
        entered: dict[str, str] = {}
        for leaf in self._arrivals:
            for scope in scopes_of(leaf):
                entered.setdefault(scope, leaf)
            entered[leaf] = leaf
        return entered


def phase_of(name: str) -> str:
    """The name of the phase that a state is or refines, if it is one."""
    return name.partition(SEPARATOR)[0]


def scopes_of(name: str) -> Iterator[str]:
    """The names of the states that ``name`` lies in, outermost first, itself last."""
    parts = name.split(SEPARATOR, DEEPEST)[:DEEPEST]
    for depth in range(1, len(parts) + 1):
        yield SEPARATOR.join(parts[:depth])


def _by_name(states: Iterable[State]) -> dict[str, State]:
    named: dict[str, State] = {}
    for state in states:
        named.setdefault(state.name, state)
    return named


def breadth_first(
    starts: Iterable[str], edges: Callable[[str], Iterable[Transition]]
) -> dict[str, Transition | None]:
    """Every name that can be reached, nearest first, with the edge by which it was reached."""
    arrivals: dict[str, Transition | None] = dict.fromkeys(starts)
    queue = deque(arrivals)
    while queue:
        for edge in edges(queue.popleft()):
            if edge.target not in arrivals:
                arrivals[edge.target] = edge
                queue.append(edge.target)
    return arrivals


def reversed_edges(edges: Iterable[Transition]) -> Edges:
    """The same edges by their targets, each with source and target exchanged."""
    back: dict[str, list[Transition]] = defaultdict(list)
    for edge in edges:
        back[edge.target].append(Transition(edge.trigger, edge.target, edge.source))
    return back


def components(
    names: Sequence[str], edges: Callable[[str], Iterable[Transition]]
) -> list[list[str]]:
    """The strongly connected components of a graph, by Tarjan's algorithm without recursion.

    Args:
        names: the nodes.
        edges: those that leave a node; one that leads out of ``names`` is not followed.

    Returns:
        The components, each behind every one that it leads to.
    """
    inside = set(names)
    search = _Components({name: _targets(name, edges, inside) for name in names})
    for name in names:
        search.visit(name)
    return search.components


def _targets(
    name: str, edges: Callable[[str], Iterable[Transition]], inside: set[str]
) -> list[str]:
    return [edge.target for edge in edges(name) if edge.target in inside]


class _Components:
    """Tarjan's search: numbers, lowest reachable numbers, and the stack of open nodes."""

    def __init__(self, targets: Mapping[str, Sequence[str]]) -> None:
        self.components: list[list[str]] = []
        self._targets = targets
        self._number: dict[str, int] = {}
        self._lowest: dict[str, int] = {}
        self._open: list[str] = []
        self._is_open: set[str] = set()

    def visit(self, start: str) -> None:
        """Close the components of every node that ``start`` leads to and that is still new."""
        if start in self._number:
            return
        walk = [(start, self._begin(start))]
        while walk:
            name, rest = walk[-1]
            target = next(rest, None)
            if target is None:
                walk.pop()
                self._close(name)
                if walk:
                    self._lower(walk[-1][0], self._lowest[name])
            elif target not in self._number:
                walk.append((target, self._begin(target)))
            elif target in self._is_open:
                self._lower(name, self._number[target])

    def _begin(self, name: str) -> Iterator[str]:
        self._number[name] = self._lowest[name] = len(self._number)
        self._open.append(name)
        self._is_open.add(name)
        return iter(self._targets[name])

    def _lower(self, name: str, number: int) -> None:
        self._lowest[name] = min(self._lowest[name], number)

    def _close(self, name: str) -> None:
        if self._lowest[name] < self._number[name]:
            return
        component: list[str] = []
        while name not in component[-1:]:
            component.append(self._open.pop())
        self._is_open.difference_update(component)
        self.components.append(component)
