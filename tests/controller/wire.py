"""Messages as agents write them, and the agents' side of a bus."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.url import RedisUrl, parse_bus_url
from baqup_agent.clock import SystemClock, timestamp
from baqup_agent.controller import BusMessage, BusReader
from tests.controller.runs import JOB_ID, until

#: Where the made-up times begin.
START = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)


def at(seconds: float) -> str:
    """The timestamp so many seconds after START."""
    return timestamp(START + timedelta(seconds=seconds))


def message(
    kind: str, seq: int, job_id: str = JOB_ID, agent_id: str = "agent-x-1", **members: Any
) -> dict[str, Any]:
    """A message made now."""
    head = {"type": kind, "job_id": job_id, "agent_id": agent_id, "seq": seq}
    return {**head, "timestamp": timestamp(SystemClock().now()), **members}


def event(seq: int, **members: Any) -> dict[str, Any]:
    body = {"code": "FILE_CHANGED", "count": seq, "sample_paths": ["./a"]}
    return message("event", seq, **{**body, **members})


def line(wire: dict[str, Any]) -> bytes:
    return json.dumps(wire).encode() + b"\n"


def seqs(messages: Iterable[BusMessage]) -> list[int | None]:
    return [message.seq for message in messages]


class Bus:
    """The agent's side: the transport that agents use, on the same server."""

    def __init__(self, url: str, prefix: str) -> None:
        self.url = url
        self.prefix = prefix
        parsed = parse_bus_url(url)
        assert isinstance(parsed, RedisUrl)
        self.transport = RedisTransport(parsed, prefix)
        self.transport.connect()

    def send(self, *messages: dict[str, Any]) -> None:
        for one in messages:
            self.transport.send(one)

    def reader(self, **options: Any) -> BusReader:
        return BusReader(self.url, key_prefix=self.prefix, **options)

    def key(self, rest: str) -> str:
        return f"{self.prefix}{rest}"


def collected(reader: BusReader, number: int) -> list[BusMessage]:
    """Wait for so many messages at least."""
    found: list[BusMessage] = []
    until(lambda: found.extend(reader.poll(0.05)) or len(found) >= number, f"{number} messages")
    return found
