"""What the checks of exit codes and logs ask for, and what they leave to the agent."""

from __future__ import annotations

import pytest

from baqup_agent.conformance.report import Outcome
from tests.conformance.judging import judge, told
from tests.conformance.mutants import Mutant

#: Agents that are as good as the correct one.
_VARIANTS = (
    Mutant(
        "log-without-the-code",
        ("logs/47/one-outcome",),
        '"the end", exit_code=exit_code)',
        '"the end")',
    ),
    Mutant(
        "one-mode-of-partial-failure",
        ("logs/48/partial",),
        '        "BAQUP_AGENT_PARTIAL_FAILURE_MODE": {"enum": ["fail", "warn", "skip"], '
        '"default": "fail"},\n',
        "",
    ),
)


@pytest.mark.parametrize("variant", _VARIANTS, ids=lambda one: one.name)
def test_what_the_contract_leaves_open_is_not_asked_for(variant, tmp_path):
    """A log need not repeat the exit code, nor an agent know every mode of partial failure."""

    text = variant.write(tmp_path)
    if variant.name == "one-mode-of-partial-failure":  # the correct agent reads it in one place
        path = tmp_path / "mutant.py"
        path.write_text(
            path.read_text().replace('self.config["BAQUP_AGENT_PARTIAL_FAILURE_MODE"]', '"fail"')
        )

    report = judge(text, *variant.caught_by)

    assert [one.outcome for one in report.results] == [Outcome.PASS], told(report)
