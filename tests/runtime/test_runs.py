"""Whole runs of a real agent process: states, outcomes, and the one exit code of each."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.agent_process import AgentProcess
from tests.runtime.conftest import SLOW_ACTOR, Act
from tests.spec import assert_keeps


def test_a_successful_run_keeps_all_of_the_contract(act: Act) -> None:
    """Exit 0, status success and a manifest that holds, all three, and every line is in form."""
    run = act("write")

    assert run.wait() == 0
    assert run.status["status"] == "success"
    assert run.status["exit_code"] == 0
    assert run.status["error"] is None
    assert run.states == ["initializing", "running", "completing", "terminated"]
    assert run.manifest is not None
    (artifact,) = run.manifest["artifacts"]
    content = (run.directory / artifact["filename"]).read_bytes()
    assert artifact["filename"] == "data.bin.zst"
    assert artifact["checksum"]["value"] == hashlib.sha256(content).hexdigest()
    assert run.status["files"] == [
        {
            "path": "data.bin.zst",
            "size_bytes": len(content),
            "checksum_sha256": hashlib.sha256(content).hexdigest(),
        }
    ]
    assert run.status["metrics"]["bytes_processed"] == 200_000
    assert sorted(path.name for path in run.directory.iterdir()) == [
        "data.bin.zst",
        "manifest.json",
    ]
    assert_keeps("manifest", run.manifest)
    for message in run.messages:
        assert_keeps(message["type"], message)
    for line in run.log:
        assert_keeps("log", line)


def test_messages_are_numbered_without_a_gap_that_is_no_replacement(act: Act) -> None:
    """Numbers and times ascend in the order in which the messages arrive."""
    run = act("write")
    run.wait()

    numbers = [message["seq"] for message in run.messages]
    times = [message["timestamp"] for message in run.messages]
    assert numbers == sorted(set(numbers))
    assert times == sorted(times)


#: Act, exit code, error code, category.
FAILURES = [
    ("raise-general", 1, "GENERAL_FAILURE", "transient"),
    ("failing-child", 1, "COMMAND_FAILED", "transient"),
    ("raise-config", 64, "CONFIG_INVALID", "config"),
    ("unset", 64, "CONFIG_INVALID", "config"),
    ("raise-data", 65, "DATA_INVALID", "permanent"),
    ("raise-limit", 65, "RESOURCE_LIMIT_EXCEEDED", "permanent"),
    ("raise-escape", 65, "PATH_ESCAPE", "permanent"),
    ("components-all-fail", 65, "DATA_INVALID", "permanent"),
    ("raise-unavailable", 69, "SOURCE_UNAVAILABLE", "transient"),
    ("raise-refused", 69, "SOURCE_UNAVAILABLE", "transient"),
    ("raise-timeout", 69, "SOURCE_UNAVAILABLE", "transient"),
    ("raise-value", 70, "INTERNAL_ERROR", "internal"),
    ("raise-memory", 70, "INTERNAL_ERROR", "internal"),
    ("raise-exit-0", 70, "INTERNAL_ERROR", "internal"),
    ("raise-exit-3", 70, "INTERNAL_ERROR", "internal"),
    ("raise-interrupt", 70, "INTERNAL_ERROR", "internal"),
    ("nothing", 70, "NO_ARTIFACT", "internal"),
    ("open-artifact", 70, "INTERNAL_ERROR", "internal"),
    ("bad-name", 70, "ARTIFACT_NAME_INVALID", "internal"),
    ("same-name", 70, "ARTIFACT_DUPLICATE", "internal"),
    ("raise-output", 73, "CANT_CREATE_OUTPUT", "transient"),
    ("raise-oserror", 74, "IO_ERROR", "transient"),
]


@pytest.mark.parametrize(("name", "exit_code", "code", "category"), FAILURES)
def test_every_failure_ends_in_its_one_code(
    act: Act, name: str, exit_code: int, code: str, category: str
) -> None:
    """Process, last log line and status agree on the code, and nothing is published."""
    run = act(name)

    assert run.wait() == exit_code
    assert run.manifest is None
    assert run.status["status"] == "failed"
    assert run.status["exit_code"] == exit_code
    assert run.status["error"]["code"] == code
    assert run.status["error"]["category"] == category
    assert run.log[-1]["context"]["exit_code"] == exit_code
    assert run.log[-1]["context"]["status"] == "failed"
    assert run.states[-1] == "failed"
    assert "Traceback" not in json.dumps(run.status)
    assert_keeps("status", run.status)


def test_a_failed_child_is_quoted_in_the_error(act: Act) -> None:
    """The last line of its stderr stands in the error's message."""
    run = act("failing-child")
    run.wait()

    assert run.status["error"]["message"] == "sh exited with 3: the reason"


def test_retries_are_listed_in_the_error(act: Act) -> None:
    """Each attempt stands in the error object, and the foreign cause is named."""
    run = act("retry", environ={"BAQUP_JOB_RETRY_MAX": "2", "BAQUP_JOB_RETRY_BACKOFF": "constant"})

    assert run.wait() == 69
    error = run.status["error"]
    assert [attempt["attempt"] for attempt in error["attempts"]] == [1, 2]
    assert "Connection refused" in error["attempts"][0]["error"]
    assert error["root_cause"]["code"] == "ECONNREFUSED"
    assert [event["code"] for event in run.of("event")] == ["CONNECTION_RETRY"]


@pytest.mark.parametrize(
    ("mode", "exit_code", "status", "state"),
    [
        ("fail", 76, "partial", "failed"),
        ("warn", 0, "partial", "terminated"),
        ("skip", 0, "success", "terminated"),
    ],
)
def test_a_partial_failure_ends_as_the_mode_says(
    act: Act, mode: str, exit_code: int, status: str, state: str
) -> None:
    """The artifacts that succeeded are published; the failed component's one is not."""
    run = act("components", environ={"BAQUP_AGENT_PARTIAL_FAILURE_MODE": mode})

    assert run.wait() == exit_code
    assert run.status["status"] == status
    assert run.status["exit_code"] == exit_code
    assert run.states[-1] == state
    assert run.status["summary"] == {"total": 3, "succeeded": 2, "failed": 1}
    outcomes = {part["name"]: part["status"] for part in run.status["components"]}
    assert outcomes["two"] == ("skipped" if mode == "skip" else "failed")
    assert run.manifest is not None
    names = [artifact["filename"] for artifact in run.manifest["artifacts"]]
    assert names == ["one.bin.zst", "three.bin.zst"]
    assert not (run.directory / "two.bin.zst").exists()
    assert_keeps("status", run.status)


def test_a_restore_that_writes_nothing_publishes_a_report(act: Act) -> None:
    """Success means a manifest, so the SDK writes one artifact that tells what was done."""
    run = act("nothing", role="restore")

    assert run.wait() == 0
    assert run.manifest is not None
    assert [artifact["filename"] for artifact in run.manifest["artifacts"]] == ["report.json"]
    report = json.loads((run.directory / "report.json").read_text())
    assert report["role"] == "restore"
    assert_keeps("manifest", run.manifest)


@pytest.mark.parametrize("retain", ["true", "false"])
def test_staged_work_of_a_failed_job_is_kept_or_removed_as_configured(
    act: Act, retain: str
) -> None:
    """`BAQUP_ARTIFACT_RETAIN_ON_FAILURE=false` removes this job's ``.staging``."""
    run = act("raise-data", environ={"BAQUP_ARTIFACT_RETAIN_ON_FAILURE": retain})
    run.wait()

    assert (run.directory / ".staging" / "data.bin.zst").exists() == (retain == "true")
    assert (run.directory / ".staging").exists() == (retain == "true")


def test_the_configuration_is_refused_with_every_problem_and_reported(act: Act) -> None:
    """All problems stand in one line of the log and in the status; nothing is made on disk."""
    run = act(
        "write",
        environ={
            "BAQUP_STAGING_DIR": None,
            "BAQUP_JOB_TIMEOUT": "soon",
            "BAQUP_ARTIFACT_ENCRYPT": "true",
        },
    )

    assert run.wait() == 64
    message = run.log[-1]["message"]
    assert "BAQUP_STAGING_DIR is not set" in message
    assert "BAQUP_JOB_TIMEOUT='soon'" in message
    assert "BAQUP_SECRET_ARTIFACT_KEY" in message
    assert run.status["error"]["code"] == "CONFIG_INVALID"
    assert not run.staging.exists()


@pytest.mark.parametrize("job_id", ["no-uuid", "../../../../tmp/x", ""])
def test_a_job_id_that_is_no_uuid_is_refused(act: Act, job_id: str) -> None:
    """It never becomes a path."""
    run = act("write", environ={"BAQUP_JOB_ID": job_id})

    assert run.wait() == 64
    assert "BAQUP_JOB_ID" in run.log[-1]["message"]
    assert "a UUID such as" in run.log[-1]["message"]
    assert not run.staging.exists()


def test_a_published_job_is_not_run_again(act: Act) -> None:
    """The second attempt ends with 73 and leaves the first one's artifacts as they are."""
    first = act("write")
    assert first.wait() == 0
    before = {path.name: path.read_bytes() for path in first.directory.iterdir()}

    second = act("write", job_id=first.job_id)

    assert second.wait() == 73
    assert second.of("status")[-1]["error"]["code"] == "ALREADY_PUBLISHED"
    after = {path.name: path.read_bytes() for path in first.directory.iterdir()}
    assert after == before


def test_a_job_that_failed_can_be_run_again(act: Act) -> None:
    """What the first attempt left staged is not mixed into the second."""
    first = act("raise-data")
    assert first.wait() == 65

    second = act("write", job_id=first.job_id)

    assert second.wait() == 0
    assert sorted(path.name for path in second.directory.iterdir()) == [
        "data.bin.zst",
        "manifest.json",
    ]


def test_an_absent_bus_does_not_fail_the_job(act: Act) -> None:
    """The job completes, the status lies beside the artifacts, and the code is 75."""
    run = act("write", environ={"BAQUP_BUS_URL": "redis://127.0.0.1:1/0"})

    assert run.wait() == 75
    assert run.manifest is not None
    assert run.orphan is not None
    assert run.orphan["status"] == "success"
    assert run.orphan["exit_code"] == 75
    assert run.log[-1]["context"]["exit_code"] == 75
    assert_keeps("status", run.orphan)
    assert_keeps("manifest", run.manifest)


def test_nothing_calls_a_published_backup_failed(act: Act) -> None:
    """Once the manifest is visible, an error ends as unreported, with status success and 75."""
    run = act("write", program=SLOW_ACTOR, environ={"BREAK_AFTER_PUBLICATION": "yes"})

    assert run.wait() == 75
    assert run.manifest is not None
    assert run.status["status"] == "success"
    assert run.status["exit_code"] == 75
    assert run.status["error"] is None
    assert "Input/output error" in run.log[-1]["message"]
    assert_keeps("status", run.status)


def test_a_failure_without_a_bus_keeps_its_own_code(act: Act) -> None:
    """75 is for usable backups only; the error lies on disk."""
    run = act("raise-data", environ={"BAQUP_BUS_URL": "redis://127.0.0.1:1/0"})

    assert run.wait() == 65
    assert run.manifest is None
    assert run.orphan is not None
    assert run.orphan["error"]["code"] == "DATA_INVALID"


@pytest.mark.parametrize("url", ["redis://", "http://host/", "nonsense", "file://relative"])
def test_a_malformed_bus_is_a_configuration_error(act: Act, url: str) -> None:
    """It is named, never echoed, and the job does not begin."""
    run = act("write", environ={"BAQUP_BUS_URL": url})

    assert run.wait() == 64
    assert "BAQUP_BUS_URL" in run.log[-1]["message"]
    assert not run.staging.exists()


def test_staging_that_is_a_file_is_refused(act: Act, tmp_path: Path) -> None:
    """Output that cannot be created is 73, with a line that names it."""
    (tmp_path / "staging").write_text("in the way")
    run = act("write")

    assert run.wait() == 73
    assert str(run.staging) in run.log[-1]["message"]


def test_a_thread_left_behind_does_not_keep_the_process(act: Act) -> None:
    """The run's code stands though the author's thread never ends."""
    assert act("leave-thread").wait() == 0


def test_an_intent_is_told_at_once_and_cleared_after(act: Act) -> None:
    """The beats around one long operation, though the next regular beat is minutes away."""
    run = act("intent", environ={"BAQUP_AGENT_HEARTBEAT_INTERVAL": "600"})

    assert run.wait() == 0
    told = [beat.get("intent") for beat in run.of("heartbeat") if beat["state"] == "running"]
    assert told[-2:] == [{"operation": "count", "expected_duration_seconds": 5}, None]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_does_not_change_the_outcome(tmp_path: Path, stream: str) -> None:
    """Whoever read the agent's output has closed it; the run still ends with its own code."""
    run = AgentProcess(tmp_path, environ={"BAQUP_SOURCE_ACT": "wait-a-moment"}, unheard=stream)
    try:
        assert run.wait() == 0
        assert run.status["status"] == "success"
    finally:
        run.end()


def test_no_secret_leaves_the_process(act: Act, tmp_path: Path) -> None:
    """Not in the log, not on the bus, not on disk, not in a child's environment."""
    secret = 'swordfish"/&+é'
    run = act("leak", environ={"BAQUP_SECRET_DB_PASSWORD": secret, "CWD": str(tmp_path)})

    assert run.wait() == 65
    seen = run.stderr + json.dumps(run.messages) + (tmp_path / "env.txt").read_text()
    assert "[REDACTED]" in seen
    for form in ("swordfish", "c3dvcmRmaXNo"):
        assert form not in seen
