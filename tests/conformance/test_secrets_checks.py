"""What the checks of secrets stand on: the scenes are what they say, and see what they claim."""

from __future__ import annotations

from baqup_agent.conformance import strace
from tests.conformance.judging import broken, judge, told
from tests.conformance.mutants import plain_command
from tests.conformance.mutants_secrets import SECRETS


def test_a_good_job_with_every_secret_is_among_the_scenes():
    """Canaries are looked for in a job that ends well, and in some that do not."""

    report = judge(plain_command(), "43")

    (result,) = report.results
    ends = [
        (one.environment, entry.data)
        for one in result.runs
        for entry in one.entries
        if entry.kind == "exit"
    ]
    good = [env for env, code in ends if code == 0]
    assert report.exit_code == 0, told(report)
    assert {"BAQUP_SECRET_TOKEN", "BAQUP_SECRET_TOKEN_OLD"} <= set(good[0])
    assert {0, 1, 69, 70, 75} <= {code for _, code in ends}


def test_a_report_shows_no_value_of_a_secret(tmp_path):
    """What the suite keeps of a leak names the secret; its message and settings hide the value."""

    mutant = next(one for one in SECRETS if one.name == "secret-in-the-manifest")

    report = judge(mutant.write(tmp_path), "43")

    (result,) = report.results
    assert "BAQUP_SECRET_TOKEN" in result.message
    assert result.message.endswith(", JSON-escaped")
    assert all(run.environment["BAQUP_SECRET_TOKEN"] == "***" for run in result.runs)


def test_without_strace_a_secret_on_a_command_line_is_seen_in_passing(tmp_path, monkeypatch):
    """Where calls cannot be traced, the living children's command lines are looked at."""

    monkeypatch.setattr(strace, "_refusal", lambda: "there is no strace")
    mutant = next(one for one in SECRETS if one.name == "secret-on-a-command-line")

    report = judge(mutant.write(tmp_path), *mutant.caught_by)

    assert broken(report) == set(mutant.caught_by), told(report)
    assert "the command line of a child" in report.results[0].message
