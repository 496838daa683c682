"""Replaces a state of a lifecycle by leaves of the author's own.

Theory: the result must *refine* the contract, which means that whoever looks only at phases sees
exactly the contract's machine. Each edge of a refined lifecycle therefore either stays within one
phase, under a trigger of the author's, or is one of the contract's edges between two phases.
`refine` builds the flat result and keeps to that form by itself; what can still be wrong with it
is for `baqup_agent.lifecycle.proof` to find.

How the edges of the refined state are inherited:

* edges into it lead to the initial leaf;
* ``fail`` leaves from every leaf;
* another edge out of it leaves from the leaves for which the author declares it, or else from
  every leaf in which the inner transitions end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from attrs import evolve

from baqup_agent.lifecycle.declaration import SEPARATOR, Deadline, Lifecycle, State, Transition

_FAIL = "fail"

#: Names that a message lists before it only counts them.
_LISTED = 12


class LifecycleDeclarationError(ValueError):
    """A lifecycle cannot be built as declared; the message names the place and the remedy."""


def refine(
    lifecycle: Lifecycle,
    state: str,
    *,
    initial: str,
    states: Sequence[State],
    transitions: Sequence[Transition] = (),
) -> Lifecycle:
    """Return ``lifecycle`` with one of its leaves replaced by ``states``.

    Args:
        lifecycle: `CONTRACT`, or a refinement of it.
        state: the leaf to refine: a live phase, or a leaf of an earlier refinement by its full
            name.
        initial: the leaf of ``states`` that is entered first.
        states: the new leaves, named without the state's own name.
        transitions: edges between them, by those names; an edge that leaves the refined state
            names its target in full.

    Raises:
        LifecycleDeclarationError: a name is malformed, unknown or used twice, or the state
            cannot be refined.
    """
    outer = _refinable(lifecycle, state)
    _check_names(outer, states)
    names = {leaf.name: f"{outer.name}{SEPARATOR}{leaf.name}" for leaf in states}
    resolve = _Resolver(lifecycle, outer, names)
    first = resolve.inner(initial, "initial")
    inner = tuple(
        evolve(
            edge,
            source=resolve.inner(edge.source, f"source of {edge.trigger!r}"),
            target=resolve.any(edge.target, f"target of {edge.trigger!r}"),
        )
        for edge in transitions
    )
    leaves = tuple(_placed(leaf, names[leaf.name], lifecycle.scopes(outer.name)) for leaf in states)
    return Lifecycle(
        initial=first if lifecycle.initial == outer.name else lifecycle.initial,
        states=_replaced(lifecycle.states, outer, leaves),
        transitions=_edges(lifecycle, outer, first, leaves, inner),
        compounds=(*lifecycle.compounds, outer),
    )


class _Resolver:
    """Turns the names of a refinement into full names."""

    def __init__(self, lifecycle: Lifecycle, outer: State, names: dict[str, str]) -> None:
        leaves = (state.name for state in lifecycle.states if state.name != outer.name)
        self._known = dict.fromkeys(leaves)
        self._outer = outer
        self._names = names

    def inner(self, name: str, what: str) -> str:
        if name not in self._names:
            raise self._unknown(name, what, self._names)
        return self._names[name]

    def any(self, name: str, what: str) -> str:
        if name in self._names:
            return self._names[name]
        if name not in self._known:
            raise self._unknown(name, what, [*self._names, *self._known])
        return name

    def _unknown(self, name: str, what: str, known: Iterable[str]) -> LifecycleDeclarationError:
        hint = _hint(name, list(known), "there are")
        return LifecycleDeclarationError(
            f"refinement of {self._outer.name!r}: {what} is {name!r}, which is no leaf; {hint}"
        )


def _hint(name: str, known: Sequence[str], otherwise: str) -> str:
    """What a name that is unknown may have meant, or some of those that there are."""
    close = get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(known) - _LISTED:,} more" if len(known) > _LISTED else ""
    return f"{otherwise} {', '.join(known[:_LISTED])}{more}"


def _refinable(lifecycle: Lifecycle, name: str) -> State:
    leaves = {state.name: state for state in lifecycle.states}
    if name not in leaves:
        live = [leaf.name for leaf in lifecycle.states if not leaf.final]
        why = "was refined already" if name in lifecycle.names else "does not exist"
        hint = _hint(name, live, "these can be:")
        raise LifecycleDeclarationError(f"state {name!r} cannot be refined: it {why}; {hint}")
    if leaves[name].final:
        raise LifecycleDeclarationError(
            f"state {name!r} cannot be refined: it is final, and nothing happens in it; "
            "refine 'completing' for what comes last"
        )
    return leaves[name]


def _check_names(outer: State, states: Sequence[State]) -> None:
    if not states:
        raise LifecycleDeclarationError(f"refinement of {outer.name!r} has no states; give some")
    seen: set[str] = set()
    for leaf in states:
        if not leaf.name.isidentifier():
            raise LifecycleDeclarationError(
                f"refinement of {outer.name!r}: {leaf.name!r} is no identifier; name a leaf with "
                "letters, digits and underscores"
            )
        if leaf.name in seen:
            raise LifecycleDeclarationError(
                f"refinement of {outer.name!r}: two leaves are named {leaf.name!r}; rename one"
            )
        seen.add(leaf.name)


def _placed(leaf: State, name: str, scopes: tuple[State, ...]) -> State:
    """The leaf with its full name, and its own time limit as a deadline of its phase's kind."""
    kind = scopes[0].deadline
    deadline = None
    if leaf.timeout_s is not None and kind is not None:
        deadline = Deadline(kind.error_code, kind.exit_code, seconds=leaf.timeout_s)
    if leaf.deadline not in (None, deadline):
        raise LifecycleDeclarationError(
            f"leaf {name!r} has a deadline of its own kind ({leaf.deadline}), and it can only be "
            "its phase's; give it timeout_s"
        )
    return evolve(leaf, name=name, deadline=deadline)


def _replaced(
    states: tuple[State, ...], outer: State, leaves: tuple[State, ...]
) -> tuple[State, ...]:
    at = states.index(outer)
    return (*states[:at], *leaves, *states[at + 1 :])


def _edges(
    lifecycle: Lifecycle,
    outer: State,
    first: str,
    leaves: tuple[State, ...],
    inner: tuple[Transition, ...],
) -> tuple[Transition, ...]:
    names = {leaf.name for leaf in leaves}
    moving = {edge.source for edge in inner if edge.target in names and edge.target != edge.source}
    ends = [leaf.name for leaf in leaves if leaf.name not in moving]
    own = {edge.trigger for edge in inner if edge.target not in names}
    rows: list[Transition] = []
    for edge in lifecycle.transitions:
        target = first if edge.target == outer.name else edge.target
        if edge.source != outer.name:
            rows.append(evolve(edge, target=target))
        elif edge.trigger == _FAIL:
            declared = {row.source for row in inner if row.trigger == _FAIL}
            sources = [leaf.name for leaf in leaves if leaf.name not in declared]
            rows += [evolve(edge, source=name, target=target) for name in sources]
        elif edge.trigger not in own:
            rows += [evolve(edge, source=name, target=target) for name in ends]
    return (*rows, *inner)
