"""The verdict, held against a table of facts."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.contract import ExitCode
from baqup_agent.controller.verdict import Facts, Outcome, judge

JOB_ID = "3f2c8a4e-9d1b-4c77-8f0e-2b6a51d0c9e4"
MANIFEST: dict[str, Any] = {
    "job_id": JOB_ID,
    "role": "snapshot",
    "artifacts": [{"filename": "data.tar", "size_bytes": 7}],
}


def facts(code: int | None, status: str | None, manifest: str, /, **changes: Any) -> Facts:
    """Facts of one line of the table; ``manifest`` is ``valid``, ``bad`` or ``none``."""
    message = None if status is None else {"status": status, "exit_code": code}
    base = Facts(
        job_id=JOB_ID,
        role="snapshot",
        exit_code=code,
        status=message,
        manifest=MANIFEST if manifest == "valid" else None,
        problems=("'data.tar' is corrupt",) if manifest == "bad" else (),
    )
    return evolve(base, **changes)


TABLE = [
    # exit, status, manifest -> outcome, the controller's own exit code
    (0, "success", "valid", Outcome.SUCCESS, 0),
    (0, "success", "bad", Outcome.LOST, 70),
    (0, "success", "none", Outcome.LOST, 70),
    (0, "partial", "valid", Outcome.PARTIAL, 0),
    (0, "partial", "none", Outcome.LOST, 70),
    (0, "failed", "valid", Outcome.LOST, 70),
    (0, "failed", "none", Outcome.LOST, 70),
    (0, None, "valid", Outcome.LOST, 70),
    (0, None, "none", Outcome.LOST, 70),
    (76, "partial", "valid", Outcome.PARTIAL, 76),
    (76, "partial", "bad", Outcome.LOST, 70),
    (76, "partial", "none", Outcome.LOST, 70),
    (76, "success", "valid", Outcome.LOST, 70),
    (76, "failed", "none", Outcome.LOST, 70),
    (76, None, "valid", Outcome.LOST, 70),
    (75, "success", "valid", Outcome.UNREPORTED, 75),
    (75, "partial", "valid", Outcome.UNREPORTED, 75),
    (75, None, "valid", Outcome.UNREPORTED, 75),
    (75, "failed", "valid", Outcome.LOST, 70),
    (75, "success", "bad", Outcome.LOST, 70),
    (75, "success", "none", Outcome.LOST, 70),
    (75, None, "none", Outcome.LOST, 70),
    *[(code, "failed", "none", Outcome.FAILED, code) for code in (1, 64, 65, 69, 70, 73, 74)],
    *[(code, "failed", "bad", Outcome.FAILED, code) for code in (1, 69, 74)],
    *[(code, None, "none", Outcome.FAILED, code) for code in (64, 65, 69, 70, 73, 74)],
    *[(code, None, "none", Outcome.LOST, code) for code in (1, 2, 3, 126, 127, 137, 255)],
    *[(code, "failed", "valid", Outcome.LOST, code) for code in (1, 69, 74)],
    *[(code, "success", "none", Outcome.LOST, code) for code in (1, 64, 74)],
    *[(code, "partial", "none", Outcome.LOST, code) for code in (1, 74)],
    (2, "failed", "none", Outcome.FAILED, 2),
    (1, "nonsense", "none", Outcome.LOST, 1),
    (0, "nonsense", "valid", Outcome.LOST, 70),
]


@pytest.mark.parametrize(("code", "status", "manifest", "outcome", "own"), TABLE)
def test_exit_code_status_and_manifest_together_give_the_verdict(
    code, status, manifest, outcome, own
):
    """Each combination of the three witnesses has one outcome and one exit code."""
    verdict = judge(facts(code, status, manifest))

    assert (verdict.outcome, verdict.exit_code) == (outcome, own)


def test_the_table_names_no_combination_twice():
    """A second line for the same facts would hide the first."""
    combinations = [line[:3] for line in TABLE]

    assert len(set(combinations)) == len(combinations)


@pytest.mark.parametrize("manifest", ["valid", "bad", "none"])
@pytest.mark.parametrize("status", ["success", "failed", None])
@pytest.mark.parametrize(("number", "own"), [(9, 137), (15, 143), (11, 139)])
def test_a_process_that_a_signal_ended_is_lost(number, own, status, manifest):
    """Whatever it had claimed before: nobody answers for the end."""
    verdict = judge(facts(None, status, manifest, signal=number))

    assert (verdict.outcome, verdict.exit_code) == (Outcome.LOST, own)
    assert str(number) in verdict.reasons[0]
    assert any("manifest was published" in reason for reason in verdict.reasons) == (
        manifest == "valid"
    )


def test_plain_success_needs_no_reason():
    """There is nothing to explain."""
    assert judge(facts(0, "success", "valid")).reasons == ()


@given(
    code=st.sampled_from([*ExitCode, 2, 3, 126, 127, 200]),
    status=st.sampled_from(["success", "partial", "failed", "odd", None]),
    manifest=st.sampled_from(["valid", "bad", "none"]),
    older=st.booleans(),
    said=st.sampled_from([0, 1, 75, 76, "0"]),
    role=st.sampled_from(["snapshot", "restore"]),
)
def test_no_facts_make_a_promise_of_a_backup_that_is_not_there(
    code, status, manifest, older, said, role
):
    """The controller's 0, 75 and 76 stand for a valid manifest of this very run."""
    message = None if status is None else {"status": status, "exit_code": said}
    verdict = judge(facts(code, None, manifest, status=message, manifest_is_older=older, role=role))

    good = manifest == "valid" and not older and role == "snapshot"
    assert verdict.exit_code not in (0, 75, 76) or good
    assert verdict.outcome not in ("success", "partial", "unreported") or good
    assert (verdict.outcome == "success") <= (verdict.exit_code == 0)
    assert bool(verdict.reasons) or verdict.outcome != "lost"
    assert all("\n" not in reason for reason in verdict.reasons)


CONTRADICTIONS = [
    ("exit code in the status", {"status": {"status": "success", "exit_code": 75}}, "75"),
    ("another job's manifest", {"manifest": {**MANIFEST, "job_id": "other"}}, "job_id"),
    ("another role's manifest", {"manifest": {**MANIFEST, "role": "migrate"}}, "role"),
    (
        "other files in the status",
        {"status": {"status": "success", "files": [{"path": "data.tar", "size_bytes": 8}]}},
        "files",
    ),
    ("an older manifest", {"manifest_is_older": True}, "earlier run"),
]


@pytest.mark.parametrize(("name", "changes", "word"), CONTRADICTIONS, ids=lambda v: str(v)[:24])
def test_a_success_that_contradicts_itself_is_lost(name, changes, word):
    """The reason names the member on which two witnesses differ."""
    verdict = judge(facts(0, "success", "valid", **changes))

    assert verdict.outcome is Outcome.LOST
    assert any(word in reason for reason in verdict.reasons)


def test_files_that_agree_do_not_contradict():
    """The order of the files and further members do not matter."""
    files = [{"path": "data.tar", "size_bytes": 7, "checksum_sha256": "00"}]
    status = {"status": "success", "exit_code": 0, "files": files}

    assert judge(facts(0, "success", "valid", status=status)).outcome is Outcome.SUCCESS


def test_an_unreported_run_may_have_a_status_that_still_says_0():
    """It was written before the bus failed."""
    status = {"status": "success", "exit_code": 0}

    assert judge(facts(75, "success", "valid", status=status)).outcome is Outcome.UNREPORTED


def test_a_refusal_to_publish_twice_has_failed_and_is_not_lost():
    """The manifest in the directory is an earlier run's, and no claim of this one."""
    verdict = judge(facts(73, "failed", "valid", manifest_is_older=True))

    assert (verdict.outcome, verdict.exit_code) == (Outcome.FAILED, 73)
    assert "earlier run" in verdict.reasons[0]


def test_every_exit_code_of_the_contract_is_in_the_table():
    """None is forgotten when the contract grows."""
    assert {line[0] for line in TABLE} >= {int(code) for code in ExitCode}
    promises = [line for line in TABLE if line[0] in (0, 75, 76)]
    seen = {(line[0], line[2]) for line in promises}
    assert seen >= set(product((0, 75, 76), ("valid", "none")))
