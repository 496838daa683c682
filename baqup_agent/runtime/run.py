"""Puts one run together: context, machine, driver, and what keeps time and listens around them."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from functools import partial
from typing import NoReturn

from baqup_agent.agent import Agent
from baqup_agent.bus.client import new_agent_id
from baqup_agent.bus.messages import Intent
from baqup_agent.config.load import environment
from baqup_agent.config.variables import SECRET_PREFIX
from baqup_agent.contract import CANCEL_GRACE_S, AgentState, Role
from baqup_agent.errors import BaqupError, InternalError, describe
from baqup_agent.lifecycle.declaration import State
from baqup_agent.lifecycle.history import Step
from baqup_agent.observability.logger import Logger
from baqup_agent.observability.redaction import Redactor
from baqup_agent.runtime import backstop, failing
from baqup_agent.runtime.context import RunContext
from baqup_agent.runtime.deadlines import Limit, Watchdog
from baqup_agent.runtime.descendants import adopt_orphans
from baqup_agent.runtime.driver import Driver, Worker, outlasted
from baqup_agent.runtime.effects import machine_of
from baqup_agent.runtime.guardian import Guardian
from baqup_agent.runtime.inbox import DeadlineExpired, StopRequested
from baqup_agent.runtime.needs import need
from baqup_agent.runtime.signals import Signals
from baqup_agent.runtime.stays import Stays
from baqup_agent.runtime.way_out import close, leave, leave_now, refuse_to_run
from baqup_agent.security.secret import Secret

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
    run.log.describe(partial(_where, run))
    adopt_orphans()
    stays = _keep_time(run)
    signals.listen(
        on_stop=lambda name: run.inbox.put(StopRequested(name)), on_probe=partial(_beat, run)
    )
    run.worker = Worker(partial(_work, run), run.inbox)
    Driver(
        machine_of(run, partial(_entered, run)),
        run.inbox,
        stays.holds,
        partial(failing.judge, run),
        partial(_stop_work, run),
        run.log,
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
    log = Logger(environ.get("BAQUP_JOB_ID", ""), agent_id, redactor=redactor, capture_all=True)
    _learn_secrets(redactor, environ, log)
    return RunContext(
        agent=_instance(agent_class, log),
        role=role,
        environ=environ,
        agent_id=agent_id,
        lifecycle=agent_class.declared_lifecycle(),
        log=log,
        redactor=redactor,
        guardian=guardian,
    )


def _learn_secrets(redactor: Redactor, environ: Mapping[str, str], log: Logger) -> None:
    """Make the secrets known before anything can fail whose message repeats one of them."""
    for name, value in environ.items():
        if name == "BAQUP_BUS_URL" or name.startswith(SECRET_PREFIX):
            learn = redactor.add_url if name == "BAQUP_BUS_URL" else redactor.add
            strong = learn(Secret(value))
            if not strong and value:
                log.warn(
                    "a secret is so short that it is hidden only where it stands as a word of "
                    "its own; choose a longer one",
                    variable=name,
                )


def _instance(agent_class: type[Agent], log: Logger) -> Agent:
    try:
        return agent_class()
    except Exception as error:  # noqa: BLE001  the author's code, which may raise anything
        refuse_to_run(
            log, f"{agent_class.__name__} could not be made: {describe(error)}", _traceback(error)
        )


def _where(run: RunContext) -> dict[str, str]:
    """What every record of the log says of the state."""
    state, substate = run.vitals.phase
    return {"state": str(state)} | ({"substate": substate} if substate is not None else {})


def _keep_time(run: RunContext) -> Stays:
    run.stays = Stays(run.lifecycle, partial(_limit_of, run))
    run.watchdog = Watchdog(
        on_expired=lambda limit: run.inbox.put(DeadlineExpired(limit)),
        on_overrun=lambda limit: leave_now(run, _stuck(run, limit)),
        clock=run.clock,
    )
    run.watchdog.keep(run.stays.enter(None, run.lifecycle.initial, run.clock.monotonic()))
    run.watchdog.start()
    return run.stays


def _limit_of(run: RunContext, state: State) -> tuple[float, float] | None:
    """How long a state may last, and how long its overrun, in seconds."""
    if state.final:
        grace_s = run.settings.bus.grace_period_s if run.settings is not None else 0
        return grace_s + _FINAL_S, 0.0
    if state.deadline is None:
        return None
    seconds = state.deadline.seconds or need(run.settings, "settings").job.timeout_s
    return seconds, _OVERRUN_S


def _stuck(run: RunContext, limit: Limit) -> BaqupError:
    if run.lifecycle.state(limit.state).final:
        return InternalError(f"the run is stuck in its final state {limit.state!r}")
    return outlasted(run.lifecycle, limit.state)


def _entered(run: RunContext, step: Step) -> None:
    """Note a transition everywhere that tells of the state, before the effects run."""
    leaf = run.lifecycle.state(step.target)
    run.vitals.enter(leaf.phase, leaf.leaf)
    run.vitals.intent = _intent_of(leaf)
    limits = need(run.stays, "stays").enter(step.source, step.target, step.monotonic_s)
    need(run.watchdog, "watchdog").keep(limits)
    if leaf.phase is not run.lifecycle.state(step.source).phase:
        _set_backstop(run, leaf.phase, limits)
        working = leaf.phase is AgentState.RUNNING
        run.tracing.stage(f"agent.{run.role}" if working else None, run.error)
    run.tracing.event(
        "transition",
        **{
            "baqup.trigger": step.trigger,
            "baqup.source": step.source,
            "baqup.target": step.target,
        },
    )
    if run.trace is not None:
        run.trace.write("step", **step.to_wire())
    run.log.info(f"{step.source} -> {step.target}", trigger=step.trigger)
    _beat(run)  # the controller learns of it now, not at the next beat


def _intent_of(leaf: State) -> Intent | None:
    if leaf.expected_duration_s is None:
        return None
    return Intent(leaf.leaf or leaf.name, leaf.expected_duration_s, leaf.description or None)


def _set_backstop(run: RunContext, phase: AgentState, limits: tuple[Limit, ...]) -> None:
    if phase is AgentState.RUNNING:
        whole = next(limit for limit in limits if limit.state == phase)
        backstop.arm(run, whole.due_s + whole.overrun_s - run.clock.monotonic())
    else:
        backstop.disarm(run)


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
