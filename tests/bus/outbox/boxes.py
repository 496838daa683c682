"""Outboxes for tests, and what becomes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from baqup_agent.bus.outbox import Outbox, Record, Sizes, adopt, open_outbox
from tests.bus.samples import AGENT, JOB

#: Measures at which everything happens within a few records.
SMALL = Sizes(
    segment_bytes=1000, idle_bytes=400, cached_bytes=600, cached_records=4, chunk_bytes=300
)


def box(root: Path, agent: str = AGENT, **more: Any) -> Outbox:
    """Open an outbox that is on disk."""
    outbox = open_outbox(root, job_id=JOB, agent_id=agent, key_prefix="baqup:", **more)
    assert outbox.degraded is None
    return outbox


def crash(outbox: Outbox) -> None:
    """Do what the kernel does when a process is killed: close its files."""
    assert outbox._disk is not None
    outbox._disk.close(remove=False)


def heir(root: Path) -> Outbox:
    """Adopt the one outbox that a dead process left."""
    (adopted,) = adopt(root, JOB, "the-heir")
    return adopted


def said(kind: str, seq: Any, **more: Any) -> str:
    """The JSON of a short message."""
    stamp = {"job_id": "j", "agent_id": "a", "timestamp": "2026-03-01T12:00:00.250000Z"}
    return json.dumps({"type": kind, **stamp, "seq": seq, **more}, separators=(",", ":"))


def message(number: int, *, kind: str = "event", length: int = 130) -> str:
    """A message of a certain length that tells its number."""
    text = said(kind, number, fill="")
    return text.replace('""', '"' + "x" * (length - len(text)) + '"')


def fill(outbox: Outbox, numbers: range) -> None:
    """Append an event for each number."""
    for number in numbers:
        assert outbox.append("event", "error", message(number))


def everything(outbox: Outbox) -> list[Record]:
    """Read all that is left, in small portions."""
    records: list[Record] = []
    while piece := outbox.read(7, 400):
        records += piece
    return records


def numbers(records: list[Record]) -> list[int]:
    """The numbers that messages tell."""
    return [json.loads(record.text)["seq"] for record in records]


def segments(root: Path, agent: str = AGENT) -> list[str]:
    """The names of an outbox's segments."""
    return sorted(path.name for path in (root / JOB / agent).glob("*.jsonl"))
