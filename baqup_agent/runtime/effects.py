"""What the lifecycle drives: the one table from states and triggers to components."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from baqup_agent.contract import AgentState
from baqup_agent.errors import describe
from baqup_agent.lifecycle.declaration import LeafEffect
from baqup_agent.lifecycle.history import Step
from baqup_agent.lifecycle.machine import Effect, Machine
from baqup_agent.runtime import completing, failing, initializing, resources
from baqup_agent.runtime.context import RunContext
from baqup_agent.runtime.needs import need

RunEffect = Callable[[RunContext], None]


def begin_work(run: RunContext) -> None:
    """Start the author's code."""
    need(run.worker, "worker").start()


#: For each phase its effects, in order.
EFFECTS: Mapping[str, tuple[RunEffect, ...]] = {
    AgentState.INITIALIZING: (
        initializing.configure,
        initializing.connect_bus,
        resources.watch_resources,
        initializing.prepare_staging,
        initializing.make_job,
    ),
    AgentState.RUNNING: (begin_work,),
    AgentState.COMPLETING: (),
    AgentState.TERMINATED: (),
    AgentState.FAILED: (failing.report_failure, failing.clean_staging),
}

#: What has to succeed before a transition is taken: ``terminated`` means that it was reported.
ACTIONS: Mapping[str, tuple[RunEffect, ...]] = {
    "terminate": (
        completing.add_report_artifact,
        completing.publish,
        completing.report_outcome,
    ),
}


def machine_of(run: RunContext, observer: Callable[[Step], None]) -> Machine:
    """Compile the agent's lifecycle with every effect bound to ``run``."""
    lifecycle = run.lifecycle
    effects: dict[str, list[Effect]] = {}
    exits: dict[str, list[Effect]] = {}
    for state in (*lifecycle.compounds, *lifecycle.states):
        row = [partial(effect, run) for effect in EFFECTS.get(state.name, ())]
        effects[state.name] = [*row, *(partial(_on_job, run, call) for call in state.on_enter)]
        exits[state.name] = [partial(_leave_on_job, run, call) for call in state.on_exit]
    actions = {name: [partial(action, run) for action in row] for name, row in ACTIONS.items()}
    return Machine(
        lifecycle, effects, exits=exits, actions=actions, observer=observer, clock=run.clock
    )


def _on_job(run: RunContext, call: LeafEffect) -> None:
    if run.job is not None:  # a run that failed before there was a job left nothing behind
        call(run.job)


def _leave_on_job(run: RunContext, call: LeafEffect) -> None:
    try:
        _on_job(run, call)
    except Exception as error:
        if run.error is None:
            raise
        # The run is failing already; no effect may keep it in a live state.
        run.log.error("an exit effect failed while the run was failing", reason=describe(error))
