"""Checks are chosen, carried out and summed up; a suite's own failure is no agent's."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest

from baqup_agent.conformance.check import (
    SECTIONS,
    Check,
    Level,
    Tier,
    all_checks,
    check,
    matches,
    select,
)
from baqup_agent.conformance.conform_file import ConformFile, read_conform_file
from baqup_agent.conformance.junit import to_junit
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.report import Outcome, Report
from baqup_agent.conformance.report_html import to_html
from baqup_agent.conformance.session import Settings
from baqup_agent.conformance.suite import run_suite
from baqup_agent.conformance.verdicts import CannotJudge, NotApplicable, Violation
from baqup_agent.errors import ConfigError, UsageError
from tests.conformance.mutants import plain_command


def made(
    body: Callable[[Lab], None],
    *,
    level: Level = Level.MUST,
    exclusive: bool = False,
    limit_s: float = 60,
    slug: str = "made",
) -> Check:
    return Check(
        "contract", 1, slug, "r", "Contract §1", "h", "m", level, Tier.A, exclusive, limit_s, body
    )


def carried_out(*checks: Check, strict: bool = False, **settings) -> Report:
    told = Settings(command=plain_command(), host=dict(os.environ), **settings)
    return run_suite(told, checks, strict=strict)


def raises(error: Exception) -> Callable[[Lab], None]:
    def body(_: Lab) -> None:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (Violation("broken", "line"), Outcome.FAIL, 1),
        (NotApplicable("it has none"), Outcome.NOT_APPLICABLE, 2),
        (CannotJudge("no idea"), Outcome.ERROR, 2),
        (ZeroDivisionError("a bug"), Outcome.ERROR, 2),
    ],
)
def test_each_end_of_a_check_is_an_outcome(error, outcome, code):
    """A violation fails the agent; a bug of the suite is an error, never a fail."""

    report = carried_out(made(raises(error)))

    assert [one.outcome for one in report.results] == [outcome]
    assert report.exit_code == code


@pytest.mark.parametrize(
    ("reason", "told", "outcome", "code"),
    [
        (NotApplicable("no fixture"), {}, Outcome.ERROR, 2),
        (NotApplicable("it has none", stated=True), {}, Outcome.NOT_APPLICABLE, 0),
        (NotApplicable("no fixture"), {"contract/1/idle": "why"}, Outcome.BYPASSED, 0),
    ],
    ids=["unsaid", "lacking", "bypassed"],
)
def test_every_check_has_to_apply_if_asked(reason, told, outcome, code):
    """A check that does not apply is an error under --complete, unless the file says why."""

    report = carried_out(
        made(raises(reason), slug="idle"),
        made(lambda _: None, slug="other"),
        file=ConformFile(bypass=told),
        complete=True,
    )

    assert report.results[0].outcome is outcome
    assert report.exit_code == code
    assert report.to_json()["complete"] is True
    assert "--complete --" in to_html(report)


def test_what_the_file_says_that_an_agent_lacks_is_no_gap():
    """A capability that is missing for a stated reason leaves the judgement complete."""

    labels = select(all_checks(), ["contract/1/info", "contract/3/labels"])
    lacking = carried_out(*labels, file=ConformFile(lacks={"labels": "no image"}), complete=True)
    silent = carried_out(*labels, file=ConformFile(), complete=True)

    assert (lacking.exit_code, lacking.results[1].message) == (0, "[lacks] labels: no image")
    assert silent.exit_code == 2
    assert "[describe] labels" in silent.results[1].message


def test_a_failure_outweighs_an_error():
    """Once a rule is seen broken the agent does not conform, whatever else went wrong."""

    report = carried_out(
        made(raises(Violation("broken")), slug="a"), made(raises(KeyError("bug")), slug="b")
    )

    assert report.exit_code == 1
    assert report.verdict == "does not conform"


@pytest.mark.parametrize(("strict", "code"), [(False, 0), (True, 1)])
def test_a_should_counts_if_asked(strict, code):
    """A broken SHOULD fails an agent under --strict alone."""

    broken = made(raises(Violation("broken")), level=Level.SHOULD)
    report = carried_out(broken, made(lambda _: None, slug="other"), strict=strict)

    assert report.exit_code == code
    case = ET.fromstring(to_junit(report).partition("\n")[2])
    assert case.find(".//failure") is not None if strict else case.find(".//skipped") is not None


def test_exclusive_checks_run_alone():
    """A check that measures time meets no other on the machine."""

    running: set[int] = set()
    most: dict[bool, int] = {}

    def body(alone: bool) -> Callable[[Lab], None]:
        def enter(_: Lab) -> None:
            running.add(threading.get_ident())
            until_s = time.monotonic() + (0.3 if alone else 5)
            while time.monotonic() < until_s and len(running) < 2:
                time.sleep(0.005)
            most[alone] = max(most.get(alone, 0), len(running))
            if not alone:
                both.wait(30)
            running.discard(threading.get_ident())

        return enter

    both = threading.Barrier(2)
    checks = [
        made(body(alone), exclusive=alone, slug=f"{alone}{number}".lower())
        for alone in (True, False)
        for number in range(2)
    ]
    report = carried_out(*checks, jobs=2)

    assert report.exit_code == 0
    assert most == {False: 2, True: 1}


def test_each_round_draws_anew_and_repeatably():
    """Rounds differ, and a seed repeats all of them."""

    def drawn(seed: int) -> list[float]:
        found: list[float] = []
        one = made(lambda lab: found.append(lab.random.random()))
        carried_out(one, seed=seed, repeat=3, jobs=1)
        return sorted(found)

    assert drawn(5) == drawn(5)
    assert len(set(drawn(5) + drawn(6))) == 6


def test_a_check_that_takes_too_long_is_broken_off():
    """A limit ends the wait for an agent that never ends, and that is no agent's fault."""

    def body(lab: Lab) -> None:
        lab.run(env={"PLAIN_WORK_S": "600"}).exit_code(within_s=500)

    began_s = time.monotonic()
    report = carried_out(made(body, limit_s=2), file=ConformFile())

    assert [one.outcome for one in report.results] == [Outcome.ERROR]
    assert "took too long" in report.results[0].message
    assert time.monotonic() - began_s < 60


def test_a_bypass_needs_a_check_that_exists():
    """A reason for a check that is not there is a mistake."""

    with pytest.raises(ConfigError, match="names no check"):
        carried_out(made(lambda _: None), file=ConformFile(bypass={"contract/99": "why"}))


def test_a_bypassed_check_is_not_carried_out():
    """It is reported with its reason."""

    report = carried_out(
        made(raises(Violation("broken"))), file=ConformFile(bypass={"contract/1/made": "known"})
    )

    assert [(one.outcome, one.message) for one in report.results] == [(Outcome.BYPASSED, "known")]


def test_junit_holds_what_xml_cannot():
    """Control characters that an agent wrote do not break the file."""

    report = carried_out(made(raises(Violation("bell \a and \x00", "\x1b[31mred"))))

    root = ET.fromstring(to_junit(report).partition("\n")[2])
    assert root.find(".//failure").get("message") == "bell \ufffd and \ufffd"


def test_the_json_report_tells_what_was_seen():
    """A failure brings the timeline of its runs; a pass brings none."""

    def body(lab: Lab) -> None:
        lab.run(env={"BAQUP_SECRET_TOKEN": "canary"}).exit_code()
        raise Violation("broken")

    result = carried_out(made(body)).to_json()["results"][0]

    kinds = {entry["kind"] for entry in result["runs"][0]["entries"]}
    assert {"start", "exit"} <= kinds
    assert result["runs"][0]["environment"]["BAQUP_SECRET_TOKEN"] == "***"
    assert result["outcome"] == "fail"


def test_patterns_choose_checks():
    """A section, a number, a range, an id and a wildcard each name their checks."""

    checks = all_checks()
    one = next(one for one in checks if one.id == "contract/5/required-missing")

    for pattern in ("contract", "5", "4-6", one.id, "contract/5", "contract/*", "*missing"):
        assert matches(one, pattern), pattern
    for pattern in ("signals", "6", "6-9", "contract/50", "required-missing"):
        assert not matches(one, pattern), pattern
    with pytest.raises(UsageError, match="'bogus'"):
        select(checks, ["bogus"])


def test_every_check_says_what_it_is():
    """Ids are unique, numbers lie in their section, and nothing is left unsaid."""

    checks = all_checks()

    assert len({one.id for one in checks}) == len(checks)
    for one in checks:
        first, last = SECTIONS[one.section]
        assert first <= one.number <= last
        assert one.rule.endswith(".")
        assert one.how.endswith(".")
        assert one.remedy.endswith(".")
        assert one.source.startswith("Contract §")


@pytest.mark.parametrize(
    "name", ["contract/9/late", "nowhere/1/x", "contract/1/Upper", "contract/1"]
)
def test_a_wrong_id_is_refused(name):
    """An id outside its section's numbers cannot be registered."""

    with pytest.raises(ValueError, match=r"contract|nowhere"):
        check(name, rule="r.", source="Contract §1", how="h.", remedy="m.")


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path):
    """conform.toml is held against its form, and a bypass without a reason refused."""

    path = tmp_path / "conform.toml"
    path.write_text(
        'unknown = 1\n[env]\nA = 1\n[roles.snapshot]\nafter = 2\n[bypass]\n"contract/3" = " "\n'
        '[fixtures.slow]\nwait = "5"\n[lacks]\nlables = "no image"\n'
    )

    with pytest.raises(ConfigError) as caught:
        read_conform_file(path)
    for word in ("[unknown]", "[env] A", "after", "contract/3", "wait", "lables"):
        assert word in str(caught.value)
