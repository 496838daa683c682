"""One whole run in memory: the real driver, effects, judge and staging, and no thread at all.

What stands in for the rest is deterministic: a planned inbox for signals, deadlines and the
author's code, and a bus that takes or refuses the status. The authors' own effects are not
called, since they would touch the world; in their place stand effects that note and can fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, cast

from attrs import define, field, frozen

from baqup_agent.agent import Agent
from baqup_agent.config.settings import (
    AgentSettings,
    ArtifactSettings,
    BusSettings,
    JobSettings,
    Settings,
)
from baqup_agent.contract import MANIFEST_NAME, ORPHAN_STATUS_NAME, Role
from baqup_agent.errors import BaqupError
from baqup_agent.job.components import Components
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
from baqup_agent.staging.verification import verify
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

    dropped_events: ClassVar[int] = 0

    def status(self, **members: Any) -> _Written:
        """Take a status, to be delivered on the next `flush`."""
        self._waiting.append(members)
        return _Written({"type": "status", **members})

    def tell_dropped(self) -> None:
        """Do nothing: there are no events here."""

    def flush(self, _wait_s: float) -> bool:
        """Deliver what waits; return whether nothing does any more."""
        if not self.down:
            self.statuses += self._waiting
            self._waiting.clear()
        return not self._waiting

    def stop(self) -> None:
        """Deliver nothing any more."""
        self.down = True


@define
class _Written:
    members: dict[str, Any]

    def to_wire(self) -> dict[str, Any]:
        kept = ("type", "status", "exit_code")
        return {key: self.members[key] for key in kept}


@frozen
class Spot:
    """A place between two effects of a run, where an error can be raised.

    Attributes:
        kind: ``enter``, ``exit`` or ``action``.
        name: the state, or the trigger of an action.
        number: how many of the runtime's own effects of that row come before it.
    """

    kind: str
    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}-{self.number}"


@frozen
class Passage:
    """A spot that a run came by, and how things stood.

    Attributes:
        spot: which.
        final: whether the run had ended already.
        published: whether the manifest was visible.
        reported: whether a status was out.
    """

    spot: Spot
    final: bool
    published: bool
    reported: bool


@frozen
class Outcome:
    """What became of a run, as a controller sees it, and what it came by.

    Attributes:
        exit_code: what the process would leave with.
        state: where the machine ended.
        steps: trigger, source and target of every transition.
        statuses: every status that was delivered or lies on disk.
        manifest: whether one was visible at the end.
        broken: each invariant that did not hold on the way, in words.
        passages: the spots it came by, in order.
        events: what the driver was told, in order.
        machine: the machine itself.
    """

    exit_code: int
    state: str
    steps: tuple[tuple[str, str, str], ...]
    statuses: tuple[dict[str, Any], ...]
    manifest: bool
    broken: tuple[str, ...]
    passages: tuple[Passage, ...]
    events: tuple[str, ...]
    machine: Machine


class _Stand(Agent):
    """Stands for the author's class, whose code a plan replaces."""

    name = "agent-under-test"
    version = "0"

    def snapshot(self, job: Job) -> None:
        """Do nothing: the plan says what the work does."""


@define
class _JobParts:
    """What the end of a run asks the job for."""

    id: str = _JOB_ID
    components: Components = field(factory=Components)
    source_metadata: dict[str, Any] = field(factory=dict)


@define
class _Run:
    """One run on its way."""

    subject: Subject
    plan: Sequence[Item]
    fault: tuple[Spot, Callable[[], BaseException]] | None
    root: Path
    staged: bool
    bus: StatusBus
    machine: Machine = field(init=False)
    context: RunContext = field(init=False)
    inbox: PlannedInbox = field(init=False)
    steps: list[tuple[str, str, str]] = field(factory=list, init=False)
    passages: list[Passage] = field(factory=list, init=False)
    broken: list[str] = field(factory=list, init=False)
    _board: Switchboard = field(factory=Switchboard, init=False)
    _limits: tuple[Limit, ...] = field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        self.inbox = PlannedInbox(
            self.plan, lambda: self._limits, self._set_outage, self._open_guards
        )
        self.context = _context(self.subject, self.bus)
        self.machine = self._machine()

    def drive(self) -> None:
        stays = Stays(self.subject.lifecycle, _limit_of)
        self.context.stays = stays
        self._limits = stays.enter(None, self.subject.lifecycle.initial, 0.0)
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

    def outcome(self) -> Outcome:
        orphan = self.root / _JOB_ID / ORPHAN_STATUS_NAME
        on_disk = [json.loads(orphan.read_text())] if orphan.exists() else []
        self._look_at_the_manifest()
        return Outcome(
            exit_code=int(self.context.exit_code),
            state=self.machine.state,
            steps=tuple(self.steps),
            statuses=(*self.bus.statuses, *on_disk),
            manifest=(self.root / _JOB_ID / MANIFEST_NAME).exists(),
            broken=tuple(self.broken),
            passages=tuple(self.passages),
            events=tuple(self.inbox.delivered),
            machine=self.machine,
        )

    def _set_outage(self, down: bool) -> None:  # noqa: FBT001  the inbox's signature
        self.bus.down = down

    def _open_guards(self, agreeing: frozenset[int]) -> None:
        self._board.open = agreeing

    def _stop_work(self, error: BaqupError) -> None:
        self.context.error = error
        self.context.token.cancel(error)

    def _entered(self, step: Step) -> None:
        if self.context.stays is not None:
            self._limits = self.context.stays.enter(step.source, step.target, step.monotonic_s)
        self.steps.append((step.trigger, step.source, step.target))

    def _machine(self) -> Machine:
        model = self.subject.model
        own: dict[str, list[Effect]] = {
            "initializing": [self._make_parts],
            "running": [self._work],
            **{phase: self._bound(EFFECTS, phase) for phase in FINAL_PHASES},
        }
        return self.subject.machine(
            self.subject.steered(self._board),
            {name: self._row("enter", name, own.get(name, [])) for name in model.names},
            exits={name: self._row("exit", name, []) for name in model.names},
            actions={name: self._row("action", name, self._acts(name)) for name in model.triggers},
            observer=self._entered,
            clock=self.context.clock,
        )

    def _acts(self, trigger: str) -> list[Effect]:
        own = self._bound(ACTIONS, trigger)
        return own if self.staged else own[-1:]  # without staging all there is to do is report

    def _bound(self, table: Any, name: str) -> list[Effect]:
        return [partial(effect, self.context) for effect in table.get(name, ())]

    def _row(self, kind: str, name: str, own: Sequence[Effect]) -> list[Effect]:
        row: list[Effect] = [partial(self._pass, Spot(kind, name, 0))]
        for number, effect in enumerate(own, start=1):
            row += [effect, partial(self._pass, Spot(kind, name, number))]
        return row

    def _pass(self, spot: Spot) -> None:
        context = self.context
        self.passages.append(Passage(spot, self.machine.final, context.published, context.reported))
        self._look_at_the_manifest()
        if self.fault is not None and self.fault[0] == spot:
            make, self.fault = self.fault[1], None
            raise make()

    def _look_at_the_manifest(self) -> None:
        directory = self.root / _JOB_ID
        if (directory / MANIFEST_NAME).exists():
            self.broken += [f"manifest visible, but {each}" for each in verify(directory).problems]

    def _make_parts(self) -> None:
        """What `initializing` does, with nothing of it out of the process."""
        context = self.context
        context.settings = _settings(self.root)
        context.job = cast("Job", _JobParts())
        if self.staged:
            settings = context.settings.artifact
            context.staging = Staging(self.root, _JOB_ID, settings, log=NullLog())
            context.staging.prepare()

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


def run(
    subject: Subject,
    plan: Sequence[Item],
    *,
    fault: tuple[Spot, Callable[[], BaseException]] | None = None,
    staged: bool = False,
) -> Outcome:
    """Drive one run to its end.

    Args:
        subject: what is tested.
        plan: what happens, in order: the triggers, and what comes between them.
        fault: where an effect fails, the first time it is come by, and the error it raises.
        staged: whether artifacts are written and published in a real staging area.
    """
    with TemporaryDirectory(prefix="lifecycle-") as root:
        one = _Run(subject, plan, fault, Path(root), staged, StatusBus())
        one.drive()
        return one.outcome()


def _context(subject: Subject, bus: StatusBus) -> RunContext:
    context = RunContext(
        agent=_Stand(),
        role=Role.SNAPSHOT,
        environ={},
        agent_id="agent-under-test-1",
        lifecycle=subject.lifecycle,
        log=cast("Logger", NullLog()),
        redactor=Redactor(),
        guardian=Guardian(),
        clock=ManualClock(),
    )
    context.bus = cast("Any", bus)
    return context


def _limit_of(state: State) -> tuple[float, float] | None:
    if state.deadline is None:
        return None
    return state.deadline.seconds or 3600.0, 0.0


def _settings(root: Path) -> Settings:
    return Settings(
        job=JobSettings(id=_JOB_ID),
        agent=AgentSettings(),
        artifact=ArtifactSettings(compression="none"),
        bus=BusSettings(url=Secret("file:///nowhere"), grace_period_s=0),
        staging_dir=root,
    )
