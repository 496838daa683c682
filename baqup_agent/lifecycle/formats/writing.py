"""Writes a plan as the stored form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from baqup_agent.lifecycle.declaration import SEPARATOR, State, Transition
from baqup_agent.lifecycle.formats.named import UnresolvedName, reference, sketched
from baqup_agent.lifecycle.formats.plan import Plan, Refinement, path_of
from baqup_agent.lifecycle.formats.problems import LifecycleFormatError, Path, Problem

#: Version of the form.
VERSION = 1


def write(plan: Plan, *, sketch: bool) -> dict[str, Any]:
    """Return the stored form of a plan.

    Args:
        plan: what is written.
        sketch: whether callables without a name are let through.

    Raises:
        LifecycleFormatError: a guard or effect has no name; all of them.
    """
    return _Writer(plan, sketch=sketch).document()


class _Writer:
    def __init__(self, plan: Plan, *, sketch: bool) -> None:
        self._plan = plan
        self._refinements = {each.outer: each for each in plan.refinements}
        self._sketch = sketch
        self._problems: list[Problem] = []

    def document(self) -> dict[str, Any]:
        names = list(self._refinements)
        phases = [name for name in names if SEPARATOR not in name]
        document: dict[str, Any] = {
            "version": VERSION,
            "states": {name: self._inside(self._refinements[name]) for name in phases},
        }
        if names != in_order(document["states"]):
            document["order"] = names
        if self._plan.edges is not None:
            document["transitions"] = self._edges(self._plan.edges, ())
        if self._problems:
            raise LifecycleFormatError(self._problems)
        return document

    def _state(self, state: State, name: str) -> dict[str, Any]:
        path = path_of(name)
        row: dict[str, Any] = {
            "description": state.description,
            "timeout_s": state.timeout_s,
            "expected_duration_s": state.expected_duration_s,
            "on_signal": None if state.on_signal is None else state.on_signal.value,
            "on_enter": self._names(state.on_enter, (*path, "on_enter")),
            "on_exit": self._names(state.on_exit, (*path, "on_exit")),
        }
        row = {key: value for key, value in row.items() if value not in (None, "", [])}
        refinement = self._refinements.get(name)
        return row | (self._inside(refinement) if refinement else {})

    def _inside(self, each: Refinement) -> dict[str, Any]:
        row: dict[str, Any] = {
            "initial": each.initial,
            "states": {
                state.name: self._state(state, f"{each.outer}{SEPARATOR}{state.name}")
                for state in each.states
            },
        }
        if each.transitions:
            row["transitions"] = self._edges(each.transitions, path_of(each.outer))
        return row

    def _edges(self, edges: Iterable[Transition], path: Path) -> list[dict[str, Any]]:
        return [self._edge(edge, (*path, "transitions", index)) for index, edge in enumerate(edges)]

    def _edge(self, edge: Transition, path: Path) -> dict[str, Any]:
        row: dict[str, Any] = {
            "trigger": edge.trigger,
            "source": edge.source,
            "target": edge.target,
        }
        if edge.guard is not None:
            row["guard"] = self._name(edge.guard, (*path, "guard"))
        if edge.description:
            row["description"] = edge.description
        return row

    def _names(self, functions: Iterable[Callable[..., Any]], path: Path) -> list[str]:
        return [self._name(each, (*path, index)) for index, each in enumerate(functions)]

    def _name(self, function: Callable[..., Any], path: Path) -> str:
        if self._sketch:
            return sketched(function)
        try:
            return reference(function)
        except UnresolvedName as error:
            self._problems.append(Problem(path, str(error)))
            return ""


def in_order(states: dict[str, Any], outer: str = "") -> list[str]:
    """Return the full names of the refined states of a form, as the text has them."""
    names: list[str] = []
    for name, state in states.items():
        if state.get("states"):
            names += [f"{outer}{name}", *in_order(state["states"], f"{outer}{name}{SEPARATOR}")]
    return names
