"""What a run knows and owns; parts come into being as the lifecycle goes on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime

from attrs import Factory, define, field

from baqup_agent.agent import Agent
from baqup_agent.bus.client import BusClient
from baqup_agent.bus.events import EventLog
from baqup_agent.bus.heartbeat import HeartbeatThread, Vitals
from baqup_agent.clock import Clock, SystemClock
from baqup_agent.config.settings import Settings
from baqup_agent.contract import ExitCode, Role, RunStatus
from baqup_agent.errors import BaqupError
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.job.configuration import Configuration
from baqup_agent.job.job import Job
from baqup_agent.job.process import ChildProcesses
from baqup_agent.job.progress import Progress
from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.observability.logger import Logger
from baqup_agent.observability.redaction import Redactor
from baqup_agent.observability.tracing import Tracing
from baqup_agent.runtime.deadlines import Watchdog
from baqup_agent.runtime.driver import Worker
from baqup_agent.runtime.guardian import Guardian
from baqup_agent.runtime.inbox import Inbox
from baqup_agent.runtime.stays import Stays
from baqup_agent.runtime.trace import Trace
from baqup_agent.staging.area import Staging
from baqup_agent.staging.manifest import Manifest


@define
class RunContext:
    """One run: given at the start, then filled by the effects of ``initializing``.

    Attributes:
        agent: the author's object.
        role: what is asked for.
        environ: the environment that configures the job.
        inbox: the events for the driver.
        lifecycle: what the agent's class declares.
        log: the run's logger; with the contract's defaults until the configuration is read.
        redactor: cleans all that leaves the process.
        error: what the run fails of; set before ``failed`` is entered.
        status: the outcome as it was reported; failed until then.
        reported: whether a status has been delivered or written; there is only one.
        stays: which states last, and until when they may.
        leaving: taken by whichever thread leaves the process.
    """

    agent: Agent
    role: Role
    environ: Mapping[str, str]
    agent_id: str
    lifecycle: Lifecycle
    log: Logger
    redactor: Redactor
    guardian: Guardian
    inbox: Inbox = field(factory=Inbox)
    clock: Clock = field(factory=SystemClock)
    vitals: Vitals = field(factory=Vitals)
    token: CancellationToken = field(factory=CancellationToken)
    started_at: datetime = field(default=Factory(lambda run: run.clock.now(), takes_self=True))
    started_s: float = field(default=Factory(lambda run: run.clock.monotonic(), takes_self=True))

    settings: Settings | None = None
    config: Configuration | None = None
    watchdog: Watchdog | None = None
    bus: BusClient | None = None
    heartbeat: HeartbeatThread | None = None
    events: EventLog | None = None
    progress: Progress | None = None
    staging: Staging | None = None
    children: ChildProcesses | None = None
    job: Job | None = None
    worker: Worker | None = None
    manifest: Manifest | None = None
    error: BaqupError | None = None
    status: RunStatus = RunStatus.FAILED
    reported: bool = False
    stays: Stays | None = None
    trace: Trace | None = None
    tracing: Tracing = field(factory=Tracing)
    leaving: threading.Lock = field(factory=threading.Lock)

    @property
    def exit_code(self) -> ExitCode:
        """The code that the process leaves with, as things stand."""
        return ExitCode.SUCCESS if self.error is None else self.error.exit_code

    @property
    def published(self) -> bool:
        """Whether the manifest is visible to the controller."""
        return self.staging is not None and self.staging.published
