"""A flat lifecycle as nested states again, for formats that have such."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import field, frozen

from baqup_agent.lifecycle.declaration import SEPARATOR, Lifecycle, State, Transition
from baqup_agent.lifecycle.formats.named import reference


@frozen
class Node:
    """One state with what lies in it.

    Attributes:
        state: the state itself.
        initial: the leaf in which a stay begins, None for a leaf.
        inside: the states below it, in order.
        edges: what leaves it; only leaves have edges.
    """

    state: State
    initial: str | None
    edges: tuple[Transition, ...]
    inside: list[Node] = field(factory=list)


def tree(lifecycle: Lifecycle) -> list[Node]:
    """Return the phases of a lifecycle, each with what refines it, in order."""
    nodes: dict[str, Node] = {}
    roots: list[Node] = []
    for leaf in lifecycle.states:
        for state in lifecycle.scopes(leaf.name):
            if state.name in nodes:
                continue
            is_leaf = state.name == leaf.name
            first = None if is_leaf else _first(lifecycle, state.name, leaf.name)
            nodes[state.name] = Node(state, first, lifecycle.edges(state.name))
            outer = state.name.rpartition(SEPARATOR)[0]
            (nodes[outer].inside if outer else roots).append(nodes[state.name])
    return roots


def facts(state: State) -> dict[str, Any]:
    """What a state has that other tools' formats have no place for, as JSON members."""
    row: dict[str, Any] = {}
    if state.deadline is not None:
        deadline = state.deadline
        row["deadline"] = (
            {"variable": deadline.variable}
            if deadline.seconds is None
            else {"seconds": deadline.seconds}
        ) | {"error_code": deadline.error_code, "exit_code": int(deadline.exit_code)}
    if state.on_signal is not None:
        row["on_signal"] = state.on_signal.value
    if state.expected_duration_s is not None:
        row["expected_duration_s"] = state.expected_duration_s
    for name, effects in (("on_enter", state.on_enter), ("on_exit", state.on_exit)):
        if effects:
            row[name] = [reference(effect) for effect in effects]
    return row


def every(nodes: list[Node]) -> Iterator[Node]:
    """The nodes and all that lie in them, outer before inner."""
    for node in nodes:
        yield node
        yield from every(node.inside)


def _first(lifecycle: Lifecycle, outer: str, leaf: str) -> str:
    """The leaf in which a stay in ``outer`` begins, by the edges that enter it."""
    inside = outer + SEPARATOR
    if lifecycle.initial.startswith(inside):
        return lifecycle.initial
    entries = (
        edge.target
        for edge in lifecycle.transitions
        if edge.target.startswith(inside) and not edge.source.startswith(inside)
    )
    return next(entries, leaf)
