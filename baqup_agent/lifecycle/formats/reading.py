"""Reads the stored form into a plan; everything that is wrong with it is told at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.declaration import CONTRACT, SEPARATOR, State, Transition
from baqup_agent.lifecycle.formats.limits import MAX_LEVELS, MAX_STATES, MAX_TRANSITIONS
from baqup_agent.lifecycle.formats.members import Enough, Members
from baqup_agent.lifecycle.formats.named import Named, UnresolvedName, resolved
from baqup_agent.lifecycle.formats.plan import Plan, Refinement, path_of
from baqup_agent.lifecycle.formats.problems import (
    LifecycleFormatError,
    Path,
    Problem,
    hint,
    shortened,
)
from baqup_agent.lifecycle.formats.writing import VERSION

_TOP = ("version", "states", "order", "transitions")
_REFINED = ("initial", "states", "transitions")
_STATE = (
    "description",
    "timeout_s",
    "expected_duration_s",
    "on_signal",
    "on_enter",
    "on_exit",
    *_REFINED,
)
_EDGE = ("trigger", "source", "target", "guard", "description")

#: The phases in which something happens, and that can be refined therefore.
_LIVE = tuple(state.name for state in CONTRACT.states if not state.final)


def read(document: Any, *, resolve: bool) -> Plan:
    """Return the plan that a stored form tells.

    Args:
        document: the form.
        resolve: whether guards and effects are imported.

    Raises:
        LifecycleFormatError: something is wrong with it.
    """
    reader = _Reader(resolve=resolve)
    plan = reader.plan(document)
    if reader.problems:
        raise LifecycleFormatError(reader.problems)
    return plan


class _Reader:
    def __init__(self, *, resolve: bool) -> None:
        self._resolve = resolve
        self._members = Members()
        self._refinements: dict[str, Refinement] = {}
        self._names = {phase.value for phase in AgentState}
        self._found: dict[str, Callable[..., Any]] = {}
        self._edges = 0

    @property
    def problems(self) -> list[Problem]:
        return self._members.problems

    def plan(self, document: Any) -> Plan:
        try:
            return self._plan(document)
        except Enough:
            return Plan(())

    def _plan(self, document: Any) -> Plan:
        top = self._members.record(document, (), _TOP)
        if not isinstance(document, dict):
            return Plan(())
        version = top.get("version")
        if version != VERSION or isinstance(version, bool):
            self._wrong(("version",), f"expected {VERSION}, the version of this form, not", version)
        phases = self._members.mapping(top.get("states"), ("states",))
        for name, phase in phases.items():
            self._phase(name, phase)
        outright = None
        if "transitions" in top:
            outright = self._transitions(top["transitions"], ("transitions",))
            self._refuse_inner_transitions()
        self._check_targets()
        order = self._order(top.get("order", list(self._refinements)))
        return Plan([self._refinements[name] for name in order], outright)

    def _phase(self, name: str, value: Any) -> None:
        path = ("states", name)
        if name not in _LIVE:
            text = f"{shortened(name)} is no phase that can be refined; {hint(name, _LIVE)}"
            self._add(path, text)
            return
        row = self._members.record(value, path, _REFINED)
        if "states" in row:
            self._inside(row, path, name, 1)
        elif isinstance(value, dict):
            text = "expected 'states', the leaves that refine it; leave an unrefined phase out"
            self._add(path, text)

    def _inside(self, row: Mapping[str, Any], path: Path, outer: str, level: int) -> None:
        """Read what refines a state: its first leaf, its leaves and their transitions."""
        rows = self._members.mapping(row["states"], (*path, "states"))
        if not rows:
            self._add((*path, "states"), "expected at least one leaf; declare some")
        if level > MAX_LEVELS:
            self._end((*path, "states"), f"at most {MAX_LEVELS} levels may refine a phase")
        if len(self._names) + len(rows) > MAX_STATES + len(AgentState):
            self._end((*path, "states"), f"a lifecycle may have {MAX_STATES} leaves; declare fewer")
        self._names.update(f"{outer}{SEPARATOR}{name}" for name in rows)
        self._refinements[outer] = Refinement(outer, "", ())  # holds its place in the order
        states = tuple(
            self._state(name, value, (*path, "states", name), f"{outer}{SEPARATOR}{name}", level)
            for name, value in rows.items()
        )
        edges = self._transitions(row.get("transitions", []), (*path, "transitions"))
        for index, edge in enumerate(edges):
            self._one_of(edge.source, rows, (*path, "transitions", index, "source"))
        initial = self._members.text(row.get("initial"), (*path, "initial"))
        if initial:
            self._one_of(initial, rows, (*path, "initial"))
        self._refinements[outer] = Refinement(outer, initial, states, edges)

    def _state(self, name: str, value: Any, path: Path, full: str, level: int) -> State:
        self._identifier(name, path)
        row = self._members.record({} if value is None else value, path, _STATE)
        if "states" in row:
            self._inside(row, path, full, level + 1)
        else:
            for member in ("initial", "transitions"):
                if member in row:
                    self._add(
                        (*path, member), "has no sense without 'states'; add them or remove it"
                    )
        return State(
            name,
            timeout_s=self._members.duration(row, "timeout_s", path),
            on_signal=self._members.policy(row, path),
            description=self._members.text(row.get("description", ""), (*path, "description"), ""),
            expected_duration_s=self._members.duration(row, "expected_duration_s", path),
            on_enter=self._callables(row.get("on_enter", []), (*path, "on_enter")),
            on_exit=self._callables(row.get("on_exit", []), (*path, "on_exit")),
        )

    def _transitions(self, value: Any, path: Path) -> tuple[Transition, ...]:
        rows = self._members.rows(value, path)
        self._edges += len(rows)
        if self._edges > MAX_TRANSITIONS:
            self._end(path, f"a lifecycle may have {MAX_TRANSITIONS} transitions; declare fewer")
        return tuple(self._edge(row, (*path, index)) for index, row in enumerate(rows))

    def _edge(self, value: Any, path: Path) -> Transition:
        row = self._members.record(value, path, _EDGE)
        if not isinstance(value, dict):
            return Transition("", "", "")
        trigger, source, target = (
            self._members.text(row.get(key), (*path, key))
            for key in ("trigger", "source", "target")
        )
        if trigger:
            self._identifier(trigger, (*path, "trigger"))
        return Transition(
            trigger,
            source,
            target,
            guard=self._callable(row["guard"], (*path, "guard")) if "guard" in row else None,
            description=self._members.text(row.get("description", ""), (*path, "description"), ""),
        )

    def _callables(self, value: Any, path: Path) -> tuple[Callable[..., Any], ...]:
        rows = self._members.rows(value, path)
        return tuple(self._callable(row, (*path, index)) for index, row in enumerate(rows))

    def _callable(self, value: Any, path: Path) -> Callable[..., Any]:
        text = self._members.reference(value, path)
        if text not in self._found:
            self._found[text] = Named(text)
            if self._resolve and text == value:
                try:
                    self._found[text] = resolved(text)
                except UnresolvedName as error:
                    self._add(path, str(error))
        return self._found[text]

    def _check_targets(self) -> None:
        for outer, each in self._refinements.items():
            local = {state.name for state in each.states}
            for index, edge in enumerate(each.transitions):
                if edge.target and edge.target not in local and edge.target not in self._names:
                    path = (*path_of(outer), "transitions", index, "target")
                    self._one_of(edge.target, [*local, *sorted(self._names)], path)

    def _refuse_inner_transitions(self) -> None:
        for outer, each in self._refinements.items():
            if each.transitions:
                text = "the top of the file tells every transition; move these there"
                self._add((*path_of(outer), "transitions"), text)

    def _order(self, value: Any) -> list[str]:
        names = [
            self._members.text(row, ("order", index))
            for index, row in enumerate(self._members.rows(value, ("order",)))
        ]
        if sorted(names) != sorted(self._refinements):
            text = "expected each refined state once, by its full name: "
            self._add(("order",), text + ", ".join(list(self._refinements)[:20]))
            return []
        seen: set[str] = set()
        for index, name in enumerate(names):
            outer = name.rpartition(SEPARATOR)[0]
            if outer and outer not in seen:
                self._add(
                    ("order", index), f"{name!r} comes before {outer!r}; name the outer first"
                )
            seen.add(name)
        return names

    def _identifier(self, name: str, path: Path) -> None:
        if not name.isidentifier():
            text = f"{shortened(name)} is no identifier; use letters, digits and underscores"
            self._add(path, text)

    def _one_of(self, name: str, known: Collection[str], path: Path) -> None:
        if name and name not in known:
            self._add(path, f"{shortened(name)} is no leaf; {hint(name, known)}")

    def _wrong(self, path: Path, rule: str, value: Any) -> None:
        self._add(path, f"{rule} {shortened(value)}")

    def _add(self, path: Path, text: str) -> None:
        self._members.add(path, text)

    def _end(self, path: Path, text: str) -> None:
        self._add(path, text)
        raise Enough
