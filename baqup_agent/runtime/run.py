"""Puts one run together: context, machine, driver, and what keeps time and listens around them."""

from __future__ import annotations

import traceback
from functools import partial
from typing import NoReturn

from baqup_agent.agent import Agent
from baqup_agent.bus.client import new_agent_id
from baqup_agent.config.load import environment
from baqup_agent.contract import CANCEL_GRACE_S, AgentState, Role
from baqup_agent.errors import BaqupError, InternalError
from baqup_agent.lifecycle.declaration import CONTRACT, Lifecycle
from baqup_agent.lifecycle.history import Step
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.observability.logger import Logger
from baqup_agent.observability.redaction import Redactor
from baqup_agent.runtime import backstop, failing
from baqup_agent.runtime.context import RunContext
from baqup_agent.runtime.deadlines import Limit, Watchdog
from baqup_agent.runtime.descendants import adopt_orphans
from baqup_agent.runtime.driver import Driver, Worker, outlasted
from baqup_agent.runtime.effects import bound_to
from baqup_agent.runtime.guardian import Guardian
from baqup_agent.runtime.inbox import DeadlineExpired, StopRequested
from baqup_agent.runtime.needs import need
from baqup_agent.runtime.signals import Signals
from baqup_agent.runtime.way_out import close, leave, leave_now

#: Seconds of the cancellation's grace in which children may end by themselves.
_CHILDREN_GRACE_S = 2.0

#: Seconds behind the expiry of a deadline after which the driver counts as stuck.
_OVERRUN_S = CANCEL_GRACE_S + 3.0

#: Longest stay in a final state beyond the grace period of the bus, seconds.
_FINAL_S = 15.0


def run_role(agent_class: type[Agent], role: Role, signals: Signals) -> NoReturn:
    """Run one role of an agent to its end and leave the process.

    Raises:
        SystemExit: with the run's exit code.
    """
    guardian = Guardian()
    trouble = _post(guardian)  # first: a process with threads should not fork
    run = _context(agent_class, role, guardian)
    if trouble is not None:
        run.log.warn("no guardian; killing the agent may leave children behind", reason=trouble)
    adopt_orphans()
    machine = Machine(CONTRACT, bound_to(run), observer=partial(_entered, run), clock=run.clock)
    _keep_time(run, CONTRACT)
    signals.listen(
        on_stop=lambda name: run.inbox.put(StopRequested(name)), on_probe=lambda: _beat(run)
    )
    run.worker = Worker(partial(_work, run), run.inbox)
    Driver(
        machine, run.inbox, partial(failing.judge, run), partial(_stop_work, run), run.log
    ).drive()
    close(run)
    leave(run)


def _post(guardian: Guardian) -> str | None:
    try:
        guardian.post()
    except OSError as error:
        return str(error)
    return None


def _context(agent_class: type[Agent], role: Role, guardian: Guardian) -> RunContext:
    agent_id = new_agent_id(agent_class.name)
    redactor = Redactor()
    environ = environment()
    return RunContext(
        agent=agent_class(),
        role=role,
        environ=environ,
        agent_id=agent_id,
        log=Logger(environ.get("BAQUP_JOB_ID", ""), agent_id, redactor=redactor, capture_all=True),
        redactor=redactor,
        guardian=guardian,
    )


def _keep_time(run: RunContext, lifecycle: Lifecycle) -> None:
    run.watchdog = Watchdog(
        on_expired=lambda state: run.inbox.put(DeadlineExpired(state)),
        on_overrun=lambda state: leave_now(run, _stuck(lifecycle, state)),
        clock=run.clock,
    )
    _limit(run, lifecycle, lifecycle.initial)
    run.watchdog.start()


def _stuck(lifecycle: Lifecycle, state: str) -> BaqupError:
    if lifecycle.state(state).final:
        return InternalError(f"the run is stuck in its final state {state!r}")
    return outlasted(lifecycle, state)


def _entered(run: RunContext, step: Step) -> None:
    """Note a transition everywhere that tells of the state, before the state's effects run."""
    run.vitals.enter(AgentState(step.target))
    _limit(run, CONTRACT, step.target)
    run.log.info(f"{step.source} -> {step.target}", trigger=step.trigger)


def _limit(run: RunContext, lifecycle: Lifecycle, state: str) -> None:
    deadline = lifecycle.state(state).deadline
    if deadline is None:
        grace_s = run.settings.bus.grace_period_s if run.settings is not None else 0
        limit = Limit(state, grace_s + _FINAL_S, 0.0)
    else:
        seconds = deadline.seconds or need(run.settings, "settings").job.timeout_s
        limit = Limit(state, seconds, _OVERRUN_S)
    run.deadline_s = run.clock.monotonic() + limit.seconds
    if state == AgentState.RUNNING:
        backstop.arm(run, limit.seconds + limit.overrun_s)
    else:
        backstop.disarm(run)
    need(run.watchdog, "watchdog").enter(limit)


def _beat(run: RunContext) -> None:
    if run.heartbeat is not None:  # before that, the first beat is about to be sent anyway
        run.heartbeat.beat_now()


def _work(run: RunContext) -> None:
    job = need(run.job, "job")
    getattr(run.agent, run.role.value)(job)
    if job.components.all_failed:
        last = job.components.failed[-1]
        raise need(last.error, "error")


def _stop_work(run: RunContext, error: BaqupError) -> None:
    """End the author's code and its children, within the grace; afterwards the run has failed."""
    run.error = error
    if error.__cause__ is not None and isinstance(error, InternalError):
        run.log.error("unexpected error", traceback=_traceback(error.__cause__))
    run.token.cancel(error)
    if run.children is not None:
        run.children.terminate(_CHILDREN_GRACE_S)
    if run.worker is not None and not run.worker.wait(CANCEL_GRACE_S - _CHILDREN_GRACE_S):
        run.log.warn("the job's code did not stop when asked to; the process leaves without it")


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
