"""What has to succeed before a run has terminated: publish, report (Contract §1, §4)."""

from __future__ import annotations

import json

from baqup_agent.clock import timestamp
from baqup_agent.contract import ExitCode, PartialFailureMode, Role, RunStatus
from baqup_agent.errors import PartialFailure, Unreported
from baqup_agent.runtime.context import RunContext
from baqup_agent.runtime.needs import need
from baqup_agent.runtime.report import report
from baqup_agent.staging.manifest import Manifest

#: Seconds of the state's deadline that the wait for the bus leaves unused.
_MARGIN_S = 5.0

#: Name of the artifact that stands for a job which produced none of its own.
REPORT_ARTIFACT = "report.json"


def add_report_artifact(run: RunContext) -> None:
    """Give a job that is no snapshot and wrote nothing an artifact that tells what it did.

    Success always means a valid manifest, and a manifest lists at least one artifact.
    """
    staging = need(run.staging, "staging")
    if run.role is Role.SNAPSHOT or staging.artifacts:
        return
    progress, job = need(run.progress, "progress"), need(run.job, "job")
    content = {
        "role": run.role.value,
        "started_at": timestamp(run.started_at),
        "completed_at": timestamp(run.clock.now()),
        "bytes_processed": progress.bytes_processed,
        "files_processed": progress.files_processed,
        "source_metadata": job.source_metadata,
    }
    with staging.artifact(REPORT_ARTIFACT, compress=False) as out:
        out.write(json.dumps(run.redactor.message(content), indent=2).encode())


def publish(run: RunContext) -> None:
    """Move the artifacts out of ``.staging``, the manifest last."""
    staging, job = need(run.staging, "staging"), need(run.job, "job")
    run.manifest = Manifest(
        job_id=job.id,
        agent=run.agent.name,
        agent_version=run.agent.version,
        role=run.role,
        created_at=timestamp(run.clock.now()),
        artifacts=staging.artifacts,
        source_metadata=run.redactor.value(job.source_metadata),
    )
    staging.publish(run.manifest)


def report_outcome(run: RunContext) -> None:
    """Report what was published; the states behind this one take it as reported.

    Raises:
        Unreported: the bus did not take the status in time; it was left on disk.
        PartialFailure: some components failed, and that counts as failure here.
    """
    partial = _partial_failure(run)
    status = RunStatus.SUCCESS
    if partial is not None and _mode(run) is not PartialFailureMode.SKIP:
        status = RunStatus.PARTIAL
    fails = partial is not None and _mode(run) is PartialFailureMode.FAIL
    exit_code = ExitCode.PARTIAL_FAILURE if fails else ExitCode.SUCCESS
    if not report(run, status, exit_code, partial, _patience_s(run)):
        raise Unreported(
            "the artifacts are published, but the bus did not take the status; "
            "it lies in the job's directory",
            suggestions=("bring the bus up and read the orphan status",),
        )
    if partial is not None and fails:
        raise partial


def _mode(run: RunContext) -> PartialFailureMode:
    return need(run.settings, "settings").agent.partial_failure_mode


def _partial_failure(run: RunContext) -> PartialFailure | None:
    failed = need(run.job, "job").components.failed
    if not failed:
        return None
    names = ", ".join(component.name for component in failed)
    return PartialFailure(f"{len(failed)} of the components failed: {names}")


def _patience_s(run: RunContext) -> float:
    """Seconds to wait for the bus: the grace period, within the deadlines that hold."""
    grace_s = float(need(run.settings, "settings").bus.grace_period_s)
    left_s = need(run.stays, "stays").left_s(run.clock.monotonic()) - _MARGIN_S
    return max(0.0, min(grace_s, left_s))
