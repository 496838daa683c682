"""The declared lifecycle against lifecycle.json, both ways (Contract §1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from baqup_agent.contract import CONTRACT_VERSION, AgentState
from baqup_agent.lifecycle.declaration import CONTRACT, Deadline

Load = Callable[[str], Any]


@pytest.fixture(scope="module")
def lifecycle(load: Load) -> dict[str, Any]:
    """The lifecycle as the spec has it."""
    loaded: dict[str, Any] = load("lifecycle.json")
    return loaded


def _as_in_the_spec(deadline: Deadline | None) -> dict[str, Any] | None:
    if deadline is None:
        return None
    facts = {
        "seconds": deadline.seconds,
        "variable": deadline.variable,
        "error_code": deadline.error_code,
        "exit_code": deadline.exit_code,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def test_the_version_is_the_same(lifecycle: dict[str, Any]) -> None:
    """Code and spec speak of one version of the contract."""

    assert lifecycle["version"] == CONTRACT_VERSION


def test_a_run_begins_in_the_same_state(lifecycle: dict[str, Any]) -> None:
    """The initial state is the same on both sides."""

    assert lifecycle["initial"] == CONTRACT.initial


def test_the_states_are_the_same(lifecycle: dict[str, Any]) -> None:
    """Spec, declaration and enum name the same states in the same order."""
    names = [state["name"] for state in lifecycle["states"]]

    assert [state.name for state in CONTRACT.states] == names
    assert list(AgentState) == names


def test_the_same_states_are_final(lifecycle: dict[str, Any]) -> None:
    """A state is final on both sides or on neither."""

    assert {state.name: state.final for state in CONTRACT.states} == {
        state["name"]: state["final"] for state in lifecycle["states"]
    }


def test_the_deadlines_are_the_same(lifecycle: dict[str, Any]) -> None:
    """Each state has the same limit, and the same error once it expires."""

    assert {state.name: _as_in_the_spec(state.deadline) for state in CONTRACT.states} == {
        state["name"]: state["deadline"] for state in lifecycle["states"]
    }


def test_signals_mean_the_same(lifecycle: dict[str, Any]) -> None:
    """A request to stop has the same effect in each state."""

    assert {state.name: state.on_signal for state in CONTRACT.states} == {
        state["name"]: state["on_signal"] for state in lifecycle["states"]
    }


def test_the_transitions_are_the_same(lifecycle: dict[str, Any]) -> None:
    """Every edge of one side is an edge of the other, and none is there twice."""
    declared = sorted((edge.trigger, edge.source, edge.target) for edge in CONTRACT.transitions)
    told = [(edge["trigger"], edge["source"], edge["target"]) for edge in lifecycle["transitions"]]

    assert declared == sorted(told)


def test_the_schema_of_the_heartbeat_knows_every_state(
    lifecycle: dict[str, Any], schemas: dict[str, dict[str, Any]]
) -> None:
    """A heartbeat may state each of the states and no other."""
    allowed = schemas["heartbeat"]["properties"]["state"]["enum"]

    assert allowed == [state["name"] for state in lifecycle["states"]]
