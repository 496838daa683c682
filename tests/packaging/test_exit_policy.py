"""What a Job does on each exit code, held against the contract's own data."""

from __future__ import annotations

import json

import pytest

from baqup_agent.contract import ExitCode
from baqup_agent.packaging.exit_policy import action, explanation, pod_failure_policy
from tests.spec import SPEC

#: The contract's codes, as its data file has them.
TOLD = {
    entry["code"]: entry
    for entry in json.loads((SPEC / "exit_codes.json").read_text("utf-8"))
    if entry["code"]
}

#: Behind these a manifest stands, or may stand: whatever is retried would find it.
PUBLISHED = {75, 76}


def acted_on(word: str) -> list[int]:
    """The codes in the rules of one action."""
    rules = pod_failure_policy("agent-x")["rules"]
    return [
        code
        for rule in rules
        if rule["action"] == word and "onExitCodes" in rule
        for code in rule["onExitCodes"]["values"]
    ]


@pytest.mark.parametrize("code", sorted(TOLD))
def test_a_code_is_tried_again_exactly_if_the_contract_says_so(code: int) -> None:
    """No for what is not retriable; where it may be, what the code's own error says decides."""
    entry = TOLD[code]
    first = next(iter(entry["error_codes"]))
    again = entry["retriable"] == "yes" or (entry["retriable"] == "maybe" and first["retriable"])

    expected = "Count" if again and code not in PUBLISHED else "FailJob"
    assert action(ExitCode(code)) == expected
    assert code in acted_on(expected)


def test_every_code_but_success_has_one_rule() -> None:
    """Together the rules are the taxonomy, and each list is sorted as Kubernetes wants it."""
    fail, count = acted_on("FailJob"), acted_on("Count")

    assert sorted(fail + count) == sorted(TOLD)
    assert fail == sorted(fail)
    assert count == sorted(count)


def test_a_disruption_is_not_counted_but_never_excuses_a_mistake() -> None:
    """The rule on disruptions stands behind the one that fails the Job, before the one that counts.

    Kubernetes takes the first rule that fits.
    """
    rules = pod_failure_policy("agent-x")["rules"]

    assert [rule["action"] for rule in rules] == ["FailJob", "Ignore", "Count"]
    assert rules[1] == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }


def test_the_explanation_has_a_line_for_each_code() -> None:
    """A person reads from it what happens."""
    lines = {int(line.split()[0]): line.split()[1] for line in explanation()}

    assert lines == {code: str(action(ExitCode(code))) for code in TOLD}
