"""The oracle, against tables written out by hand."""

from __future__ import annotations

import pytest

from baqup_agent import CONTRACT, errors
from baqup_agent.testing.lifecycle.exit_codes import OWN, troubles
from baqup_agent.testing.lifecycle.failure import LifecycleFailure, Passed
from baqup_agent.testing.lifecycle.model import CONTRACT_EDGES, Firing, Model
from tests.mutation.lifecycles import RICH


def edge(model: Model, source: str, trigger: str):
    return model.row(source, trigger)[0]


def test_the_model_of_the_contract_is_the_contracts_table() -> None:
    """Each cell, as Contract §1 has it."""
    model = Model(CONTRACT)

    for leaf, trigger in model.pairs:
        taken = model.taken(leaf, Firing(trigger))
        assert (None if taken is None else taken.target) == CONTRACT_EDGES.get((trigger, leaf))


@pytest.mark.parametrize(
    ("source", "trigger", "left", "entered"),
    [
        ("initializing", "start", ["initializing"],
         ["running", "running.dumping", "running.dumping.schema"]),
        ("running.dumping.schema", "described",
         ["running.dumping.schema"], ["running.dumping.rows"]),
        ("running.dumping.rows", "next_table",
         ["running.dumping.rows"], ["running.dumping.rows"]),
        ("running.dumping.rows", "dumped",
         ["running.dumping.rows", "running.dumping"], ["running.compressing"]),
        ("running.dumping.rows", "fail",
         ["running.dumping.rows", "running.dumping", "running"], ["failed"]),
    ],
)  # fmt: skip
def test_exits_come_inner_first_and_entries_outer_first(
    source: str, trigger: str, left: list[str], entered: list[str]
) -> None:
    """What encloses both ends is neither left nor entered; a stay leaves and enters its leaf."""
    model = Model(RICH)

    assert list(model.left(edge(model, source, trigger))) == left
    assert list(model.entered(edge(model, source, trigger))) == entered


def test_a_shut_guard_refuses_and_an_open_one_lets_pass() -> None:
    """The same trigger, both answers."""
    model = Model(RICH)
    again = edge(model, "running.compressing", "again")

    assert model.taken("running.compressing", Firing("again")) is None
    assert model.taken("running.compressing", Firing("again", frozenset({again.index}))) == again


def test_ways_are_shortest() -> None:
    """Breadth first."""
    way = Model(RICH).way("terminated")

    assert way is not None
    assert [str(firing) for firing in way] == [
        "start", "described", "dumped", "complete", "sealed", "terminate",
    ]  # fmt: skip


def test_every_error_class_has_a_code_in_the_kits_own_table() -> None:
    """A new class of the tree needs a line there, decided by the contract's table."""
    named = {trouble.name: trouble.exit_code for trouble in troubles()}

    assert set(OWN) <= set(named)
    assert {trouble.exit_code for trouble in troubles()} == {1, 64, 65, 69, 70, 73, 74, 75, 76}


def test_an_authors_error_class_is_no_case_of_the_kit() -> None:
    """It inherits its code from the class it extends."""

    class TableLocked(errors.SourceUnavailable):
        pass

    assert TableLocked.__name__ not in [trouble.name for trouble in troubles()]


def test_a_failure_tells_the_triggers_and_draws_the_path() -> None:
    """Problem, sequence, picture."""
    failure = LifecycleFailure(
        "initializing",
        [Passed("start", "running"), Passed("again", "running"), Passed("fail", "failed")],
        "expected state 'failed', saw 'running'",
    )

    assert failure.triggers == ("start", "again", "fail")
    assert str(failure) == (
        "expected state 'failed', saw 'running'\n"
        "fired: start, again, fail\n"
        "\n"
        "  [initializing]\n"
        "    │ start\n"
        "    ▼\n"
        "  [running]\n"
        "    │ again (stays)\n"
        "    ▼\n"
        "    │ fail\n"
        "    x\n"
        "  [failed] was expected here\n"
        "    └─ expected state 'failed', saw 'running'"
    )
