"""The rules about states: their names, their phases, and how they nest (Contract §1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.declaration import CONTRACT, SEPARATOR, State
from baqup_agent.lifecycle.proof.rules import Finding, found, listed, quoted
from baqup_agent.lifecycle.proof.shape import DEEPEST, FINAL, PHASES, Shape, phase_of, scopes_of


def states_hold(shape: Shape) -> Iterator[Finding]:
    """Find what is wrong with the states themselves."""
    yield from _duplicates(shape)
    for state in chain(shape.lifecycle.compounds, shape.lifecycle.states):
        yield from _named(shape, state)
    yield from _empty_scopes(shape)
    yield from _missing_phases(shape)


def _named(shape: Shape, state: State) -> Iterator[Finding]:
    """The first of these that applies; the rest would only say it again."""
    phase = phase_of(state.name)
    if phase not in PHASES:
        yield _in_no_phase(shape, state)
    elif not _is_name(state.name):
        yield found(
            "leaf-name",
            state.name,
            f"{quoted(state.name)} is no name of a leaf",
            f"join identifiers by dots, at most {DEEPEST} of them",
        )
    elif phase in FINAL and state.name != phase:
        yield found(
            "final-refined",
            state.name,
            f"{quoted(state.name)} refines {phase!r}, which is final; nothing happens in it",
            "remove it, and let what it stands for happen in 'completing'",
        )
    elif state.final != (phase in FINAL):
        yield _final(shape, state)
    else:
        yield from _missing_scopes(shape, state)


def _in_no_phase(shape: Shape, state: State) -> Finding:
    known = [phase.value for phase in AgentState]
    return found(
        "unknown-phase",
        state.name,
        f"{quoted(state.name)} is in none of the contract's phases",
        shape.hint(phase_of(state.name), known),
    )


def _is_name(name: str) -> bool:
    return name.count(SEPARATOR) < DEEPEST and all(
        part.isidentifier() for part in name.split(SEPARATOR)
    )


def _final(shape: Shape, state: State) -> Finding:
    if state.final:
        return found(
            "final-phase",
            state.name,
            f"{quoted(state.name)} is marked final, and a run can end in "
            f"{listed(sorted(FINAL, reverse=True))} only",
            "take the mark away, and leave the phase by the contract's trigger",
            shape.way(state.name),
        )
    return found(
        "final-phase",
        state.name,
        f"{quoted(state.name)} ends a run, and is not marked final",
        "set final=True",
        shape.way(state.name),
    )


def _missing_scopes(shape: Shape, state: State) -> Iterator[Finding]:
    for scope in scopes_of(state.name):
        if scope != state.name and scope not in shape.compounds:
            yield found(
                "missing-scope",
                state.name,
                f"{quoted(state.name)} lies in {quoted(scope)}, which is not among the refined "
                "states",
                "build the lifecycle with refine(), or add it to the compounds",
                shape.way(state.name),
            )
            return


def _duplicates(shape: Shape) -> Iterator[Finding]:
    for name in _repeated(
        state.name for state in (*shape.lifecycle.compounds, *shape.lifecycle.states)
    ):
        yield found(
            "duplicate-leaf",
            name,
            f"two states are named {quoted(name)}",
            "rename or remove one",
            shape.way(name),
        )


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _empty_scopes(shape: Shape) -> Iterator[Finding]:
    inhabited = {scope for leaf in shape.leaves for scope in scopes_of(leaf) if scope != leaf}
    for name in shape.compounds:
        if name not in inhabited and name not in shape.leaves and phase_of(name) in PHASES:
            yield found(
                "empty-scope",
                name,
                f"{quoted(name)} counts as refined, and no leaf lies in it",
                "give it leaves, or remove it from the compounds",
            )


def _missing_phases(shape: Shape) -> Iterator[Finding]:
    there = {phase_of(leaf) for leaf in shape.leaves}
    for state in CONTRACT.states:
        if state.name not in there:
            yield found(
                "missing-phase",
                state.name,
                f"the contract's phase {state.name!r} has no leaf",
                "begin with CONTRACT, and refine that",
            )
