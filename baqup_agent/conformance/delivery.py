"""What reached the bus by the end of a job, or lies in staging because it could not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from baqup_agent.conformance.endings import require_exit, require_valid_output
from baqup_agent.conformance.messages import Message, part
from baqup_agent.conformance.oracle import faults_of
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import require

#: Where a bus comes back, it is waited for longer than the scaled grace period: an agent may
#: pause ten seconds between two attempts (Contract §3). Nobody waits longer than it takes.
PATIENCE = {"BAQUP_BUS_GRACE_PERIOD": "20"}

#: Exit codes (Contract §5).
_SUCCESS, _UNREPORTED = 0, 75

#: Seconds in which a job with `PATIENCE` has ended once its bus is back.
_REPORTED_S = 120.0

#: Lines of evidence that one violation shows.
_SHOWN = 8


def require_reported(run: Run) -> None:
    """Require that it ends with 0, and that all it has to say is on the bus."""
    when = "the bus came back in time"
    require_exit(run, _SUCCESS, when, within_s=_REPORTED_S)
    require_valid_output(run, when)
    status = run.status() or {}
    require(status.get("status") == "success", f"the status is {status.get('status')!r}")
    require(run.orphan_status() is None, "the status is reported, and there is an orphan status")
    faults = event_faults(run.messages("event", channel="stored"), status)
    require(not faults, "the events on the bus are not those that happened", faults[:_SHOWN])


def require_unreported(run: Run) -> None:
    """Require an ended run with valid output, 75, and an orphan status that says success."""
    when = "the bus stayed away"
    require_exit(run, _UNREPORTED, when)
    require_valid_output(run, when)
    require_orphan(run, "success", _UNREPORTED)


def require_orphan(run: Run, status: str, code: int) -> None:
    """Require an orphan status of this job that tells a status and an exit code."""
    document = run.orphan_status()
    require(document is not None, "there is no .baqup-status.json in the job's directory")
    faults = faults_of("status", document)
    require(not faults, "the orphan status is not as its schema asks", faults)
    found = (document["status"], document.get("exit_code", code), document["job_id"])
    require(
        found == (status, code, run.job_id),
        f"the orphan status says {found}; {(status, code, run.job_id)} is asked for",
    )


def event_faults(stored: Sequence[Message], status: dict[str, Any]) -> list[str]:
    """Return what is lost, doubled, malformed or out of order on the stream.

    Args:
        stored: the stream's messages, in its order.
        status: whose ``warnings_summary`` tells how many of each code there were.
    """
    malformed = (fault for one in stored for fault in faults_of("event", one.body))
    return [*malformed, *_repeated(stored), *_disordered(stored), *_miscounted(stored, status)]


def _repeated(stored: Sequence[Message]) -> Iterator[str]:
    times = Counter((str(one.body.get("agent_id")), one.seq) for one in stored)
    for (_, seq), count in times.items():
        if count > 1:
            yield f"event {seq} is there {count} times"


def _disordered(stored: Sequence[Message]) -> Iterator[str]:
    for before, after in pairwise(stored):
        if after.seq < before.seq and after.body.get("agent_id") == before.body.get("agent_id"):
            yield f"event {after.seq} stands after event {before.seq}"


def _miscounted(stored: Sequence[Message], status: dict[str, Any]) -> Iterator[str]:
    counts = {one.body.get("code"): one.body.get("count") for one in stored}
    for code, count in part(status, "warnings_summary").items():
        if counts.get(code) != count:
            yield f"{code}: the status counts {count}, the stream {counts.get(code, 0)}"
