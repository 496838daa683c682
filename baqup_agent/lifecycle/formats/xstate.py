"""A lifecycle as the configuration of an XState 5 machine, for ``createMachine``."""

from __future__ import annotations

from typing import Any

from baqup_agent.lifecycle.declaration import Lifecycle, Transition
from baqup_agent.lifecycle.formats.named import reference
from baqup_agent.lifecycle.formats.tree import Node, facts, tree

#: Id of the machine; targets are absolute, since a leaf may lead anywhere.
_ID = "baqup"

#: Facts that XState knows under names of its own.
_KNOWN = {"on_enter": "entry", "on_exit": "exit"}


def to_xstate(lifecycle: Lifecycle) -> dict[str, Any]:
    """Return the configuration, ready for `json.dumps`.

    Guards and effects are given by name, to be provided by ``setup``; deadlines, signal policies
    and expected durations stand under ``meta``.

    Args:
        lifecycle: what is exported; each leaf is a state within those it refines.

    Raises:
        UnresolvedName: a guard or effect has no name.
    """
    return {
        "id": _ID,
        "initial": lifecycle.state(lifecycle.initial).phase.value,
        "states": {node.state.name: _state(node) for node in tree(lifecycle)},
    }


def _state(node: Node) -> dict[str, Any]:
    state = node.state
    row: dict[str, Any] = {"type": "final"} if state.final else {}
    if state.description:
        row["description"] = state.description
    known = facts(state)
    row |= {word: known.pop(name) for name, word in _KNOWN.items() if name in known}
    if known:
        row["meta"] = known
    if node.inside:
        depth = len(state.name) + 1
        assert node.initial is not None  # noqa: S101  what has states inside begins in one
        row["initial"] = node.initial[depth:].split(".")[0]
        row["states"] = {inner.state.name[depth:]: _state(inner) for inner in node.inside}
    events: dict[str, list[dict[str, Any]]] = {}
    for edge in node.edges:
        events.setdefault(edge.trigger, []).append(_edge(edge))
    return row | ({"on": events} if events else {})


def _edge(edge: Transition) -> dict[str, Any]:
    row: dict[str, Any] = {"target": f"#{_ID}.{edge.target}"}
    if edge.source == edge.target:
        row["reenter"] = True  # a stay leaves its leaf and enters it again
    if edge.guard is not None:
        row["guard"] = reference(edge.guard)
    if edge.description:
        row["description"] = edge.description
    return row
