"""What each state drives on being entered: the one table from lifecycle to components."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.machine import Effect
from baqup_agent.runtime import completing, failing, initializing
from baqup_agent.runtime.context import RunContext
from baqup_agent.runtime.needs import need

RunEffect = Callable[[RunContext], None]


def announce(run: RunContext) -> None:
    """Tell the controller of the new state at once, not at the next beat."""
    if run.heartbeat is not None:
        run.heartbeat.beat_now()


def begin_work(run: RunContext) -> None:
    """Start the author's code."""
    need(run.worker, "worker").start()


#: For each state its effects, in order.
EFFECTS: Mapping[AgentState, tuple[RunEffect, ...]] = {
    AgentState.INITIALIZING: (
        initializing.configure,
        initializing.connect_bus,
        initializing.prepare_staging,
        initializing.make_job,
    ),
    AgentState.RUNNING: (announce, begin_work),
    AgentState.COMPLETING: (
        announce,
        completing.add_report_artifact,
        completing.publish,
        completing.report_outcome,
    ),
    AgentState.TERMINATED: (announce,),
    AgentState.FAILED: (announce, failing.report_failure, failing.clean_staging),
}


def bound_to(run: RunContext) -> dict[str, list[Effect]]:
    """Return the table with every effect bound to ``run``."""
    return {state: [partial(effect, run) for effect in row] for state, row in EFFECTS.items()}
