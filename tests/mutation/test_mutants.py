"""The test kit finds bugs: machines that are wrong in one place each, and the share it catches."""

from __future__ import annotations

import pytest

from tests.mutation import mutants
from tests.mutation.harness import Score, first_red, hunt
from tests.mutation.lifecycles import LIFECYCLES

pytestmark = pytest.mark.timeout(900)

BOTH = pytest.mark.parametrize("name", LIFECYCLES)


def all_caught(score: Score, capsys: pytest.CaptureFixture[str], *, least: int) -> None:
    with capsys.disabled():
        print(f"\n  {score}", end="")
    assert score.survivors == ()
    assert score.total >= least


@BOTH
def test_a_sound_machine_is_not_accused(name: str) -> None:
    """What is caught below is caught for its mutation: without one, every case holds."""
    from baqup_agent.lifecycle.machine import Machine

    assert first_red(LIFECYCLES[name], Machine) is None


@BOTH
def test_every_table_mutant_is_caught(name: str, capsys) -> None:
    """Each cell with each other content: retargeted, emptied, filled."""
    lifecycle = LIFECYCLES[name]
    score = hunt(f"table mutants of {name}", lifecycle, mutants.table_mutants(lifecycle))

    all_caught(score, capsys, least={"contract": 100, "rich": 576}[name])
    leaves, cells = len(lifecycle.states), len(lifecycle.states) * len(lifecycle.triggers)
    assert score.total == cells * leaves


@BOTH
def test_swapped_targets_are_caught(name: str, capsys) -> None:
    """Each two rows with each other's target."""
    lifecycle = LIFECYCLES[name]
    score = hunt(f"swapped targets of {name}", lifecycle, mutants.swapped_targets(lifecycle))

    all_caught(score, capsys, least=12)


@BOTH
def test_every_effect_mutant_is_caught(name: str, capsys) -> None:
    """Each effect of each edge dropped, doubled, or run too late."""
    lifecycle = LIFECYCLES[name]
    score = hunt(f"effect mutants of {name}", lifecycle, mutants.effect_mutants(lifecycle))

    all_caught(score, capsys, least=100)


def test_every_guard_mutant_is_caught(capsys) -> None:
    """Left out, turned round, without its payload, asked twice."""
    rich = LIFECYCLES["rich"]

    all_caught(hunt("guard mutants", rich, mutants.guard_mutants(rich)), capsys, least=5)


@BOTH
def test_hidden_state_is_caught(name: str, capsys, long: bool) -> None:
    """Every k-th firing misbehaves, or each one behind a certain other."""
    lifecycle = LIFECYCLES[name]
    found = mutants.hidden_state_mutants(lifecycle, most=60 if long else 20)

    all_caught(hunt(f"hidden state in {name}", lifecycle, found), capsys, least=70)


@BOTH
def test_idle_witnesses_are_caught(name: str, capsys) -> None:
    """A muted monitor, one that forgives, a history that is silent, doubled or turned round."""
    score = hunt(f"witness mutants of {name}", LIFECYCLES[name], mutants.witness_mutants())

    all_caught(score, capsys, least=6)


def test_a_monitor_that_is_too_strict_is_caught(capsys) -> None:
    """A stutter within a phase is no step off the contract."""
    score = hunt("strict monitors", LIFECYCLES["rich"], [mutants.harsh_monitor()])

    all_caught(score, capsys, least=1)


def test_wrong_exit_codes_are_caught(capsys, long: bool) -> None:
    """Each error class with the next other code; with every other one in the long run."""
    found = mutants.exit_code_mutants(all_codes=long)
    score = hunt("exit codes", LIFECYCLES["contract"], found, frozenset({"exit_code"}))

    all_caught(score, capsys, least=207 if long else 23)


def test_wrong_classes_of_foreign_exceptions_are_caught(capsys) -> None:
    """An exception of others that gets the wrong place in the tree."""
    found = mutants.classification_mutants()
    score = hunt("classification", LIFECYCLES["contract"], found, frozenset({"exit_code"}))

    all_caught(score, capsys, least=10)
