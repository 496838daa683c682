"""What the checks of lifecycle and signals stand on; each of them has been seen to fail."""

from __future__ import annotations

from signal import SIGKILL, SIGTERM, SIGUSR1, SIGUSR2

import pytest

from baqup_agent.conformance.check import all_checks, select
from baqup_agent.conformance.checks.signals import heeds, startup
from baqup_agent.conformance.endings import require_nothing_left
from baqup_agent.conformance.verdicts import NotApplicable, Violation
from tests.conformance.mutants import ALL
from tests.waiting import eventually


def test_every_check_of_both_sections_has_a_mutant():
    """Tier B is no excuse: each check has been seen to fail."""

    caught = {name for mutant in ALL for name in mutant.caught_by}

    mine = select(all_checks(), ["lifecycle", "signals"])
    assert [one.id for one in mine if one.id not in caught] == []


def test_the_kernel_tells_which_signals_are_heeded(lab):
    """A handler shows as soon as it is there, and for the signals alone that it is there for."""

    run = lab.run(fixture="slow")
    run.wait_for(state="running")

    assert [heeds(run, one) for one in (SIGTERM, SIGUSR1, SIGUSR2)] == [True, True, False]


def test_handlers_of_process_one_are_seen_from_outside(lab):
    """A namespace hides nothing of it."""

    try:
        run = lab.run(fixture="slow", pid1=True)
    except NotApplicable as reason:
        pytest.skip(f"this machine grants no namespace: {reason}")

    assert eventually(lambda: heeds(run, SIGTERM), within_s=30)


def test_a_sweep_covers_the_start(lab):
    """One moment lies in each equal part, and the last parts reach the agent's work."""

    moments = list(startup(lab, 5))

    assert moments == sorted(moments)
    assert moments[-1] >= 0.4
    assert moments[0] < moments[-1] / 2


def test_what_survives_an_agent_is_named(lab):
    """A process that moved into a session of its own is still the agent's."""

    run = lab.run(fixture="child")
    run.wait_for(state="running")
    eventually(run.survivors, within_s=30)
    run.signal(SIGKILL)
    run.exit_code()

    with pytest.raises(Violation) as caught:
        require_nothing_left(run)
    assert any("sleep 600" in line for line in caught.value.evidence)
