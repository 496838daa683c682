"""Messages to send, and a clock that tells what a test wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import define

from baqup_agent.bus.messages import Event, Heartbeat, Intent, Progress, Stamp, Status
from baqup_agent.contract import AgentState

JOB = "8c5ea2ac-94c2-4c7e-9d4c-5f2d4cbb2a11"
AGENT = "agent-fs-7f8a9b"
FILE = {"path": "data.tar.zst", "size_bytes": 5, "checksum_sha256": 64 * "a"}
START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@define
class HandClock:
    """Both times stand still until they are moved."""

    seconds: float = 1000.0
    moment: datetime = START

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.moment += timedelta(seconds=seconds)


def stamp(seq: int, *, at_s: float | None = None, agent: str = AGENT, job: str = JOB) -> Stamp:
    """The stamp number ``seq``, made ``at_s`` seconds (by default ``seq``) after START."""
    return Stamp(job, agent, START + timedelta(seconds=seq if at_s is None else at_s), seq)


def heartbeat(made: Stamp, *, full: bool = False) -> Heartbeat:
    if not full:
        return Heartbeat(made, AgentState.RUNNING)
    intent = Intent("checksum_large_file", 120, "/data/größe.img")
    return Heartbeat(
        made, AgentState.COMPLETING, "completing.sealing", intent, "2026-03-01T12:00:00.000000Z"
    )


def progress(made: Stamp, *, full: bool = False) -> Progress:
    if not full:
        return Progress(made)
    return Progress(made, 12.5, 2**40, 17, "/data/naïve file\n.txt", 3.25)


def event(made: Stamp, *, code: str = "FILE_CHANGED", severity: str = "warn") -> Event:
    return Event(
        made,
        code=code,
        severity=severity,
        message="changed while it was read",
        first_occurrence=START,
        last_occurrence=made.moment,
        count=made.seq,
        sample_paths=["/data/a", "/data/b c"],
    )


def status(made: Stamp, *, failed: bool = False) -> Status:
    error = {
        "code": "IO_ERROR",
        "category": "transient",
        "retriable": True,
        "message": "cannot read /data",
        "attempts": [],
        "root_cause": {"code": "EIO", "message": "OSError: I/O error"},
        "cascading_effects": [],
        "suggestions": ["check the disk"],
    }
    return Status(
        made,
        agent="agent-fs",
        agent_version="1.0.0",
        role="snapshot",
        status="failed" if failed else "success",
        started_at=START,
        completed_at=made.moment,
        exit_code=74 if failed else 0,
        files=[] if failed else [FILE],
        metrics={"duration_seconds": 1.5, "bytes_processed": 10, "files_processed": 2},
        warnings_summary={"FILE_CHANGED": 3},
        error=error if failed else None,
    )
