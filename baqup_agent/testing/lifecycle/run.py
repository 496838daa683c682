"""One whole run in memory: the real driver, effects, judge and staging, and no thread at all.

What stands in for the rest is deterministic: a planned inbox for signals, deadlines and the
author's code, and a bus that takes or refuses the status. The authors' own effects are not
called, since they would touch the world; in their place stand effects that note and can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from attrs import define, field

from baqup_agent.agent import Agent
from baqup_agent.bus.heartbeat import Vitals
from baqup_agent.config.settings import (
    AgentSettings,
    ArtifactSettings,
    BusSettings,
    JobSettings,
    Settings,
)
from baqup_agent.contract import ORPHAN_STATUS_NAME, Role, RunStatus
from baqup_agent.errors import BaqupError
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.job.job import Job
from baqup_agent.lifecycle.declaration import State
from baqup_agent.lifecycle.history import Step
from baqup_agent.lifecycle.machine import Effect, Machine
from baqup_agent.observability.logger import Logger
from baqup_agent.observability.redaction import Redactor
from baqup_agent.observability.sink import NullLog
from baqup_agent.runtime.context import RunContext
from baqup_agent.runtime.deadlines import Limit
from baqup_agent.runtime.driver import Driver
from baqup_agent.runtime.effects import ACTIONS, EFFECTS
from baqup_agent.runtime.failing import judge
from baqup_agent.runtime.guardian import Guardian
from baqup_agent.runtime.inbox import Inbox
from baqup_agent.runtime.stays import Stays
from baqup_agent.security.secret import Secret
from baqup_agent.staging.area import Staging
from baqup_agent.testing.clock import ManualClock
from baqup_agent.testing.lifecycle.inbox import Item, PlannedInbox
from baqup_agent.testing.lifecycle.model import FINAL_PHASES
from baqup_agent.testing.lifecycle.subject import Subject, Switchboard

_JOB_ID = "5c5bd1f4-3a53-4d2c-8d80-d7a6d5f1b6a1"


@define
class StatusBus:
    """Stands for the bus at the end of a run: takes the status, unless it is down."""

    down: bool = False
    statuses: list[dict[str, Any]] = field(factory=list)
    _waiting: list[dict[str, Any]] = field(factory=list)

    def status(self, **members: Any) -> None:
        """Take a status, to be delivered on the next `flush`."""
        self._waiting.append(members)

    def flush(self, _wait_s: float) -> bool:
        """Deliver what waits; return whether nothing does any more."""
        if not self.down:
            self.statuses += self._waiting
            self._waiting.clear()
        return not self._waiting

    def close(self) -> None:
        """Deliver nothing any more."""
        self.down = True

    def make_status(self, **members: Any) -> _Written:
        """Return a status as it is left on disk."""
        return _Written({"type": "status", **members})


@define
class _Written:
    members: dict[str, Any]

    def to_wire(self) -> dict[str, Any]:
        kept = ("type", "status", "exit_code")
        return {key: self.members[key] for key in kept}


@define
class Spot:
    """Where an error is raised: in an effect of the kit's.

    Attributes:
        kind: ``enter``, ``exit`` or ``action``.
        name: the state, or the trigger of an action.
        number: 0 before the runtime's own effects, 1 behind them.
        make: makes the exception.
    """

    kind: str
    name: str
    number: int
    make: Callable[[], BaseException]


class _Stand(Agent):
    """Stands for the author's class where only a lifecycle is tested."""

    name = "agent-under-test"
    version = "0"

    def snapshot(self, job: Job) -> None:
        """Do nothing: the plan says what the work does."""


@define
class Run:
    """One run of a subject.

    Attributes:
        subject: what is tested.
        plan: what happens.
        spot: where an effect fails, once.
        root: a directory for staging; None leaves staging out.
        bus_down: whether the bus is away from the beginning.
    """

    subject: Subject
    plan: Sequence[Item]
    spot: Spot | None = None
    root: Path | None = None
    bus_down: bool = False
    on_step: Callable[[Run], None] = field(default=lambda _: None)
    machine: Machine = field(init=False)
    context: RunContext = field(init=False)
    inbox: PlannedInbox = field(init=False)
    bus: StatusBus = field(init=False)
    passed: list[tuple[str, str, str]] = field(factory=list, init=False)
    spent: bool = field(default=False, init=False)
    _board: Switchboard = field(factory=Switchboard, init=False)
    _limits: tuple[Limit, ...] = field(default=(), init=False)

    def go(self) -> Run:
        """Drive it to its end."""
        self.bus = StatusBus(self.bus_down)
        self.inbox = PlannedInbox(
            self.plan, lambda: self._limits, self._set_outage, self._open_guards
        )
        self.context = self._context()
        self.machine = self._machine()
        stays = self._stays()
        Driver(
            machine=cast("Machine", _Noticed(self.machine, self.inbox)),
            inbox=cast("Inbox", self.inbox),
            lasts=stays.holds,
            judge=partial(judge, self.context),
            stop_work=self._stop_work,
            log=NullLog(),
        ).drive()
        if self.context.staging is not None:
            self.context.staging.close()
        return self

    @property
    def exit_code(self) -> int:
        """What the process would leave with."""
        return int(self.context.exit_code)

    @property
    def statuses(self) -> list[dict[str, Any]]:
        """Every status that anybody can see: delivered ones, and the one on disk."""
        return [*self.bus.statuses, *self._orphans()]

    @property
    def directory(self) -> Path | None:
        """The job's directory, where staging takes part."""
        return None if self.root is None else self.root / _JOB_ID

    def _orphans(self) -> list[dict[str, Any]]:
        import json

        path = self.context_dir / ORPHAN_STATUS_NAME
        return [json.loads(path.read_text())] if path.exists() else []

    @property
    def context_dir(self) -> Path:
        """Where an orphan would lie."""
        settings = self.context.settings
        return Path("/nonexistent") if settings is None else settings.staging_dir / _JOB_ID

    def _set_outage(self, down: bool) -> None:  # noqa: FBT001  the inbox's signature
        self.bus.down = down

    def _open_guards(self, agreeing: frozenset[int]) -> None:
        self._board.open = agreeing

    def _stop_work(self, error: BaqupError) -> None:
        self.context.error = error
        self.context.token.cancel(error)

    def _stays(self) -> Stays:
        stays = Stays(self.subject.lifecycle, _limit_of)
        self.context.stays = stays
        self._limits = stays.enter(None, self.subject.lifecycle.initial, 0.0)
        return stays

    def _entered(self, step: Step) -> None:
        stays = self.context.stays
        if stays is not None:
            self._limits = stays.enter(step.source, step.target, step.monotonic_s)
        self.passed.append((step.trigger, step.source, step.target))
        self.on_step(self)

    def _context(self) -> RunContext:
        agent = _Stand()
        context = RunContext(
            agent=agent,
            role=Role.SNAPSHOT,
            environ={},
            agent_id="agent-under-test-1",
            lifecycle=self.subject.lifecycle,
            log=cast("Logger", NullLog()),
            redactor=Redactor(),
            guardian=Guardian(),
            clock=ManualClock(),
        )
        context.bus = cast("Any", self.bus)
        return context

    def _machine(self) -> Machine:
        names = self.subject.model.names
        own = {"initializing": [self._make_parts], "running": [self._work]}
        own |= {phase: self._bound(EFFECTS, phase) for phase in FINAL_PHASES}
        actions = {trigger: self._actions(trigger) for trigger in self.subject.model.triggers}
        return self.subject.machine(
            self.subject.steered(self._board),
            {name: self._row("enter", name, own.get(name, [])) for name in names},
            exits={name: self._row("exit", name, []) for name in names},
            actions=actions,
            observer=self._entered,
            clock=self.context.clock,
        )

    def _actions(self, trigger: str) -> list[Effect]:
        own = self._bound(ACTIONS, trigger)
        if self.root is None:  # without staging there is nothing to publish, only to report
            own = own[-1:]
        return self._row("action", trigger, own)

    def _bound(self, table: Any, name: str) -> list[Effect]:
        return [partial(effect, self.context) for effect in table.get(name, ())]

    def _row(self, kind: str, name: str, own: Sequence[Effect]) -> list[Effect]:
        return [partial(self._may_fail, kind, name, 0), *own,
                partial(self._may_fail, kind, name, 1)]  # fmt: skip

    def _may_fail(self, kind: str, name: str, number: int) -> None:
        spot = self.spot
        if spot is None or self.spent or (spot.kind, spot.name, spot.number) != (kind, name, number):
            return
        self.spent = True
        raise spot.make()

    def _make_parts(self) -> None:
        """What `initializing` does, with nothing of it out of the process."""
        context = self.context
        context.settings = _settings(self.root)
        if self.root is not None:
            context.staging = Staging(
                self.root, _JOB_ID, context.settings.artifact, log=NullLog()
            )
            context.staging.prepare()
        context.job = _job(context)

    def _work(self) -> None:
        if self.context.staging is not None:
            with self.context.staging.artifact("data.bin") as out:
                out.write(b"what the author's code wrote")


class _Noticed:
    """The machine as the driver sees it: the inbox is told of triggers the driver fires itself."""

    def __init__(self, machine: Machine, inbox: PlannedInbox) -> None:
        self._machine = machine
        self._inbox = inbox

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)

    def fire(self, trigger: str, **payload: Any) -> None:
        """Fire a trigger, its guards answering as planned."""
        if trigger in {"start", "complete", "terminate"}:
            self._inbox.passed(trigger)
        self._machine.fire(trigger, **payload)


def _limit_of(state: State) -> tuple[float, float] | None:
    if state.deadline is None:
        return None
    return state.deadline.seconds or 3600.0, 0.0


def _settings(root: Path | None) -> Settings:
    return Settings(
        job=JobSettings(id=_JOB_ID),
        agent=AgentSettings(),
        artifact=ArtifactSettings(compression="none"),
        bus=BusSettings(url=Secret("file:///nowhere"), grace_period_s=0),
        staging_dir=root or Path("/nonexistent"),
    )


def _job(context: RunContext) -> Job:
    nothing: Any = None
    return Job(
        id=_JOB_ID,
        role=context.role,
        config=nothing,
        staging=cast("Staging", context.staging),
        log=NullLog(),
        cancellation=CancellationToken(),
        settings=cast("Settings", context.settings),
        progress=nothing,
        events=nothing,
        vitals=Vitals(),
        children=nothing,
    )


#: What a status says of a run that ended well.
SUCCESS = str(RunStatus.SUCCESS)
