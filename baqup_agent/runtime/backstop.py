"""The last net under the author's code: it works while no Python code can run at all.

A C call that keeps the interpreter's lock stops every thread, the watchdog's too. Two things go
on: a timer of `faulthandler`, written in C, which leaves the process with exit code 1, the code of
a job that outlasted its time; and the guardian, a process of its own, which a moment earlier
leaves the status where the controller looks for orphans.
"""

from __future__ import annotations

import faulthandler
import os
from typing import Any

from baqup_agent.contract import ExitCode, RunStatus
from baqup_agent.lifecycle.declaration import CONTRACT
from baqup_agent.runtime.context import RunContext
from baqup_agent.runtime.driver import outlasted
from baqup_agent.runtime.guardian import LastWords
from baqup_agent.runtime.needs import need
from baqup_agent.runtime.report import members_of

#: Seconds that the watchdog gets before the guardian speaks, and the guardian before the end.
_STEP_S = 2.0


def arm(run: RunContext, seconds: float) -> None:
    """Be ready for a job whose code still holds everything up when ``seconds`` are over."""
    run.guardian.hold(_last_words(run, seconds + _STEP_S))
    # The file is closed when the process ends; the traceback has no reader, the status says it.
    nowhere = open(os.devnull, "wb")  # noqa: SIM115, PTH123
    faulthandler.dump_traceback_later(seconds + 2 * _STEP_S, exit=True, file=nowhere)


def disarm(run: RunContext) -> None:
    """Stand down: the driver is alive and has moved on."""
    faulthandler.cancel_dump_traceback_later()
    run.guardian.hold(None)


def _last_words(run: RunContext, after_s: float) -> LastWords:
    settings, bus = need(run.settings, "settings"), need(run.bus, "bus")
    error = outlasted(CONTRACT, CONTRACT.transitions[0].target)
    members: dict[str, Any] = members_of(run, RunStatus.FAILED, ExitCode.GENERAL_FAILURE, error)
    wire = run.redactor.message(bus.make_status(**members).to_wire())
    return LastWords(after_s, str(settings.staging_dir), settings.job.id, wire)
