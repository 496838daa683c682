"""How the process is left: with exactly one code, and with nothing left running (Contract §5)."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import Any, NoReturn

from baqup_agent.clock import timestamp
from baqup_agent.contract import ExitCode, RunStatus
from baqup_agent.errors import BaqupError, InternalError
from baqup_agent.observability.sink import LogSink
from baqup_agent.runtime.context import RunContext
from baqup_agent.runtime.descendants import end_descendants
from baqup_agent.runtime.signals import ignore_signals

#: Seconds between SIGTERM and SIGKILL for children that are still there at the end.
_CHILDREN_GRACE_S = 0.5

#: Seconds that the last beat gets to reach the bus.
_LAST_BEAT_S = 1.0

#: Seconds that exit handlers and threads of the author's code get to finish.
_INTERPRETER_GRACE_S = 5.0


def close(run: RunContext) -> None:
    """Let go of everything, and say in the last log line how the run ended."""
    run.leaving.acquire()  # for good: only one thread leaves
    if run.heartbeat is not None:
        run.heartbeat.stop()
    if run.bus is not None:
        run.bus.flush(_LAST_BEAT_S)
        run.bus.close()
    if run.staging is not None:
        run.staging.close()
    if run.watchdog is not None:  # not before: closing may hang on a disk
        run.watchdog.stop()
    _end_children(run)
    _close_tracing(run)
    say_goodbye(run)


def leave(run: RunContext) -> NoReturn:
    """Leave the process in the ordinary way, but within bounds.

    Raises:
        SystemExit: with the run's exit code.
    """
    code = run.exit_code
    drop_unheard_output()
    # The dying interpreter gives handled signals their default back, which would change the code.
    ignore_signals()
    if run.worker is not None and not run.worker.wait(0):
        os._exit(code)  # the author's code is stuck; nothing of it may run any more
    # An exit handler or a thread of the author's code may hang: the code stands all the same.
    last_resort = threading.Timer(_INTERPRETER_GRACE_S, os._exit, args=(code,))
    last_resort.daemon = True
    last_resort.start()
    sys.exit(code)


def drop_unheard_output() -> None:
    """Let nobody's having read our output change the exit code, as the interpreter would."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            setattr(sys, name, None)


def leave_now(run: RunContext, error: BaqupError) -> NoReturn:
    """Leave from the watchdog's thread, because the driver is stuck.

    The status is reported as far as possible; the manifest decides what it says.
    """
    if not run.leaving.acquire(blocking=False):
        os._exit(run.exit_code)  # the driver has said everything, and hangs on its way out
    if run.error is None:
        run.error = error
    with contextlib.suppress(Exception):
        from baqup_agent.runtime.failing import report_failure

        report_failure(run)
    with contextlib.suppress(Exception):
        _end_children(run)
        _close_tracing(run)
        say_goodbye(run)
    os._exit(run.exit_code)


def _close_tracing(run: RunContext) -> None:
    ended: dict[str, Any] = {
        "baqup.exit_code": int(run.exit_code),
        "baqup.status": str(run.status),
    }
    run.tracing.close(run.error, **ended)


def say_goodbye(run: RunContext) -> None:
    """Write the run's last log line."""
    code = run.exit_code
    run.log.summarize()
    if run.trace is not None:
        run.trace.write(
            "end",
            exit_code=int(code),
            error_code=None if run.error is None else run.error.code,
            status=str(run.status),
            timestamp=timestamp(run.clock.now()),
            monotonic_s=run.clock.monotonic(),
        )
    context = {
        "exit_code": int(code),
        "status": str(run.status),
        "duration_seconds": round(run.clock.monotonic() - run.started_s, 3),
    }
    if run.error is None:
        run.log.info("run ended", **context)
        return
    context["code"] = run.error.code
    context["suggestions"] = list(run.error.suggestions)
    say = run.log.warn if run.status is not RunStatus.FAILED else run.log.error
    say(run.error.message, **context)


def refuse_to_run(log: LogSink, message: str, trace: str) -> NoReturn:
    """End a run that could not even begin.

    Raises:
        SystemExit: with the code of a bug in the agent.
    """
    code = ExitCode.INTERNAL_ERROR
    log.error(message, exit_code=int(code), code=InternalError.code, traceback=trace)
    sys.exit(code)


def _end_children(run: RunContext) -> None:
    spare = {run.guardian.pid} if run.guardian.pid is not None else set()
    ended = end_descendants(_CHILDREN_GRACE_S, spare)
    if ended:
        run.log.warn("children were still running and have been ended", count=ended)
    run.guardian.relieve()
