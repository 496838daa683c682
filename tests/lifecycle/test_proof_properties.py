"""The proof against lifecycles that nobody wrote: right ones, spoilt ones, and random tables.

Three things are held against it. Refinements that are right by construction are proven, and one
changed cell of their table is found. On random tables its verdict is that of an oracle below, which
is the definition of a refinement taken word by word, and slow. And an edge is accepted exactly if
the monitor, which follows the contract's five states at run time, would follow it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product

from attrs import evolve
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from baqup_agent import CONTRACT, AgentState, Lifecycle, State, Transition
from baqup_agent.lifecycle.history import Step
from baqup_agent.lifecycle.monitor import Divergence, Monitor
from baqup_agent.lifecycle.proof import prove
from baqup_agent.lifecycle.refinement import refine

LIVE = {"initializing": ("start", "running"), "running": ("complete", "completing"),
        "completing": ("terminate", "terminated")}  # fmt: skip


def yes(**_payload: object) -> bool:
    return True


@st.composite
def part(draw: st.DrawFn, exit_trigger: str, exit_target: str, tag: str) -> dict:
    """Leaves that are each entered from an earlier one and each lead to a later one."""
    count = draw(st.integers(1, 5))
    names = [f"{tag}{number}" for number in range(count)]
    onward = [Transition(f"on_{at}", names[at], names[draw(st.integers(at + 1, count - 1))])
              for at in range(count - 1)]  # fmt: skip
    inward = [Transition(f"in_{at}", names[draw(st.integers(0, at - 1))], names[at])
              for at in range(1, count)]  # fmt: skip
    free = [
        Transition(f"x_{number}", source, target, guard=draw(st.sampled_from([None, yes])))
        for number, (source, target) in enumerate(
            draw(st.lists(st.tuples(*[st.sampled_from(names)] * 2), max_size=4))
        )
    ]
    exits = {names[-1]} | draw(st.sets(st.sampled_from(names), max_size=2))
    leave = [Transition(exit_trigger, name, exit_target) for name in sorted(exits)]
    limits = st.none() | st.integers(1, 30)
    states = [State(name, timeout_s=draw(limits)) for name in names]
    return {
        "initial": names[0],
        "states": states,
        "transitions": [*onward, *inward, *free, *leave],
    }


@st.composite
def refinements(draw: st.DrawFn) -> Lifecycle:
    """The contract with some phases refined, and some of the leaves again."""
    lifecycle = CONTRACT
    for phase, (trigger, target) in LIVE.items():
        if draw(st.booleans()):
            lifecycle = refine(
                lifecycle, phase, **draw(part(trigger, _entry(lifecycle, target), "a"))
            )
    for _ in range(draw(st.integers(0, 2))):
        leaves = [state for state in lifecycle.states if state.leaf and state.timeout_s is None]
        if not leaves:
            break
        lifecycle = _again(draw, lifecycle, draw(st.sampled_from(leaves)).name)
    return lifecycle


def _entry(lifecycle: Lifecycle, phase: str) -> str:
    return lifecycle.leaves(AgentState(phase))[0].name


def _again(draw: st.DrawFn, lifecycle: Lifecycle, leaf: str) -> Lifecycle:
    """A leaf refined: what it inherits leaves from where its inner transitions end."""
    inner = draw(part("unused", leaf, "b"))
    last = inner["states"][-1].name
    rows = [
        edge for edge in inner["transitions"] if edge.trigger != "unused" and edge.source != last
    ]
    renamed = [evolve(edge, trigger=f"{edge.trigger}_b") for edge in rows]
    return refine(lifecycle, leaf, **{**inner, "transitions": renamed})


@settings(max_examples=100, deadline=None)
@given(refinements())
@example(CONTRACT)
def test_what_is_right_by_construction_is_proven(lifecycle: Lifecycle) -> None:
    """Whatever is refined, and however often, no error is told."""
    event(f"{len(lifecycle.compounds)} refined")

    assert prove(lifecycle).errors == ()
    assert refines(lifecycle)


def live_edges(lifecycle: Lifecycle) -> list[int]:
    return list(range(len(lifecycle.transitions)))


def replaced(lifecycle: Lifecycle, at: int, *edges: Transition) -> Lifecycle:
    rows = lifecycle.transitions
    return evolve(lifecycle, transitions=[*rows[:at], *edges, *rows[at + 1 :]])


def drop_fail(draw: Callable, lifecycle: Lifecycle) -> Lifecycle:
    rows = [at for at in live_edges(lifecycle) if lifecycle.transitions[at].trigger == "fail"]
    return replaced(lifecycle, draw(st.sampled_from(rows)))


def guard_fail(draw: Callable, lifecycle: Lifecycle) -> Lifecycle:
    rows = [at for at in live_edges(lifecycle) if lifecycle.transitions[at].trigger == "fail"]
    at = draw(st.sampled_from(rows))
    return replaced(lifecycle, at, evolve(lifecycle.transitions[at], guard=yes))


def retarget_across(draw: Callable, lifecycle: Lifecycle) -> Lifecycle:
    at = draw(st.sampled_from(live_edges(lifecycle)))
    edge = lifecycle.transitions[at]
    phase = lifecycle.state(edge.target).phase
    others = [state.name for state in lifecycle.states if state.phase is not phase]
    return replaced(lifecycle, at, evolve(edge, target=draw(st.sampled_from(others))))


def rename_trigger(draw: Callable, lifecycle: Lifecycle) -> Lifecycle:
    """The contract's for one of the author's, or another of the contract's."""
    rows = [
        at for at in live_edges(lifecycle) if lifecycle.transitions[at].trigger in CONTRACT.triggers
    ]
    at = draw(st.sampled_from(rows))
    edge = lifecycle.transitions[at]
    names = [name for name in (*CONTRACT.triggers, "custom") if name != edge.trigger]
    return replaced(lifecycle, at, evolve(edge, trigger=draw(st.sampled_from(names))))


def name_nobody(draw: Callable, lifecycle: Lifecycle) -> Lifecycle:
    at = draw(st.sampled_from(live_edges(lifecycle)))
    end = draw(st.sampled_from(["source", "target"]))
    return replaced(lifecycle, at, evolve(lifecycle.transitions[at], **{end: "running.nobody"}))


def repeat(draw: Callable, lifecycle: Lifecycle) -> Lifecycle:
    at = draw(st.sampled_from(live_edges(lifecycle)))
    edge = lifecycle.transitions[at]
    return replaced(lifecycle, at, edge, edge)


def leave_final(draw: Callable, lifecycle: Lifecycle) -> Lifecycle:
    source = draw(st.sampled_from(["terminated", "failed"]))
    target = draw(st.sampled_from([state.name for state in lifecycle.states]))
    trigger = draw(st.sampled_from([*lifecycle.triggers, "custom"]))
    rows = [*lifecycle.transitions, Transition(trigger, source, target)]
    return evolve(lifecycle, transitions=rows)


def begin_elsewhere(draw: Callable, lifecycle: Lifecycle) -> Lifecycle:
    others = [state.name for state in lifecycle.states if state.phase != "initializing"]
    return evolve(lifecycle, initial=draw(st.sampled_from(others)))


def strand(draw: Callable, lifecycle: Lifecycle) -> Lifecycle:
    """A live leaf loses every way on but ``fail``."""
    leaf = draw(st.sampled_from([state.name for state in lifecycle.states if not state.final]))
    rows = [edge for edge in lifecycle.transitions if edge.source != leaf or edge.trigger == "fail"]
    return evolve(lifecycle, transitions=rows)


def cut_off(draw: Callable, lifecycle: Lifecycle) -> Lifecycle:
    """A leaf loses every way in."""
    leaves = [state.name for state in lifecycle.states if state.name != lifecycle.initial]
    leaf = draw(st.sampled_from(leaves))
    return evolve(lifecycle, transitions=[e for e in lifecycle.transitions if e.target != leaf])


MUTATIONS = [drop_fail, guard_fail, retarget_across, rename_trigger, name_nobody, repeat,
             leave_final, begin_elsewhere, strand, cut_off]  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(refinements(), st.sampled_from(MUTATIONS), st.data())
def test_one_spoilt_cell_is_rejected(
    lifecycle: Lifecycle, mutation: Callable[..., Lifecycle], data: st.DataObject
) -> None:
    """Each single change of a right table that makes it wrong is an error with a remedy."""
    event(mutation.__name__)

    proof = prove(mutation(data.draw, lifecycle))

    assert not proof.ok
    assert all(finding.remedy for finding in proof.errors)


def phase(name: str) -> str:
    return name.partition(".")[0]


#: Leaves of a random table: two phases refined, the others whole.
LEAVES = ["initializing", "running.a", "running.b", "completing.a", "completing.b", "terminated",
          "failed"]  # fmt: skip
COMPOUNDS = [CONTRACT.state("running"), CONTRACT.state("completing")]


def leaf_state(name: str) -> State:
    return CONTRACT.state(name) if name in CONTRACT.names else State(name)


def table(edges: set[tuple[str, str, str, bool]], initial: str = "initializing") -> Lifecycle:
    rows = [Transition(t, s, d, guard=yes if g else None) for t, s, d, g in sorted(edges)]
    return Lifecycle(initial, [leaf_state(name) for name in LEAVES], rows, COMPOUNDS)


#: A right table, from which random ones are spoilt.
RIGHT = {
    ("start", "initializing", "running.a", False),
    ("go", "running.a", "running.b", False),
    ("complete", "running.b", "completing.a", False),
    ("go", "completing.a", "completing.b", False),
    ("terminate", "completing.b", "terminated", False),
    *(("fail", leaf, "failed", False) for leaf in LEAVES[:5]),
}

TRIGGERS = [*CONTRACT.triggers, "go", "back"]
ROWS = st.tuples(
    st.sampled_from(TRIGGERS),
    st.sampled_from(LEAVES),
    st.sampled_from(LEAVES),
    st.booleans(),
)
LIVE_ROWS = st.tuples(
    st.sampled_from(TRIGGERS),
    st.sampled_from(LEAVES[:5]),
    st.sampled_from(LEAVES),
    st.booleans(),
)


def lawful(trigger: str, source: str, target: str) -> bool:
    """Whether such a row is an edge of some refinement."""
    if trigger in CONTRACT.triggers:
        return any(
            (edge.trigger, edge.source, edge.target) == (trigger, phase(source), phase(target))
            for edge in CONTRACT.transitions
        )
    return phase(source) == phase(target) and source in LEAVES[:5]


#: So that spoilt tables are not all wrong in form.
LAWFUL = [
    (*row, guarded)
    for row in product(TRIGGERS, LEAVES, LEAVES)
    for guarded in (False, True)
    if lawful(*row)
]


@st.composite
def tables(draw: st.DrawFn) -> Lifecycle:
    """The right table with rows taken away, and lawful or random ones added."""
    gone = set(draw(st.lists(st.sampled_from(sorted(RIGHT)), max_size=2)))
    more = set(draw(st.lists(st.sampled_from(LAWFUL), max_size=4)))
    wild = {draw(ROWS)} if draw(st.integers(0, 9)) == 9 else set()
    initial = draw(st.sampled_from(LEAVES)) if draw(st.integers(0, 9)) == 9 else "initializing"
    return table((RIGHT - gone) | more | wild, initial)


def followed(edge: Transition) -> bool:
    """Whether the monitor of the contract's five states would follow the edge."""
    step = Step(edge.trigger, edge.source, edge.target, 0.0, datetime.now(UTC))
    try:
        Monitor(AgentState(phase(edge.source))).follow(step)
    except Divergence:
        return False
    return True


def refines(lifecycle: Lifecycle) -> bool:
    """The definition of a refinement, word by word."""
    names = [state.name for state in lifecycle.states]
    edges = lifecycle.transitions
    to = {name: {edge.target for edge in edges if edge.source == name} for name in names}
    for _ in names:  # closed after as many rounds as there are leaves
        to = {name: ends.union(*(to[end] for end in ends)) for name, ends in to.items()}
    live = [state.name for state in lifecycle.states if not state.final]
    return (
        phase(lifecycle.initial) == "initializing"
        and all(edge.source in live for edge in edges)
        and all(followed(edge) for edge in edges)
        and set(live) <= {row.source for row in edges if row.trigger == "fail" and not row.guard}
        and all({"terminated", "failed"} <= to[leaf] for leaf in live)
        and all(name == lifecycle.initial or name in to[lifecycle.initial] for name in names)
        and all(
            not (late.trigger == early.trigger and late.source == early.source
                 and (early.guard is None or early.guard is late.guard))
            for at, late in enumerate(edges) for early in edges[:at]
        )
    )  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(tables())
@example(table(RIGHT))
def test_the_verdict_is_that_of_the_definition(lifecycle: Lifecycle) -> None:
    """A table is proven exactly if it is a refinement, as the definition has it."""
    proof = prove(lifecycle)
    event(f"holds: {proof.ok}")

    assert proof.ok == refines(lifecycle)


FORM = {"custom-across-phases", "contract-trigger-inside", "contract-edge"}


@given(LIVE_ROWS)
def test_an_edge_is_accepted_exactly_if_the_monitor_follows_it(
    row: tuple[str, str, str, bool],
) -> None:
    """What is proven beforehand is what is watched at run time."""
    lifecycle = table({row})

    told = {finding.rule for finding in prove(lifecycle).findings} & FORM

    assert (not told) == followed(lifecycle.transitions[0])


@settings(max_examples=150, deadline=None)
@given(tables())
def test_a_path_can_be_walked(lifecycle: Lifecycle) -> None:
    """Each path begins in the initial leaf, and goes along edges that are declared."""
    edges = {(edge.source, edge.trigger, edge.target) for edge in lifecycle.transitions}
    entered = {lifecycle.initial}
    for _ in lifecycle.states:
        entered |= {target for source, _, target in edges if source in entered}

    for finding in prove(lifecycle).findings:
        path = finding.path
        steps = zip(path[::2], path[1::2], path[2::2], strict=False)
        assert set(steps) <= edges
        assert not path or path[0] == lifecycle.initial or path[0] not in entered
