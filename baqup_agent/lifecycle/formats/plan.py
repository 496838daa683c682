"""A lifecycle as the steps that lead to it from the contract: what a file holds."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, field, frozen

from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.declaration import CONTRACT, SEPARATOR, Lifecycle, State, Transition
from baqup_agent.lifecycle.formats.limits import MAX_CARRIED, MAX_TRANSITIONS
from baqup_agent.lifecycle.formats.problems import LifecycleFormatError, Path, Problem, hint
from baqup_agent.lifecycle.refinement import LifecycleDeclarationError, refine


@frozen
class Refinement:
    """The arguments of one call of `refine`.

    Attributes:
        outer: full name of the state that is refined.
        initial: its first leaf, by local name.
        states: its leaves, by local names.
        transitions: the edges from its leaves; targets outside are named in full.
    """

    outer: str
    initial: str
    states: tuple[State, ...]
    transitions: tuple[Transition, ...] = ()


def _refinements(each: Iterable[Refinement]) -> tuple[Refinement, ...]:
    return tuple(each)


@frozen
class Plan:
    """All refinements, in order.

    Attributes:
        refinements: what is refined, outer states before inner ones.
        edges: every transition of the result, by full names; None where the refinements tell them.
    """

    refinements: tuple[Refinement, ...] = field(converter=_refinements)
    edges: tuple[Transition, ...] | None = None


def path_of(name: str) -> Path:
    """Return where a state of that full name stands in the stored form."""
    return tuple(step for part in name.split(SEPARATOR) for step in ("states", part))


def build(plan: Plan) -> Lifecycle:
    """Build the lifecycle by `refine`, one refinement after the other.

    Raises:
        LifecycleFormatError: a refinement cannot be made, or there is too much of it.
    """
    lifecycle, carried = CONTRACT, 0
    for each in plan.refinements:
        size = _size(lifecycle, each)
        carried += size + len(lifecycle.states)
        if size > MAX_TRANSITIONS or carried > MAX_CARRIED:
            raise _too_large(each)
        lifecycle = _refined(lifecycle, each)
    return lifecycle if plan.edges is None else _with_edges(lifecycle, plan.edges)


def _size(lifecycle: Lifecycle, each: Refinement) -> int:
    """Transitions after the refinement at most."""
    inherited = len(lifecycle.edges(each.outer)) * len(each.states)
    return len(lifecycle.transitions) + inherited + len(each.transitions)


def _too_large(each: Refinement) -> LifecycleFormatError:
    text = (
        f"refining {each.outer!r} makes the lifecycle too large: it may have {MAX_TRANSITIONS} "
        f"transitions, and its refinements may carry over {MAX_CARRIED} states and transitions in "
        "all; declare fewer or smaller refinements"
    )
    return LifecycleFormatError([Problem(path_of(each.outer), text)])


def _refined(lifecycle: Lifecycle, each: Refinement) -> Lifecycle:
    try:
        return refine(
            lifecycle,
            each.outer,
            initial=each.initial,
            states=each.states,
            transitions=each.transitions,
        )
    except LifecycleDeclarationError as error:
        raise LifecycleFormatError([Problem(path_of(each.outer), str(error))]) from error


def _with_edges(lifecycle: Lifecycle, edges: tuple[Transition, ...]) -> Lifecycle:
    """The lifecycle with its transitions told outright, as far as `refine` could make them."""
    problems = [*_of_names(lifecycle, edges), *_of_completeness(lifecycle, edges)]
    if problems:
        raise LifecycleFormatError(problems)
    return evolve(lifecycle, transitions=edges)


def _of_names(lifecycle: Lifecycle, edges: tuple[Transition, ...]) -> list[Problem]:
    problems: list[Problem] = []
    leaves = {state.name: state for state in lifecycle.states}
    live = [name for name, state in leaves.items() if not state.final]
    for index, edge in enumerate(edges):
        for end, name, known in (("source", edge.source, live), ("target", edge.target, leaves)):
            if name in leaves and (end == "target" or not leaves[name].final):
                continue
            why = "is final, and has no exit" if name in leaves else "is no leaf"
            text = f"{name!r} {why}; {hint(name, known)}"
            problems.append(Problem(("transitions", index, end), text))
    return problems


def _of_completeness(lifecycle: Lifecycle, edges: tuple[Transition, ...]) -> list[Problem]:
    """What `refine` keeps by itself: `fail` everywhere, and phases that nobody refined."""
    failing = {edge.source for edge in edges if edge.trigger == "fail"}
    problems = [
        Problem(path_of(state.name), "no transition 'fail' leaves it; add one to 'failed'")
        for state in lifecycle.states
        if not state.final and state.name not in failing
    ]
    refined = {state.name for state in lifecycle.compounds}
    for phase in AgentState:
        if phase not in refined and _exits(edges, phase) != _exits(CONTRACT.transitions, phase):
            text = f"the transitions of {phase.value!r} are the contract's until it is refined"
            problems.append(Problem(("transitions",), f"{text}; declare those alone"))
    return problems


def _exits(edges: tuple[Transition, ...], phase: AgentState) -> list[tuple[str, str, bool]]:
    return [
        (edge.trigger, edge.target.partition(SEPARATOR)[0], edge.guard is not None)
        for edge in edges
        if edge.source == phase
    ]
