"""Jobs of agent-fs without a process around them, made of the SDK's own parts."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from baqup_agent.agents.fs import FsAgent
from baqup_agent.agents.fs.leaves import LIFECYCLE, Leaves
from baqup_agent.agents.fs.restore import restore
from baqup_agent.agents.fs.snapshot import snapshot
from baqup_agent.bus.events import EventLog
from baqup_agent.bus.heartbeat import Vitals
from baqup_agent.bus.messages import Intent
from baqup_agent.clock import SystemClock, timestamp
from baqup_agent.config.declaration import default_of
from baqup_agent.config.settings import (
    AgentSettings,
    ArtifactSettings,
    BusSettings,
    JobSettings,
    Settings,
)
from baqup_agent.contract import Role
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.job.configuration import Configuration
from baqup_agent.job.job import Job
from baqup_agent.job.process import ChildProcesses
from baqup_agent.job.progress import Progress
from baqup_agent.job.triggers import LiveTriggers
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.observability.sink import NullLog
from baqup_agent.security.secret import Secret
from baqup_agent.staging.area import Staging
from baqup_agent.staging.manifest import Manifest

DEFAULTS = {
    name: default_of(variable)
    for name, variable in FsAgent.declaration().variables.items()
    if variable.default is not None
}


class Ear:
    """Hears events as the bus would."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def event(self, code: str, **members: Any) -> None:
        self.events.append({"code": code, **members})

    def on_tick(self, tick: object) -> None:
        """Time does not pass here; the events are flushed at the end."""


class Run:
    """One job: what it was made of and what became of it."""

    def __init__(self, role: Role, staging_dir: Path, variables: dict[str, Any]) -> None:
        self.ear = Ear()
        self.progress: list[dict[str, Any]] = []
        self.token = CancellationToken()
        self.events = EventLog(self.ear)
        settings = Settings(
            job=JobSettings(id=str(uuid.uuid4())),
            agent=AgentSettings(),
            artifact=ArtifactSettings(compression="none"),
            bus=BusSettings(url=Secret("file:///unused")),
            staging_dir=staging_dir,
        )
        self.staging = Staging(staging_dir, settings.job.id, settings.artifact, log=NullLog())
        self.machine = Machine(LIFECYCLE)
        self.machine.fire("start")
        self.vitals = Vitals()
        self.intents: list[Intent] = []
        self.job: Job[Leaves] = Job(
            id=settings.job.id,
            role=role,
            config=Configuration({**DEFAULTS, "BAQUP_STAGING_DIR": staging_dir, **variables}),
            staging=self.staging,
            log=NullLog(),
            cancellation=self.token,
            settings=settings,
            progress=Progress(lambda **members: self.progress.append(members), SystemClock()),
            events=self.events,
            vitals=self.vitals,
            children=ChildProcesses(self.token, dict),
            triggers=LiveTriggers(
                LIFECYCLE.custom_triggers, lambda name, _payload: self.machine.fire(name)
            ),
            beat=self._beat,
        )

    def _beat(self) -> None:
        if self.vitals.intent is not None:
            self.intents.append(self.vitals.intent)

    def leaves(self) -> list[str]:
        """Return the leaves that were entered, in order."""
        return [step.target for step in self.machine.history]

    def codes(self) -> dict[str, int]:
        """Return how often each event occurred."""
        self.events.flush()
        return {event["code"]: event["count"] for event in self.ear.events}

    def paths(self, code: str) -> list[str]:
        """Return the sample paths of an event."""
        self.events.flush()
        (*_, last) = [event for event in self.ear.events if event["code"] == code]
        return list(last["sample_paths"])


class Jobs:
    """Runs jobs over one staging root."""

    def __init__(self, staging_dir: Path) -> None:
        self.staging_dir = staging_dir
        self.last: Run

    def snapshot(self, source: Path, **variables: Any) -> Path:
        """Back a directory up; returns the published directory."""
        run = self.last = self._run(
            Role.SNAPSHOT, {"BAQUP_SOURCE_PATH": source, **_prefixed(variables)}
        )
        run.staging.prepare()
        try:
            snapshot(run.job)
            run.machine.fire("complete")
            manifest = Manifest(
                job_id=run.job.id,
                agent="agent-fs",
                role=Role.SNAPSHOT,
                created_at=timestamp(SystemClock().now()),
                artifacts=run.staging.artifacts,
                source_metadata=run.job.source_metadata,
            )
            return run.staging.publish(manifest)
        finally:
            run.staging.close()

    def restore(self, published: Path, target: Path, **variables: Any) -> None:
        """Bring a published directory back."""
        places = {"BAQUP_SOURCE_PATH": published, "BAQUP_TARGET_PATH": target}
        run = self.last = self._run(Role.RESTORE, {**places, **_prefixed(variables)})
        restore(run.job)

    def _run(self, role: Role, variables: dict[str, Any]) -> Run:
        self.staging_dir.mkdir(exist_ok=True)
        return Run(role, self.staging_dir, variables)


def _prefixed(variables: dict[str, Any]) -> dict[str, Any]:
    return {f"BAQUP_SOURCE_{name.upper()}": value for name, value in variables.items()}
