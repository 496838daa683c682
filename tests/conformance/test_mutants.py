"""The suite is judged: each mutant is caught by the checks that it breaks, and by no other."""

from __future__ import annotations

import os

import pytest

from baqup_agent.conformance.check import Tier, all_checks
from baqup_agent.conformance.report import Outcome
from tests.conformance.judging import broken, judge, told
from tests.conformance.mutants import ALL, Mutant, plain_command


@pytest.mark.timeout(900)
def test_a_correct_agent_without_the_sdk_conforms():
    """Every check of tier A holds for an agent of the standard library."""

    report = judge(plain_command())

    assert report.exit_code == 0, told(report)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", ALL, ids=lambda one: one.name)
def test_each_mutant_is_caught(mutant: Mutant, tmp_path, long):
    """The checks of the broken rule fail; with --long all others are shown to pass."""

    report = judge(mutant.write(tmp_path), *(() if long else mutant.caught_by))
    idle = [
        one.message
        for one in report.results
        if one.check.id in mutant.caught_by and one.outcome is Outcome.NOT_APPLICABLE
    ]
    if idle and "CI" not in os.environ:
        pytest.skip(f"this machine cannot judge it: {idle[0]}")

    caught = broken(report)
    assert set(mutant.caught_by) <= caught, told(report)
    assert caught <= {*mutant.caught_by, *mutant.beside}, told(report)


def test_every_check_of_tier_a_has_a_mutant():
    """No rule of tier A is left whose check has never been seen to fail."""

    caught = {name for mutant in ALL for name in mutant.caught_by}

    missing = [one.id for one in all_checks() if one.tier is Tier.A and one.id not in caught]
    assert missing == []


def test_the_table_names_checks_that_exist():
    """A check that was renamed takes its mutants along."""

    known = {one.id for one in all_checks()}

    named = {name for mutant in ALL for name in (*mutant.caught_by, *mutant.beside)}
    assert named <= known
