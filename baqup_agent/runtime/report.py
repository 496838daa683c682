"""The one status of a run: made, delivered, or left where the controller looks (Contract §3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baqup_agent.contract import EVENTS_DROPPED, ExitCode, PartialFailureMode, RunStatus
from baqup_agent.errors import BaqupError, describe
from baqup_agent.runtime.context import RunContext
from baqup_agent.staging.orphan import write_orphan_status


def report(
    run: RunContext, status: RunStatus, exit_code: ExitCode, error: BaqupError | None, wait_s: float
) -> bool:
    """Publish the run's status and wait for the bus; what cannot be delivered is left on disk.

    Args:
        run: the run; it counts as reported afterwards.
        status: its outcome.
        exit_code: the code the process will leave with if the status arrives.
        error: what it failed of.
        wait_s: longest wait for the bus, seconds.

    Returns:
        Whether the bus has confirmed the status.
    """
    with run.tracing.span("agent.report_status") as span:
        confirmed = _report(run, status, exit_code, error, wait_s)
        span.set(**{"baqup.status": status, "baqup.confirmed": confirmed})
    return confirmed


def _report(
    run: RunContext, status: RunStatus, exit_code: ExitCode, error: BaqupError | None, wait_s: float
) -> bool:
    run.reported, run.status = True, status
    members = members_of(run, status, exit_code, error)
    if run.bus is None:
        return False
    if run.events is not None:
        run.events.flush()
    if run.progress is not None:
        run.progress.flush()
    run.bus.tell_dropped()
    run.bus.status(**members)
    if run.bus.flush(wait_s):
        return True
    run.bus.stop()  # so that nothing arrives any more that the orphan contradicts
    if run.bus.flush(0):
        return True
    if status is not RunStatus.FAILED:
        members["exit_code"] = ExitCode.COMPLETED_UNREPORTED
    _leave_orphan(run, members)
    return False


def members_of(
    run: RunContext, status: RunStatus, exit_code: ExitCode, error: BaqupError | None
) -> dict[str, Any]:
    """Return what a status says of the run as it stands."""
    return {
        "agent": run.agent.name,
        "agent_version": run.agent.version,
        "role": run.role,
        "status": status,
        "started_at": run.started_at,
        "completed_at": run.clock.now(),
        "exit_code": exit_code,
        "files": _files(run),
        "metrics": _metrics(run),
        "warnings_summary": _warnings(run),
        "error": None if error is None or status is RunStatus.SUCCESS else error.to_wire(),
        **_components(run),
    }


def _warnings(run: RunContext) -> dict[str, int]:
    summary = run.events.warnings_summary() if run.events else {}
    if run.bus is not None and run.bus.dropped_events:
        summary[EVENTS_DROPPED] = run.bus.dropped_events
    return summary


def _files(run: RunContext) -> list[dict[str, Any]]:
    if run.manifest is None or not run.published:
        return []
    return [
        {
            "path": artifact.filename,
            "size_bytes": artifact.size_bytes,
            f"checksum_{artifact.checksum_algorithm}": artifact.checksum_value,
        }
        for artifact in run.manifest.artifacts
    ]


def _metrics(run: RunContext) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "duration_seconds": round(run.clock.monotonic() - run.started_s, 3),
        "bytes_processed": run.progress.bytes_processed if run.progress else 0,
        "files_processed": run.progress.files_processed if run.progress else 0,
    }
    stored = sum(artifact.size_bytes for artifact in run.staging.artifacts) if run.staging else 0
    if run.staging is not None and stored:
        metrics["compression_ratio"] = round(run.staging.bytes_in / stored, 3)
    return metrics


def _components(run: RunContext) -> Mapping[str, Any]:
    if run.job is None or run.settings is None or not run.job.components:
        return {}
    mode: PartialFailureMode = run.settings.agent.partial_failure_mode
    return {
        "summary": run.job.components.summary(),
        "components": run.job.components.to_wire(mode),
    }


def _leave_orphan(run: RunContext, members: Mapping[str, Any]) -> None:
    if run.bus is None or run.settings is None:
        return
    # Into the outbox too: whoever replays that one has to end with the code of this process.
    message = run.redactor.message(run.bus.status(**members).to_wire())
    try:
        path = write_orphan_status(run.settings.staging_dir, run.settings.job.id, message)
    except BaqupError as error:
        run.log.error("the status could be neither delivered nor written", reason=error.message)
    except OSError as error:
        run.log.error("the status could be neither delivered nor written", reason=describe(error))
    else:
        run.log.warn("the bus did not take the status; it was written", path=str(path))
