"""The rules about the initial leaf and each edge by itself (Contract §1).

Whoever looks at phases only must see the contract's machine. So an edge either stays within its
phase, under a trigger of the author's, or it is one of the contract's own edges between two phases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from keyword import iskeyword
from unicodedata import normalize

from baqup_agent.lifecycle.declaration import CONTRACT, Guard, Transition
from baqup_agent.lifecycle.proof.rules import Finding, found, listed, quoted
from baqup_agent.lifecycle.proof.shape import FINAL, PHASES, Shape, phase_of

#: Names that the running machine gives to something else than a custom trigger.
RESERVED_TRIGGERS = frozenset({"state", "trigger"})

_TRIGGERS = frozenset(
    {
        "declaration",
        "final",
        "fire",
        "history",
        "leaf",
        "legal",
        "lifecycle",
        "phase",
        "state",
        "substate",
        "trigger",
        "triggers",
    }
)

_TRIGGERS = frozenset(CONTRACT.triggers)
_EDGES = {(edge.trigger, edge.source): edge.target for edge in CONTRACT.transitions}
_BETWEEN = {(edge.source, edge.target): edge.trigger for edge in CONTRACT.transitions}
_FAIL = "fail"


def edges_hold(shape: Shape) -> Iterator[Finding]:
    """Find what is wrong with the initial leaf, the triggers, and each edge."""
    yield from _initial(shape)
    yield from _triggers(shape)
    for edge in shape.lifecycle.transitions:
        yield from _edge(shape, edge)
    yield from _fails(shape)
    for edges in shape.ways.values():
        yield from _repeats(shape, edges)


def _initial(shape: Shape) -> Iterator[Finding]:
    name = shape.lifecycle.initial
    if name not in shape.leaves:
        yield found(
            "unknown-initial",
            None,
            f"the initial leaf {quoted(name)} {_absence(shape, name)}",
            _absent_remedy(shape, name),
        )
    elif phase_of(name) in PHASES and phase_of(name) != CONTRACT.initial:
        yield found(
            "initial-phase",
            name,
            f"the initial leaf {quoted(name)} is in {phase_of(name)!r}, and a run begins in "
            f"{CONTRACT.initial!r}",
            f"begin in a leaf of {CONTRACT.initial!r}",
            (name,),
        )


def _triggers(shape: Shape) -> Iterator[Finding]:
    first: dict[str, Transition] = {}
    for edge in shape.lifecycle.transitions:
        first.setdefault(edge.trigger, edge)
    taken = _taken(shape, first)
    for trigger, edge in first.items():
        if why := _unusable(trigger, taken):
            yield found(
                "trigger-name",
                edge.source,
                f"{quoted(trigger)} cannot be fired as a method: it {why}",
                "name it otherwise, with letters, digits and underscores",
                shape.way_along(edge),
            )


def _taken(shape: Shape, triggers: Iterable[object]) -> set[str]:
    """The names of what the compiled machine offers beside its triggers."""
    asked = {f"may_{trigger}" for trigger in triggers}
    return {*RESERVED_TRIGGERS, *asked, *(f"is_{leaf}" for leaf in shape.leaves)}


def _unusable(trigger: object, taken: set[str]) -> str | None:
    """Why a trigger cannot be a method of the job's lifecycle, if so."""
    name = str(trigger)
    if not isinstance(trigger, str) or not name.isidentifier():
        return "is no identifier"
    if normalize("NFKC", name) != name:
        return "is spelt with characters that Python replaces by others"
    if iskeyword(name):
        return "is a keyword of Python"
    if name.startswith("_"):
        return "begins with an underscore"
    if name in taken:
        return "means something else there"
    return None


def _edge(shape: Shape, edge: Transition) -> Iterator[Finding]:
    """The first of these that applies; the rest would only say it again."""
    if edge.source not in shape.leaves:
        yield _unknown(shape, edge, "source")
    if edge.target not in shape.leaves:
        yield _unknown(shape, edge, "target")
    if edge.source not in shape.leaves or edge.target not in shape.leaves:
        return
    if phase_of(edge.source) in FINAL:
        yield found(
            "final-exit",
            edge.source,
            f"{quoted(edge.trigger)} leaves {quoted(edge.source)}, which is final",
            "remove the edge",
            shape.way_along(edge),
        )
    elif {phase_of(edge.source), phase_of(edge.target)} <= PHASES:
        yield from _form(shape, edge)


def _unknown(shape: Shape, edge: Transition, end: str) -> Finding:
    name = edge.source if end == "source" else edge.target
    known = edge.target if end == "source" else edge.source
    return found(
        f"unknown-{end}",
        known if known in shape.leaves else None,
        f"the {end} of {quoted(edge.trigger)} is {quoted(name)}, which {_absence(shape, name)}",
        _absent_remedy(shape, name),
        shape.way_along(edge),
    )


def _absence(shape: Shape, name: str) -> str:
    return "was refined, so no run is ever in it" if name in shape.compounds else "is no leaf"


def _absent_remedy(shape: Shape, name: str) -> str:
    if name not in shape.compounds:
        return shape.hint(name, shape.leaves)
    inner = [leaf for leaf in shape.leaves if leaf.startswith(f"{name}.")]
    return f"name one of its leaves: {listed(inner)}" if inner else "give it leaves"


def _form(shape: Shape, edge: Transition) -> Iterator[Finding]:
    source, target = phase_of(edge.source), phase_of(edge.target)
    if edge.trigger not in _TRIGGERS:
        if source != target:
            yield _across(shape, edge)
    elif source == target:
        yield found(
            "contract-trigger-inside",
            edge.source,
            f"the contract's {edge.trigger!r} leads from {quoted(edge.source)} to "
            f"{quoted(edge.target)}, and so stays in {source!r}",
            "give the edge a trigger of your own",
            shape.way_along(edge),
        )
    elif _EDGES.get((edge.trigger, source)) != target:
        yield found(
            "contract-edge",
            edge.source,
            f"{edge.trigger!r} leads from {source!r} to {target!r} ({quoted(edge.source)} to "
            f"{quoted(edge.target)}), which the contract does not know",
            _lawful(edge.trigger, source),
            shape.way_along(edge),
        )


def _across(shape: Shape, edge: Transition) -> Finding:
    source, target = phase_of(edge.source), phase_of(edge.target)
    lawful = _BETWEEN.get((source, target))
    return found(
        "custom-across-phases",
        edge.source,
        f"{quoted(edge.trigger)} leads from {source!r} to {target!r} ({quoted(edge.source)} to "
        f"{quoted(edge.target)}), and only a trigger of the contract changes the phase",
        f"fire {lawful!r} there" if lawful else f"let it lead to a leaf of {source!r}",
        shape.way_along(edge),
    )


def _lawful(trigger: str, source: str) -> str:
    if target := _EDGES.get((trigger, source)):
        return f"let it lead to a leaf of {target!r}"
    sources = [phase for known, phase in _EDGES if known == trigger]
    return f"fire {trigger!r} in a leaf of {listed(sources)} only"


def _fails(shape: Shape) -> Iterator[Finding]:
    for leaf in shape.live:
        # Where one leads is another rule's.
        fails = [edge for edge in shape.lifecycle.edges(leaf) if edge.trigger == _FAIL]
        if any(edge.guard is None for edge in fails) or phase_of(leaf) not in PHASES:
            continue
        wrong = "accepts 'fail' only under a guard" if fails else "does not accept 'fail'"
        yield found(
            "fail-accepted",
            leaf,
            f"{quoted(leaf)} {wrong}, so an error in it could not end the run",
            "remove the guard" if fails else f"add Transition('fail', {quoted(leaf)}, 'failed')",
            shape.way(leaf),
        )


def _repeats(shape: Shape, edges: list[Transition]) -> Iterator[Finding]:
    """Edges of one source that an earlier edge of the same trigger keeps from being taken."""
    unguarded: dict[str, Transition] = {}
    seen: dict[tuple[str, object], Transition] = {}
    earlier: dict[str, set[tuple[str, object]]] = defaultdict(set)
    for edge in edges:
        alike = (edge.target, _identity(edge.guard))
        if alike in earlier[edge.trigger]:
            yield _duplicate(shape, edge)
        elif before := unguarded.get(edge.trigger) or seen.get((edge.trigger, alike[1])):
            yield _shadowed(shape, edge, before)
        earlier[edge.trigger].add(alike)
        seen.setdefault((edge.trigger, alike[1]), edge)
        if edge.guard is None:
            unguarded.setdefault(edge.trigger, edge)


def _identity(guard: Guard | None) -> object:
    """What makes two guards the same: equality, as for bound methods, or else the object."""
    return guard if isinstance(guard, Hashable) else id(guard)


def _duplicate(shape: Shape, edge: Transition) -> Finding:
    return found(
        "duplicate-edge",
        edge.source,
        f"{quoted(edge.trigger)} from {quoted(edge.source)} to {quoted(edge.target)} is declared "
        "twice",
        "remove one",
        shape.way_along(edge),
    )


def _shadowed(shape: Shape, edge: Transition, before: Transition) -> Finding:
    why = "without a guard" if before.guard is None else "with the same guard"
    return found(
        "shadowed-edge",
        edge.source,
        f"{quoted(edge.trigger)} from {quoted(edge.source)} to {quoted(edge.target)} is never "
        f"taken: an earlier edge of it leads to {quoted(before.target)} {why}",
        "guard the earlier edge by something else, or remove one of the two",
        shape.way_along(edge),
    )
