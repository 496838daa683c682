"""Refinements: what the flat result looks like, and what cannot be declared."""

from __future__ import annotations

import pytest

from baqup_agent import CONTRACT, Lifecycle, State, Transition
from baqup_agent.lifecycle.declaration import SignalPolicy
from baqup_agent.lifecycle.illegal import IllegalTransition, RefusedTransition
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.lifecycle.refinement import LifecycleDeclarationError, refine

DUMP = refine(
    CONTRACT,
    "running",
    initial="dumping",
    states=[State("dumping", timeout_s=600), State("compressing", on_signal="finish")],
    transitions=[
        Transition("dumped", "dumping", "compressing"),
        Transition("again", "compressing", "dumping", guard=lambda ok=False: ok),
        Transition("complete", "compressing", "completing"),
    ],
)

DEEP = refine(
    DUMP,
    "running.dumping",
    initial="schema",
    states=[State("schema"), State("rows")],
    transitions=[
        Transition("next_table", "rows", "rows"),
        Transition("described", "schema", "rows"),
    ],
)


def edges(lifecycle: Lifecycle) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.trigger, edge.target) for edge in lifecycle.transitions}


def test_a_refined_phase_becomes_its_leaves() -> None:
    """Edges into it lead to the initial leaf, and `fail` leaves from each of them."""
    assert [state.name for state in DUMP.states] == [
        "initializing", "running.dumping", "running.compressing", "completing", "terminated",
        "failed",
    ]  # fmt: skip
    assert ("initializing", "start", "running.dumping") in edges(DUMP)
    assert ("running.dumping", "fail", "failed") in edges(DUMP)
    assert ("running.compressing", "fail", "failed") in edges(DUMP)
    assert ("running.dumping", "dumped", "running.compressing") in edges(DUMP)


def test_a_phase_is_left_from_the_leaves_in_which_the_inner_edges_end() -> None:
    """Without a declaration, `complete` is legal where no inner edge leads on."""
    straight = refine(
        CONTRACT, "running", initial="a", states=[State("a"), State("b")],
        transitions=[Transition("go", "a", "b")],
    )  # fmt: skip

    assert straight.target("running.b", "complete") == "completing"
    assert straight.target("running.a", "complete") is None


def test_a_declared_exit_replaces_the_inherited_ones() -> None:
    """`complete` leaves from where the author says, and from nowhere else."""
    lifecycle = refine(
        CONTRACT, "running", initial="a", states=[State("a"), State("b")],
        transitions=[Transition("go", "a", "b"), Transition("complete", "a", "completing")],
    )  # fmt: skip

    assert lifecycle.target("running.a", "complete") == "completing"
    assert lifecycle.target("running.b", "complete") is None


def test_a_refinement_can_be_refined() -> None:
    """Inner leaves inherit the edges of the leaf they refine; scopes nest."""
    assert ("running.dumping.rows", "dumped", "running.compressing") in edges(DEEP)
    assert ("running.dumping.schema", "dumped", "running.compressing") not in edges(DEEP)
    assert ("initializing", "start", "running.dumping.schema") in edges(DEEP)
    assert ("running.compressing", "again", "running.dumping.schema") in edges(DEEP)
    assert [state.name for state in DEEP.scopes("running.dumping.rows")] == [
        "running", "running.dumping", "running.dumping.rows",
    ]  # fmt: skip
    assert [state.name for state in DEEP.compounds] == ["running", "running.dumping"]


def test_a_leaf_has_its_own_deadline_and_policy_or_its_scopes() -> None:
    """A leaf's limit ends the run as its phase's does; an unset policy is inherited."""
    deadline = DUMP.state("running.dumping").deadline
    assert deadline is not None
    assert (deadline.seconds, deadline.error_code) == (600, "JOB_TIMEOUT")
    assert DUMP.state("running.compressing").deadline is None
    assert DUMP.signal_policy("running.dumping") is SignalPolicy.ABORT
    assert DUMP.signal_policy("running.compressing") is SignalPolicy.FINISH


def test_effects_are_entered_outside_in_and_left_inside_out() -> None:
    """A scope that is not left is neither left nor entered again; a stay leaves and enters."""
    seen: list[str] = []
    names = DEEP.names
    machine = Machine(
        DEEP,
        {name: [lambda name=name: seen.append(f"+{name}")] for name in names},
        exits={name: [lambda name=name: seen.append(f"-{name}")] for name in names},
    )

    def fire(trigger: str, **payload: object) -> list[str]:
        seen.clear()
        machine.fire(trigger, **payload)
        return [mark.replace("running.", "r.") for mark in seen]

    assert fire("start") == [
        "-initializing", "+running", "+r.dumping", "+r.dumping.schema",
    ]  # fmt: skip
    assert fire("described") == ["-r.dumping.schema", "+r.dumping.rows"]
    assert fire("next_table") == ["-r.dumping.rows", "+r.dumping.rows"]
    assert fire("dumped") == ["-r.dumping.rows", "-r.dumping", "+r.compressing"]
    assert fire("again", ok=True) == ["-r.compressing", "+r.dumping", "+r.dumping.schema"]
    assert fire("fail") == ["-r.dumping.schema", "-r.dumping", "-running", "+failed"]


def test_a_guard_that_says_no_changes_nothing() -> None:
    """The trigger is legal, its payload is not; the machine stays, no step is recorded."""
    machine = Machine(DUMP)
    for trigger in ("start", "dumped"):
        machine.fire(trigger)

    with pytest.raises(RefusedTransition, match="every guard of 'again'"):
        machine.fire("again", ok=False)

    assert machine.state == "running.compressing"
    assert len(machine.history) == 2


def test_an_illegal_custom_trigger_is_answered_with_the_leaf() -> None:
    """The error names the leaf, not only its phase."""
    machine = Machine(DUMP)
    machine.fire("start")

    with pytest.raises(IllegalTransition, match=r"'again' in state 'running\.dumping'"):
        machine.fire("again")


A, B = State("a"), State("b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"state": "runing"},
            "'runing' cannot be refined: it does not exist; did you mean 'running'",
        ),
        ({"state": "failed"}, "'failed' cannot be refined: it is final"),
        ({"initial": "c"}, "initial is 'c', which is no leaf"),
        ({"states": []}, "has no states"),
        ({"states": [A, A]}, "two leaves are named 'a'"),
        ({"states": [A, State("b c")]}, "'b c' is no identifier"),
        ({"states": [A, State("running.b")]}, "is no identifier"),
        ({"transitions": [Transition("go", "a", "bb")]}, "target of 'go' is 'bb'"),
        ({"transitions": [Transition("go", "bb", "a")]}, "did you mean 'b'"),
        ({"transitions": [Transition("go", "a", "complete")]}, "did you mean 'completing'"),
    ],
)
def test_what_cannot_be_declared_is_named(arguments: dict, message: str) -> None:
    """Place, value and remedy stand in one line."""
    call = {"state": "running", "initial": "a", "states": [A, B], "transitions": [], **arguments}

    with pytest.raises(LifecycleDeclarationError) as caught:
        refine(CONTRACT, call.pop("state"), **call)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_phase_is_refined_once() -> None:
    """A second refinement of the same phase is refused; its leaves can be refined."""
    with pytest.raises(LifecycleDeclarationError, match="it was refined already"):
        refine(DUMP, "running", initial="a", states=[A])
