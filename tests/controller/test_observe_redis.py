"""Watching a job on a real server: notifications, stored messages, and every kind of trouble."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.url import RedisUrl, parse_bus_url
from baqup_agent.clock import SystemClock, timestamp
from baqup_agent.controller.observe import open_observer
from baqup_agent.controller.observe_redis import RedisObserver
from tests.controller.runs import JOB_ID, until

redis = pytest.importorskip("redis")


def message(kind: str, seq: int, job_id: str = JOB_ID, **members: Any) -> dict[str, Any]:
    head = {"type": kind, "job_id": job_id, "agent_id": "agent-x-1", "seq": seq}
    return {**head, "timestamp": timestamp(SystemClock().now()), **members}


def event(seq: int, **members: Any) -> dict[str, Any]:
    return message("event", seq, code="FILE_CHANGED", count=seq, sample_paths=["./a"], **members)


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

    def observer(self) -> RedisObserver:
        observer = open_observer(self.url, key_prefix=self.prefix, job_id=JOB_ID)
        assert isinstance(observer, RedisObserver)
        return observer


@pytest.fixture
def bus(redis_server, key_prefix):
    bus = Bus(redis_server.url, key_prefix)
    yield bus
    bus.transport.close()


@pytest.fixture
def observer(bus):
    observer = bus.observer()
    observer.start()
    yield observer
    observer.close()
    until(lambda: not observer._thread.is_alive(), "the observer's thread")


def collected(observer, number: int) -> list[dict[str, Any]]:
    found: list[Any] = []
    until(lambda: found.extend(observer.poll()) or len(found) >= number, f"{number} messages")
    return found


def test_messages_of_the_job_are_told_as_they_are_sent(bus, observer):
    """Word for word, in order, and no other job's."""
    other = message("heartbeat", 1, job_id="0" * 8 + JOB_ID[8:], state="running")
    ours = [
        message("heartbeat", 1, state="running", intent={"operation": "dump"}),
        message("progress", 2, percent_complete=12.5, bytes_processed=7),
        event(3),
        message("status", 4, status="success", exit_code=0, files=[], error=None),
    ]
    bus.send(other, *ours)

    assert collected(observer, 4) == ours
    assert list(observer.finish()) == []
    assert (observer.unreadable, observer.notes()) == (0, [])


def test_what_no_notification_told_is_read_at_the_end(bus, observer):
    """A notification is a hint: here the subscription is gone while the agent reports."""
    client = redis.Redis.from_url(bus.url)
    client.client_kill_filter(_type="pubsub")
    bus.send(event(1), event(2), message("status", 3, status="failed", exit_code=1, error=None))
    client.close()
    found = [*observer.poll(), *observer.finish()]

    assert sorted(one["seq"] for one in found) == [1, 2, 3]
    status = next(one for one in found if one["type"] == "status")
    assert (status["exit_code"], status["error"]) == (1, None)


def test_more_events_than_one_page_are_read_at_the_end(bus, observer):
    """The stream is read to its end."""
    client = redis.Redis.from_url(bus.url)
    client.client_kill_filter(_type="pubsub")
    bus.send(*[event(n) for n in range(1, 2501)])
    client.close()
    found = [*observer.poll(), *observer.finish()]

    assert sorted(one["seq"] for one in found) == list(range(1, 2501))


def test_what_an_earlier_attempt_stored_is_left_out(bus):
    """Its status must not pass for ours."""
    bus.send(event(1), message("status", 2, status="success", exit_code=0, error=None))
    observer = bus.observer()
    observer.start()
    bus.send(event(3))

    assert [one["seq"] for one in [*observer.poll(), *observer.finish()]] == [3]
    observer.close()


def test_an_agent_that_reaches_a_late_server_first_is_told_whole(start_server, key_prefix):
    """What it stored before our first look is new all the same; what is older is not."""
    server = start_server()
    bus = Bus(server.url, key_prefix)
    bus.send(event(1))
    observer = bus.observer()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        observer.start()
    finally:
        os.kill(server.pid, signal.SIGCONT)
    bus.send(event(2), message("status", 3, status="success", exit_code=0, error=None))
    found = [*observer.poll(), *observer.finish()]

    assert sorted(one["seq"] for one in found) == [2, 3]
    observer.close()
    bus.transport.close()


def test_noise_on_the_channel_and_under_the_keys_is_counted(bus, observer):
    """It names the job, but is no message."""
    client = redis.Redis.from_url(bus.url)
    client.publish(f"{bus.prefix}notify", f"noise about {JOB_ID}")
    client.publish(f"{bus.prefix}notify", b"\xff\xfe")
    client.hset(f"{bus.prefix}status:{JOB_ID}", mapping={"seq": "{"})
    client.close()
    bus.send(message("heartbeat", 1, state="running"))

    assert [one["seq"] for one in collected(observer, 1)] == [1]
    assert list(observer.finish()) == []
    assert observer.unreadable == 2


def test_a_server_that_is_away_delays_nothing_and_is_noted(unused_tcp_port_url):
    """The agent starts at once; what is wrong is told without the password."""
    observer = open_observer(unused_tcp_port_url, key_prefix="baqup:", job_id=JOB_ID)
    began = time.monotonic()
    observer.start()
    started_s = time.monotonic() - began
    found = list(observer.finish())
    notes = observer.notes()

    assert started_s < 2
    assert found == []
    assert len(notes) == 2
    assert "cannot be watched" in notes[0]
    assert not [note for note in notes if "s3cret" in note]


@pytest.fixture
def unused_tcp_port_url(start_server):
    server = start_server()
    server.stop()
    return f"redis://:s3cret@127.0.0.1:{server.port}/0"


def test_a_server_that_comes_back_is_watched_again(start_server, key_prefix):
    """The subscription is made anew, and the note is followed by a better one."""
    server = start_server()
    bus = Bus(server.url, key_prefix)
    observer = bus.observer()
    observer.start()
    bus.transport.close()
    server.kill()
    notes: list[str] = []
    until(lambda: notes.extend(observer.notes()) or notes, "a note of the outage")
    start_server(port=server.port)
    until(lambda: notes.extend(observer.notes()) or "again" in notes[-1], "the server's return")
    bus.transport.connect()
    bus.send(message("heartbeat", 1, state="running"))

    assert [one["seq"] for one in collected(observer, 1)] == [1]
    assert list(observer.finish()) == []
    observer.close()
    bus.transport.close()


def test_a_server_that_falls_silent_bounds_the_end(start_server, key_prefix):
    """The reading at the end gives up, and says so."""
    server = start_server()
    observer = Bus(server.url, key_prefix).observer()
    observer.start()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert list(observer.finish()) == []
        assert time.monotonic() - began < 8
        assert any("could not be read" in note for note in observer.notes())
    finally:
        os.kill(server.pid, signal.SIGCONT)
        observer.close()
    until(lambda: not observer._thread.is_alive(), "the observer's thread")


def test_refused_credentials_are_noted(start_server):
    """Not the password, but that something is wrong."""
    server = start_server("--requirepass", "right")
    url = server.url.replace("redis://", "redis://:wr0ng@")
    observer = open_observer(url, key_prefix="baqup:", job_id=JOB_ID)
    observer.start()

    assert list(observer.finish()) == []
    notes = observer.notes()
    assert "AuthenticationError" in notes[0]
    assert not [note for note in notes if "wr0ng" in note]
    observer.close()


def test_a_black_hole_delays_the_start_only_a_little(black_hole_url):
    """It accepts the connection and never answers."""
    observer = open_observer(black_hole_url, key_prefix="baqup:", job_id=JOB_ID)
    began = time.monotonic()
    observer.start()

    assert time.monotonic() - began < 4
    assert list(observer.finish()) == []
    assert observer.notes()
    observer.close()
    until(lambda: not observer._thread.is_alive(), "the observer's thread")
