"""The rules about the ways through a lifecycle: reachable leaves, ends, traps and loops.

A missing way is an error, and is told once, at its root: where leaf after leaf is cut off, or leads
only into a dead end, the first of them is what has to be mended. A way that only guards open, and a
loop, are the author's to judge: they are warnings, and only where no fixed limit bounds them.

That no leaf is cut off from ``failed`` needs no search: each live leaf leads there by itself, which
is a rule about its edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.declaration import CONTRACT, SignalPolicy, Transition
from baqup_agent.lifecycle.proof.rules import Finding, found, listed, quoted
from baqup_agent.lifecycle.proof.shape import (
    Shape,
    breadth_first,
    components,
    phase_of,
    reversed_edges,
)

_END = AgentState.TERMINATED.value
_FAIL = "fail"

#: What bounds a run where nothing else does.
_LAST_BOUND = "the limit of the whole phase"

_Walk = Callable[[str], Iterable[Transition]]


def ways_hold(shape: Shape) -> Iterator[Finding]:
    """Find leaves that are cut off, dead ends, traps and loops."""
    ending = _that_can_end(shape)
    yield from _unreachable(shape, ending)
    yield from _dead_ends(shape, ending)
    yield from _traps(shape, ending)
    yield from _endless_loops(shape)
    yield from _deaf_loops(shape)


def _unreachable(shape: Shape, ending: set[str]) -> Iterator[Finding]:
    cut_off = [leaf for leaf in shape.live if not shape.reached(leaf)]
    if shape.lifecycle.initial not in ending:  # then a dead end tells why a phase is not entered
        entered = {phase_of(leaf) for leaf in shape.live if shape.reached(leaf)}
        cut_off = [leaf for leaf in cut_off if phase_of(leaf) in entered]
    back = reversed_edges(edge for leaf in cut_off for edge in shape.edges(leaf))
    untold = set(cut_off)
    for root in _bottoms(cut_off, lambda leaf: back.get(leaf, ())):
        first = shape.first(root)
        behind = _claimed(first, shape.edges, untold)
        also = f", nor to {listed(behind)} behind it" if behind else ""
        yield found(
            "unreachable",
            first,
            f"no way leads from {quoted(shape.lifecycle.initial)} to {quoted(first)}{also}",
            "add a transition to it, or remove it",
        )


def _claimed(first: str, edges: _Walk, untold: set[str]) -> list[str]:
    """What else is told of along with ``first``; taken from ``untold``, to be told of once."""
    names = list(breadth_first([first], _within(edges, untold)))
    untold.difference_update(names)
    return names[1:]


def _that_can_end(shape: Shape) -> set[str]:
    back = reversed_edges(chain.from_iterable(shape.ways.values()))
    goals = [leaf for leaf in shape.leaves if phase_of(leaf) == _END]
    return set(breadth_first(goals, lambda leaf: back.get(leaf, ())))


def _dead_ends(shape: Shape, ending: set[str]) -> Iterator[Finding]:
    lost = [leaf for leaf in shape.live if leaf not in ending]
    back = reversed_edges(edge for leaf in lost for edge in shape.edges(leaf))
    untold = set(lost)
    for root in _bottoms(lost, shape.edges):
        first = shape.first(root)
        before = _claimed(first, lambda leaf: back.get(leaf, ()), untold)
        also = f", nor from {listed(before)} before it" if before else ""
        yield found(
            "cannot-terminate",
            first,
            f"no way leads from {quoted(first)} to {_END!r}{also}",
            _way_on(first),
            shape.way(first),
        )


def _way_on(leaf: str) -> str:
    """The edge that would lead on from a dead end."""
    ahead = [
        edge
        for edge in CONTRACT.transitions
        if edge.source == phase_of(leaf) and edge.trigger != _FAIL
    ]
    return "; or ".join(
        f"let {edge.trigger!r} lead on from it to {edge.target!r}, or a trigger of your own to a "
        "leaf from which it does"
        for edge in ahead
    )


def _traps(shape: Shape, ending: set[str]) -> Iterator[Finding]:
    """Parts that a run may never leave well, because each way out of them is guarded."""
    live = [leaf for leaf in shape.live if leaf in ending]
    free = _kept(shape.edges, lambda edge: edge.guard is None and edge.trigger != _FAIL)
    for part in _bottoms(live, free):
        if any(
            shape.bounded(leaf) for leaf in part
        ):  # as the last phase is, which leads to the end
            continue
        guarded = [edge for leaf in part for edge in shape.edges(leaf) if edge.guard is not None]
        first = shape.first(part)
        yield found(
            "guard-trap",
            first,
            f"only guards let a run on from {listed(sorted(part))} (those of "
            f"{listed(_triggers_of(guarded))}); if they all refuse, it stays until {_LAST_BOUND}",
            "give it timeout_s, or leave the last edge unguarded",
            shape.way(first),
        )


def _endless_loops(shape: Shape) -> Iterator[Finding]:
    leaves = [leaf for leaf in shape.live if not shape.bounded(leaf)]
    for first, loop in _loops(shape, leaves, lambda edge: edge.guard is None):
        yield found(
            "endless-loop",
            first,
            f"{_round(loop)} can go round for ever; only {_LAST_BOUND} ends it",
            "give a leaf in it timeout_s, or guard one of its edges",
            shape.way_along(*loop),
        )


def _deaf_loops(shape: Shape) -> Iterator[Finding]:
    deaf = [leaf for leaf in shape.live if shape.policy(leaf) is SignalPolicy.IGNORE]
    for first, loop in _loops(shape, deaf, lambda _edge: True):
        yield found(
            "deaf-loop",
            first,
            f"{_round(loop)} can go round without ever heeding a signal, which every leaf in it "
            "ignores",
            "let a leaf in it abort or finish on a signal",
            shape.way_along(*loop),
        )


def _round(loop: Sequence[Transition]) -> str:
    names = listed(_triggers_of(loop))
    return f"the loop of {names} at {quoted(loop[0].source)}"


def _loops(
    shape: Shape, leaves: list[str], counts: Callable[[Transition], bool]
) -> Iterator[tuple[str, list[Transition]]]:
    """One loop for each part of ``leaves`` that loops within a phase, with its first leaf."""
    staying = _kept(
        shape.edges, lambda edge: phase_of(edge.source) == phase_of(edge.target) and counts(edge)
    )
    for part in components(leaves, staying):
        inside = _within(staying, set(part))
        at_once = [leaf for leaf in part if any(edge.target == leaf for edge in inside(leaf))]
        if at_once or len(part) > 1:
            first = shape.first(at_once or part)
            yield first, _shortest_loop(first, inside)


def _shortest_loop(start: str, edges: _Walk) -> list[Transition]:
    """The shortest way from ``start`` back to it; there must be one."""
    arrivals = breadth_first([edge.target for edge in edges(start)], edges)
    back = [edge] if (edge := arrivals[start]) else []
    while back and (edge := arrivals[back[-1].source]):
        back.append(edge)
    entered = back[-1].source if back else start
    first = next(edge for edge in edges(start) if edge.target == entered)
    return [first, *reversed(back)]


def _bottoms(leaves: list[str], edges: _Walk) -> list[list[str]]:
    """The parts of ``leaves`` from which no edge leads to another part of them."""
    inside = set(leaves)
    parts = components(leaves, edges)
    home = {leaf: number for number, part in enumerate(parts) for leaf in part}
    return [
        part
        for number, part in enumerate(parts)
        if all(
            edge.target not in inside or home[edge.target] == number
            for leaf in part
            for edge in edges(leaf)
        )
    ]


def _within(edges: _Walk, inside: set[str]) -> _Walk:
    return _kept(edges, lambda edge: edge.target in inside)


def _kept(edges: _Walk, counts: Callable[[Transition], bool]) -> _Walk:
    return lambda leaf: [edge for edge in edges(leaf) if counts(edge)]


def _triggers_of(edges: Iterable[Transition]) -> list[str]:
    return list(dict.fromkeys(edge.trigger for edge in edges))
