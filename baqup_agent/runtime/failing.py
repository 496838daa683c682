"""Effects of ``failed``: the error reported if that is possible, staged work kept or removed."""

from __future__ import annotations

from baqup_agent.contract import FAILURE_REPORT_S, ExitCode, RunStatus
from baqup_agent.errors import Aborted, BaqupError, ConfigError, Unreported, classify
from baqup_agent.runtime.context import RunContext
from baqup_agent.runtime.report import report


def report_failure(run: RunContext) -> None:
    """Report the error that the run ends with, unless its status is out already."""
    error = run.error
    if error is None or run.reported:
        return
    if isinstance(error, Unreported):  # published, and something broke before the report
        status, exit_code = RunStatus.SUCCESS, ExitCode.COMPLETED_UNREPORTED
    else:
        status, exit_code = RunStatus.FAILED, error.exit_code
    report(run, status, exit_code, error, _patience_s(run, error))


def clean_staging(run: RunContext) -> None:
    """Keep what was staged, or remove this job's ``.staging`` if that was asked for."""
    if run.staging is None or run.settings is None or run.published:
        return
    if run.settings.artifact.retain_on_failure:
        return
    try:
        run.staging.remove()
    except BaqupError as error:
        run.log.warn("staged work could not be removed", reason=error.message)


def judge(run: RunContext, error: BaseException) -> BaqupError:
    """Give an error its place; once the manifest is visible, nothing may call the backup failed."""
    classified = classify(error)
    if not run.published or run.reported:
        return classified
    unreported = Unreported(
        f"the artifacts are published, but the run ended badly: {classified.message}"
    )
    unreported.__cause__ = error
    return unreported


def _patience_s(run: RunContext, error: BaqupError) -> float:
    # Somebody waits for an aborted run; a bus that was refused will not be there in time either.
    if run.settings is None or isinstance(error, Aborted | ConfigError):
        return FAILURE_REPORT_S
    return float(run.settings.bus.grace_period_s)
