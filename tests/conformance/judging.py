"""Judging an agent from a test, as the command line does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from baqup_agent.conformance.check import all_checks, select
from baqup_agent.conformance.conform_file import read_conform_file
from baqup_agent.conformance.report import Outcome, Report
from baqup_agent.conformance.session import Settings
from baqup_agent.conformance.suite import run_suite

HERE = Path(__file__).parent
AGENTS = HERE / "agents"


def judge(
    command: Sequence[str], *only: str, config: str = "plain.toml", seed: int = 1, jobs: int = 2
) -> Report:
    """Judge a command by the checks that patterns name, or by all."""
    settings = Settings(
        command=tuple(command),
        file=read_conform_file(HERE / config),
        host=dict(os.environ),
        seed=seed,
        jobs=jobs,
        limit_s=600,
    )
    return run_suite(settings, select(all_checks(), only))


def broken(report: Report) -> set[str]:
    """Return the ids of the checks that failed; none may have been in error."""
    errors = [(one.check.id, one.message, *one.evidence) for one in report.errors]
    assert not errors, errors
    return {one.check.id for one in report.results if one.outcome is Outcome.FAIL}


def told(report: Report) -> list[tuple[str, str, str]]:
    """Return id, outcome and message of each result that is no pass, for a test's message."""
    return [
        (one.check.id, str(one.outcome), one.message)
        for one in report.results
        if one.outcome is not Outcome.PASS
    ]
