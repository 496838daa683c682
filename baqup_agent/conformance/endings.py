"""How a run ends: what many checks require of its exit, its output, and its processes."""

from __future__ import annotations

import time

from baqup_agent.conformance.messages import part
from baqup_agent.conformance.run import END_WITHIN_S, Run
from baqup_agent.conformance.verdicts import require

#: Seconds for a killed process to be gone.
_GONE_S = 3.0

#: Lines that one violation shows.
_SHOWN = 6


def require_exit(run: Run, code: int, when: str, *, within_s: float = END_WITHIN_S) -> None:
    """Require that a run ends with a code; it is waited for.

    Args:
        run: any, live or ended.
        code: what it has to end with.
        when: what led to it, for the message.
        within_s: seconds in which it has to end.

    Raises:
        Violation: it ended otherwise, or not in time.
    """
    if run.exit_code(within_s=within_s) != code:
        run.fail(f"{when}, it ended with {run.end_words()}; {code} is asked for")


def require_success(run: Run, when: str = "with a valid configuration") -> None:
    """Require that a run ends with 0; see `require_exit`."""
    require_exit(run, 0, when)


def require_valid_output(run: Run, when: str) -> None:
    """Require that what a run published is there, whole, and as its manifest says."""
    faults = run.output_faults()
    require(not faults, f"{when}, what it published is not valid", faults)


def require_failed(run: Run, when: str, *, exit_code: int, error_code: str) -> None:
    """Require that an ended run failed in a certain way: code, status, and no manifest.

    Args:
        run: has ended.
        when: what led to it, for the message.
        exit_code: what it has to end with.
        error_code: what the status has to name.

    Raises:
        Violation: it ended otherwise.
    """
    require_exit(run, exit_code, when)
    require(run.manifest() is None, f"{when}, it failed and yet there is a manifest")
    status = run.status()
    if status is None:
        run.fail(f"{when}, it reported no status, and the bus was there")
    said, code = status.get("status"), part(status, "error").get("code")
    require(said == "failed", f"{when}, the status is {said!r}; failed is asked for")
    require(code == error_code, f"{when}, the error is {code!r}; {error_code} is asked for")


def require_nothing_left(run: Run) -> None:
    """Require that no process which an ended run has started outlives it.

    Those that it killed on its way out may take a moment.
    """
    until_s = time.monotonic() + _GONE_S
    gone = run.timeline.wait(lambda: None if run.survivors() else True, until_s)
    left = [] if gone else [f"{one.pid}: {one.command}" for one in run.survivors()]
    require(not left, "processes that it started survive it", left[:_SHOWN])
