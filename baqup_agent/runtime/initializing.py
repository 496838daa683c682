"""Effects of ``initializing``: configuration validated, bus connected, first beat (Contract §1)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from baqup_agent.bus.client import BusClient
from baqup_agent.bus.events import EventLog
from baqup_agent.bus.heartbeat import HeartbeatThread
from baqup_agent.clock import timestamp
from baqup_agent.config.load import environment_for_children
from baqup_agent.config.settings import BusSettings, Settings
from baqup_agent.config.structure import bus_settings_of, settings_of
from baqup_agent.contract import HEARTBEAT_TTL_S
from baqup_agent.errors import BusRefused, ConfigError
from baqup_agent.job.configuration import Configuration
from baqup_agent.job.job import Job
from baqup_agent.job.process import ChildProcesses
from baqup_agent.job.progress import Progress
from baqup_agent.job.triggers import LiveTriggers
from baqup_agent.observability.tracing import Tracing, start_tracing
from baqup_agent.runtime.configuring import read
from baqup_agent.runtime.context import RunContext
from baqup_agent.runtime.firing import ask_driver
from baqup_agent.runtime.needs import need
from baqup_agent.runtime.resources import compression_workers, parallelism, warn_of_root
from baqup_agent.runtime.trace import TRACE_VERSION, Trace
from baqup_agent.security.secret import Secret
from baqup_agent.staging.area import Staging

#: Longest wait for the verdict of the first connection, seconds; a bus that has given none by
#: then is treated as absent, and an absent bus is no reason to fail.
CONNECT_WAIT_S = 5.0


def configure(run: RunContext) -> None:
    """Read the environment; everything else depends on it.

    Raises:
        ConfigError: all that is wrong with it. A bus that is configured rightly is connected
            all the same, so that the failure can be reported.
    """
    loaded = read(type(run.agent), run.role, run.environ)
    for name, value in loaded.values.items():
        if isinstance(value, Secret):
            learn = run.redactor.add_url if name == "BAQUP_BUS_URL" else run.redactor.add
            learn(value)
    _adjust_log(run, loaded.values)
    for warning in loaded.warnings:
        run.log.warn(warning)
    if loaded.problems:
        _connect_for_the_report(run, loaded.values)
        raise ConfigError(*loaded.problems)
    run.settings = settings_of(loaded.values)
    run.config = Configuration(loaded.values)
    run.tracing = _tracing(run, run.settings)
    warn_of_root(run.log)
    if run.settings.agent.trace_file is not None:
        run.trace = _begun_trace(run, run.settings.agent.trace_file)
    run.log.info(
        "configuration read", role=run.role.value, agent=run.agent.name, version=run.agent.version
    )


def connect_bus(run: RunContext) -> None:
    """Begin to report; the first beat is queued before the connection stands.

    Raises:
        BusRefused: the bus refused the credentials. An absent bus is an outage, not a failure.
    """
    settings = need(run.settings, "settings")
    run.bus = _client(run, settings.bus, settings.job.id)
    run.events = EventLog(run.bus, run.clock)
    run.progress = Progress(run.bus.progress, run.clock)
    run.heartbeat = HeartbeatThread(
        run.bus,
        run.agent_id,
        settings.agent.heartbeat_interval_s,
        run.log.bind("heartbeat"),
        vitals=run.vitals,
        clock=run.clock,
    )
    if 3 * settings.agent.heartbeat_interval_s > HEARTBEAT_TTL_S:
        run.log.warn(
            "beats are so rare that the controller will presume the agent dead between them; "
            f"set BAQUP_AGENT_HEARTBEAT_INTERVAL to {HEARTBEAT_TTL_S // 3} or less"
        )
    run.bus.on_reconnect(run.heartbeat.beat_now)
    run.heartbeat.start()
    if not run.bus.connect(CONNECT_WAIT_S):
        run.log.warn("the bus is not there; the job goes on and reports later")


def prepare_staging(run: RunContext) -> None:
    """Make the job's directories, and refuse what cannot be published later."""
    settings, events = need(run.settings, "settings"), need(run.events, "events")

    def tell_fallback(asked: str, used: str) -> None:
        events.add("COMPRESSION_FALLBACK", message=f"{asked} is not available, {used} is used")

    run.children = ChildProcesses(
        run.token, environment_for_children, run.redactor.text, run.redactor.betrays
    )
    run.staging = Staging(
        settings.staging_dir,
        settings.job.id,
        settings.artifact,
        log=run.log,
        check=run.token.check,
        on_fallback=tell_fallback,
        betrays=run.redactor.betrays,
        tracing=run.tracing,
        workers=compression_workers(settings.agent),
        runner=run.children.run,
    )
    run.staging.prepare()


def make_job(run: RunContext) -> None:
    """Put together what the author's code is handed."""
    settings = need(run.settings, "settings")
    run.job = Job(
        id=settings.job.id,
        role=run.role,
        config=need(run.config, "config"),
        staging=need(run.staging, "staging"),
        log=run.log.bind(run.agent.name),
        cancellation=run.token,
        settings=settings,
        progress=need(run.progress, "progress"),
        events=need(run.events, "events"),
        vitals=run.vitals,
        children=need(run.children, "children"),
        triggers=LiveTriggers(
            run.lifecycle.custom_triggers, partial(ask_driver, run.inbox, run.token)
        ),
        beat=need(run.heartbeat, "heartbeat").beat_now,
        clock=run.clock,
        tracing=run.tracing,
        parallelism=parallelism(settings.agent),
    )


def _tracing(run: RunContext, settings: Settings) -> Tracing:
    agent = settings.agent
    return start_tracing(
        enabled=agent.tracing_enabled,
        endpoint=agent.tracing_endpoint,
        trace_parent=settings.job.trace_parent,
        resource={
            "service.name": run.agent.name,
            "service.version": run.agent.version,
            "service.instance.id": run.agent_id,
            "baqup.job.id": settings.job.id,
            "baqup.agent.id": run.agent_id,
            "baqup.role": run.role.value,
        },
        log=run.log.bind("tracing"),
        clean=run.redactor.text,
        started_at=run.started_at,
        clock=run.clock,
    )


def _begun_trace(run: RunContext, path: Path) -> Trace:
    from baqup_agent.lifecycle.formats import to_json  # only runs that are traced need it

    trace = Trace(path, run.log)
    trace.write(
        "begin",
        version=TRACE_VERSION,
        job_id=need(run.settings, "settings").job.id,
        agent=run.agent.name,
        agent_id=run.agent_id,
        role=run.role.value,
        initial=run.lifecycle.initial,
        timestamp=timestamp(run.started_at),
        monotonic_s=run.started_s,
        lifecycle=to_json(run.lifecycle, sketch=True),
    )
    return trace


def _client(run: RunContext, settings: BusSettings, job_id: str) -> BusClient:
    return BusClient(
        settings,
        run.log,
        job_id=job_id,
        agent_id=run.agent_id,
        clock=run.clock,
        cleaner=run.redactor,
    )


def _connect_for_the_report(run: RunContext, values: Mapping[str, Any]) -> None:
    if "BAQUP_JOB_ID" not in values or "BAQUP_BUS_URL" not in values:
        return
    with contextlib.suppress(BusRefused):  # then it is among the problems
        run.bus = _client(run, bus_settings_of(values), values["BAQUP_JOB_ID"])
        run.bus.start()


def _adjust_log(run: RunContext, values: Mapping[str, Any]) -> None:
    """Log as configured, as far as the configuration can be read."""
    run.redactor.sanitize = values.get("BAQUP_AGENT_LOG_SANITIZE", "moderate")
    run.log.adjust(
        job_id=values.get("BAQUP_JOB_ID", ""),
        level=values.get("BAQUP_AGENT_LOG_LEVEL", "info"),
        format=values.get("BAQUP_AGENT_LOG_FORMAT", "json"),
    )
