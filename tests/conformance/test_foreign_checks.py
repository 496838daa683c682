"""An agent in another language, without the SDK, conforms: the suite tests the contract."""

from __future__ import annotations

import os
import shutil

import pytest

from baqup_agent.conformance.check import Tier
from baqup_agent.conformance.report import Outcome
from tests.conformance.judging import AGENTS, judge, told

#: One or more of each section; --long judges by all.
_SOME = ("1-4", "9", "signals/16/*", "heartbeat/27/suspended", "28", "outage/31/back*", "37")
_MORE = ("40-43", "46", "47")


@pytest.fixture
def bash_agent() -> str:
    """The command of an agent of bash and coreutils alone."""
    missing = [one for one in ("bash", "tar", "sha256sum") if shutil.which(one) is None]
    if missing:
        assert "CI" not in os.environ, f"CI has to have {missing}"
        pytest.skip(f"there is no {', '.join(missing)} for the agent in another language")
    return str(AGENTS / "shell.bash")


def test_an_agent_of_bash_conforms(bash_agent, long):
    """It passes every check of tier A, and none is left out as not applicable."""

    report = judge([bash_agent], *(() if long else (*_SOME, *_MORE)), config="shell.toml")

    first = [one for one in report.results if one.check.tier is Tier.A]
    unjudged = [one.check.id for one in first if one.outcome is Outcome.NOT_APPLICABLE]
    assert report.exit_code == 0, told(report)
    assert len(first) > 10
    assert set(unjudged) <= ({"storage/42/synced"} if not shutil.which("strace") else set())


def test_rules_that_need_fixtures_say_which(bash_agent):
    """What cannot be held against an agent without fixtures is told by their names."""

    report = judge([bash_agent], "logs/45/fault-codes", "48", config="shell.toml")

    assert {one.outcome for one in report.results} == {Outcome.NOT_APPLICABLE}
    assert "exit-65" in report.results[0].message
    assert "partial" in report.results[1].message
