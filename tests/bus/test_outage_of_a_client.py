"""What a client keeps, tells and replays when the bus is away (Contract §3)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from baqup_agent.bus import outbox
from baqup_agent.bus.client import BusClient
from baqup_agent.bus.encoding import decode_hash
from baqup_agent.bus.memory_transport import MemoryTransport
from baqup_agent.bus.outage import MessageRejected
from baqup_agent.bus.topology import Wire, key
from baqup_agent.config.settings import BusSettings
from baqup_agent.controller.embedded import EmbeddedServer
from baqup_agent.observability.redaction import Redactor
from baqup_agent.security.secret import Secret
from tests.bus.recording import RecordingLog
from tests.bus.samples import JOB, START, HandClock
from tests.waiting import eventually

Make = Callable[..., BusClient]


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture
def make(tmp_path: Path, log: RecordingLog) -> Iterator[Make]:
    """Makes clients on one fallback directory; they are closed at the end."""
    with ExitStack() as stack:

        def build(agent: str, url: str = "redis://h", **options: Any) -> BusClient:
            settings = BusSettings(
                url=Secret(url), fallback_dir=tmp_path / "buffer", reconnect_backoff="constant"
            )
            made = BusClient(settings, log, job_id=JOB, agent_id=agent, **options)
            stack.callback(made.close)
            return made

        yield build


def down() -> MemoryTransport:
    made = MemoryTransport()
    made.down = True
    return made


def tell(bus: BusClient, count: int, severity: str = "info", message: str = "m") -> None:
    for number in range(1, count + 1):
        bus.event("TOLD", severity=severity, message=message, count=number)


def end(bus: BusClient, exit_code: int = 0) -> None:
    bus.status(
        agent="agent-fs", role="snapshot", status="success",
        started_at=START, completed_at=START, exit_code=exit_code,
    )  # fmt: skip


def counts(messages: list[dict[str, Any]], code: str = "TOLD") -> list[int]:
    return [message["count"] for message in messages if message.get("code") == code]


def test_a_clients_successor_sends_what_it_left(make: Make, tmp_path: Path) -> None:
    """Events and the status, before its own; afterwards nothing is left on disk."""
    first = make("agent-1", transport=down())
    tell(first, 3)
    end(first)
    assert not first.flush(0)
    first.close()
    transport = MemoryTransport()
    second = make("agent-2", transport=transport)
    tell(second, 2)

    assert second.flush(5)
    second.close()
    assert [(m["agent_id"], m["type"]) for m in transport.messages] == [
        *[("agent-1", "event")] * 3,
        ("agent-1", "status"),
        *[("agent-2", "event")] * 2,
    ]
    assert list((tmp_path / "buffer").iterdir()) == []


def test_what_is_published_after_stopping_is_kept_for_a_replay(make: Make) -> None:
    """The status of an unreported run, with the code that its process ends with."""
    first = make("agent-1", transport=down())
    end(first)
    first.stop()
    end(first, exit_code=75)
    first.close()
    transport = MemoryTransport()
    second = make("agent-2", transport=transport)
    second.start()

    eventually(lambda: len(transport.messages) == 2)
    status = transport.latest("status", JOB)
    assert status is not None
    assert status["exit_code"] == 75


def test_nothing_is_taken_after_closing(make: Make) -> None:
    """It is counted, so that nobody believes it was kept."""
    bus = make("agent-1", transport=MemoryTransport())
    bus.close()
    tell(bus, 2)

    assert bus.dropped == 2


def test_events_that_were_given_up_are_told_when_the_bus_is_back(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one event, which says how many of which severity."""
    monkeypatch.setattr(
        "baqup_agent.bus.client.open_outbox",
        lambda *place, **options: outbox.open_outbox(*place, **options, limit_bytes=20_000),
    )
    transport = down()
    bus = make("agent-1", transport=transport)
    tell(bus, 200, "info")
    tell(bus, 200, "warn")
    kept = 400 - bus.dropped_events
    transport.down = False

    def told() -> list[dict[str, Any]]:
        return [m for m in transport.messages if m.get("code") == "EVENTS_DROPPED"]

    eventually(told)
    assert bus.flush(5)
    assert 0 < kept < 400
    assert len(counts(transport.messages)) == kept
    (message,) = told()
    assert message["count"] == 400 - kept == bus.dropped_events
    assert message["severity"] == "warn"
    infos = sum(m["severity"] == "info" for m in transport.messages)
    assert f"{200 - infos} info" in message["message"]


def test_an_unusable_fallback_directory_is_told_once_and_costs_nothing(
    make: Make, log: RecordingLog, tmp_path: Path
) -> None:
    """Messages of an outage are then kept in memory, and arrive all the same."""
    (tmp_path / "buffer").write_text("in the way")
    transport = down()
    bus = make("agent-1", transport=transport)
    tell(bus, 100)
    eventually(lambda: log.at("error"))
    transport.down = False

    assert bus.flush(5)
    assert counts(transport.messages) == list(range(1, 101))
    (reason,) = [context["reason"] for level, _, context in log.records if level == "error"]
    assert str(tmp_path / "buffer") in str(reason)


def test_no_secret_reaches_the_disk(make: Make, tmp_path: Path) -> None:
    """What waits for the bus was cleaned before it was written."""
    secret = 'p"w\\with/odd é signs'
    bus = make("agent-1", transport=down(), cleaner=Redactor([Secret(secret)]))
    tell(bus, 1, message=f"connecting with {secret} failed")
    tell(bus, 1, message="harmless")
    end(bus)

    files = [path for path in (tmp_path / "buffer").rglob("*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in files).decode()
    records = [json.loads(line[9:]) for line in content.splitlines() if '"type"' in line]
    assert [record.get("message") for record in records] == [
        "connecting with [REDACTED] failed",
        "harmless",
        None,
    ]
    assert json.dumps(secret)[1:-1] not in content


def test_a_second_process_with_a_clock_that_is_behind_loses_and_doubles_nothing(
    make: Make, redis_server: EmbeddedServer
) -> None:
    """Its ids begin above what the stream holds, also when all of it is sent again."""
    now, hour_ago = HandClock(), HandClock(moment=START - timedelta(hours=1))
    with Redis.from_url(redis_server.url) as admin:
        admin.delete(key("baqup:", "event", JOB))
    first = make("agent-1", redis_server.url, clock=now)
    tell(first, 1500)
    assert first.flush(20)
    second = make("agent-2", redis_server.url, clock=hour_ago)
    tell(second, 1500)
    assert second.flush(20)

    with Redis.from_url(redis_server.url, decode_responses=True) as admin:
        entries = admin.xrange(key("baqup:", "event", JOB))
        admin.delete(key("baqup:", "event", JOB))
    messages = [decode_hash("event", fields) for _, fields in entries]
    assert counts(messages) == [*range(1, 1501), *range(1, 1501)]
    assert [m["agent_id"] for m in messages] == ["agent-1"] * 1500 + ["agent-2"] * 1500


def live(make: Make, url: str, *agents: str) -> list[BusClient]:
    made = [make(agent, url) for agent in agents]
    for bus in made:
        assert bus.connect(10)
    return made


def stored(url: str) -> list[dict[str, Any]]:
    with Redis.from_url(url, decode_responses=True) as admin:
        entries = admin.xrange(key("baqup:", "event", JOB))
        admin.delete(key("baqup:", "event", JOB))
    return [decode_hash("event", fields) for _, fields in entries]


def test_two_live_agents_on_one_job_lose_and_double_nothing(
    make: Make, redis_server: EmbeddedServer
) -> None:
    """Each keeps its own order, whoever comes first."""
    buses = live(make, redis_server.url, "agent-1", "agent-2")
    for _ in range(10):
        for bus in buses:
            tell(bus, 100)
    assert all(bus.flush(30) for bus in buses)

    messages = stored(redis_server.url)
    for bus in buses:
        numbers = [m["seq"] for m in messages if m["agent_id"] == bus.agent_id]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == 1000


def test_an_outbox_whose_ids_are_decided_is_sent_below_what_others_wrote(
    make: Make, redis_server: EmbeddedServer, tmp_path: Path
) -> None:
    """Also when part of it is there already, and more than a thousand others came after that."""
    first = make("agent-1", redis_server.url, clock=HandClock())
    tell(first, 3)
    assert first.flush(10)
    first.stop()
    tell(first, 600)
    first.close()
    (other,) = live(make, redis_server.url, "agent-2")
    other.flush(0)
    tell(other, 1500)
    assert other.flush(30)

    messages = stored(redis_server.url)
    assert len(messages) == 3 + 600 + 1500
    numbers = [m["seq"] for m in messages if m["agent_id"] == "agent-1"]
    assert numbers == list(range(1, 604))


def test_a_status_is_not_hidden_by_one_from_a_clock_that_was_ahead(
    make: Make, redis_server: EmbeddedServer
) -> None:
    """The second attempt's success stands, not the failure of the first."""
    ahead = make("agent-1", redis_server.url, clock=HandClock(moment=START + timedelta(hours=1)))
    end(ahead, exit_code=75)
    assert ahead.flush(10)
    second = make("agent-2", redis_server.url, clock=HandClock())
    assert second.connect(10)
    end(second)

    assert second.flush(10)
    with Redis.from_url(redis_server.url, decode_responses=True) as admin:
        found = admin.hgetall(key("baqup:", "status", JOB))
        admin.delete(key("baqup:", "status", JOB))
    assert (found["agent_id"], found["exit_code"]) == ("agent-2", "0")


def test_a_status_that_the_bus_discards_is_not_taken_for_reported(make: Make) -> None:
    """Somebody else's is newer, so this one has to be left where it is found."""

    class Ahead(MemoryTransport):
        def send(self, message: Wire) -> bool:
            return message["type"] != "status" and super().send(message)

    bus = make("agent-1", transport=Ahead())
    end(bus)

    assert not bus.flush(5)


def test_a_damaged_outbox_of_a_dead_process_stops_nobody(
    make: Make, log: RecordingLog, tmp_path: Path
) -> None:
    """What can be read of it is sent, the rest is told, and the living agent reports."""
    dead = outbox.open_outbox(
        tmp_path / "buffer", job_id=JOB, agent_id="agent-0", key_prefix="baqup:"
    )
    for text in (
        '{"type":"event"}',
        '{"type":"event","job_id":"j" broken',
        '{"type":"event","x":' + "[" * 100_000,
    ):
        dead.append("event", "warn", text)
    dead.close()
    transport = MemoryTransport()
    bus = make("agent-1", transport=transport)
    tell(bus, 2)
    end(bus)

    assert bus.flush(10)
    assert counts(transport.messages) == [1, 2]
    assert transport.latest("status", JOB) is not None


def test_a_status_of_a_dead_process_that_is_refused_is_not_ours(make: Make, tmp_path: Path) -> None:
    """Our own arrived, and that is what a flush tells."""

    class Picky(MemoryTransport):
        def send(self, message: Wire) -> bool:
            if message["agent_id"] == "agent-1":
                raise MessageRejected("not this one")
            return super().send(message)

    first = make("agent-1", transport=down())
    end(first)
    first.close()
    second = make("agent-2", transport=Picky())
    end(second)

    assert second.flush(5)


def test_a_beat_does_not_wait_for_a_disk_that_hangs(make: Make) -> None:
    """Whoever writes an event may be stuck for long; the sign of life goes past it."""
    transport = MemoryTransport()
    bus = make("agent-1", transport=transport)
    assert bus.connect(5)
    with bus._order:  # as a thread that writes has it
        bus.heartbeat("running")

        eventually(lambda: transport.messages)


def test_events_that_were_given_up_are_told_before_the_status(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the bus comes back for the very end only."""
    monkeypatch.setattr(
        "baqup_agent.bus.client.open_outbox",
        lambda *place, **options: outbox.open_outbox(*place, **options, limit_bytes=20_000),
    )
    transport = down()
    bus = make("agent-1", transport=transport)
    tell(bus, 200, "warn")
    bus.tell_dropped()
    bus.tell_dropped()
    end(bus)
    transport.down = False

    assert bus.flush(5)
    assert [m.get("code") for m in transport.messages][-2:] == ["EVENTS_DROPPED", None]
    assert len([m for m in transport.messages if m.get("code") == "EVENTS_DROPPED"]) == 1


def test_a_thread_that_cannot_be_started_is_started_later(
    make: Make, log: RecordingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is raised into the job, and nothing is lost."""
    transport = MemoryTransport()
    bus = make("agent-1", transport=transport)
    with monkeypatch.context() as patch:

        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", refuse)
        tell(bus, 1)
    tell(bus, 1)

    assert bus.flush(5)
    assert counts(transport.messages) == [1, 1]
    assert log.at("error")
