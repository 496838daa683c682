"""The client: from configuration to messages on a bus."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from redis import Redis

from baqup_agent.bus.client import BusClient, new_agent_id, open_transport, settings_from
from baqup_agent.bus.file_transport import FileTransport
from baqup_agent.bus.heartbeat import HeartbeatThread
from baqup_agent.bus.memory_transport import MemoryTransport
from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.config.settings import BusSettings
from baqup_agent.contract import AgentState
from baqup_agent.controller.embedded import EmbeddedServer
from baqup_agent.errors import BusRefused, ConfigError
from baqup_agent.observability.sink import NullLog
from baqup_agent.security.secret import Secret
from tests.bus.samples import AGENT, JOB, START, HandClock
from tests.waiting import eventually

Make = Callable[..., BusClient]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes clients on a bus in memory, or on the URL given; they are closed at the end."""
    with ExitStack() as stack:

        def build(config: Any = None, **options: Any) -> BusClient:
            if config is None:
                config = {"BAQUP_BUS_URL": "redis://h", "BAQUP_JOB_ID": JOB}
                options.setdefault("transport", MemoryTransport())
            buffer = tmp_path / "buffer"
            if isinstance(config, BusSettings):
                config = evolve(config, fallback_dir=buffer)
            else:
                config = {"BAQUP_BUS_FALLBACK_DIR": str(buffer), **config}
            options.setdefault("agent_id", AGENT)
            client = BusClient(config, options.pop("logger", NullLog()), **options)
            stack.callback(client.close)
            return client

        yield build


def test_every_kind_of_message_through_a_real_server(
    redis_server: EmbeddedServer, key_prefix: str, make: Make
) -> None:
    """From the mapping of the preview API to keys on Redis."""
    bus = make(
        {"BAQUP_BUS_URL": Secret(redis_server.url), "BAQUP_JOB_ID": JOB,
         "BAQUP_BUS_KEY_PREFIX": key_prefix}
    )  # fmt: skip
    assert bus.connect(10)
    bus.heartbeat("running")
    bus.progress(percent_complete=50, bytes_processed=10)
    bus.event("DUMP_DONE", severity="info", message="all tables")
    sent = bus.status(
        agent="agent-fs",
        role="snapshot",
        status="success",
        started_at=START,
        completed_at=START,
        exit_code=0,
    )
    assert bus.flush(10)

    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        assert sorted(client.keys(key_prefix + "*")) == [
            f"{key_prefix}events:{JOB}",
            f"{key_prefix}heartbeat:{AGENT}",
            f"{key_prefix}progress:{JOB}",
            f"{key_prefix}status:{JOB}",
        ]
        assert client.hget(f"{key_prefix}status:{JOB}", "seq") == str(sent.stamp.seq) == "4"
    assert (bus.sent, bus.dropped) == (4, 0)


def test_a_file_bus_needs_no_server(tmp_path: Path, make: Make) -> None:
    """The same messages as lines of a file."""
    bus = make(BusSettings(url=Secret(f"file://{tmp_path}/bus")), job_id=JOB)
    assert bus.connect(10)
    bus.heartbeat(AgentState.RUNNING)
    bus.event("DUMP_DONE", severity="info", message="all tables")
    assert bus.flush(10)

    lines = (tmp_path / "bus" / f"{JOB}.jsonl").read_text().splitlines()
    assert [(json.loads(line)["type"], json.loads(line)["seq"]) for line in lines] == [
        ("heartbeat", 1),
        ("event", 2),
    ]


def test_messages_from_many_threads_are_numbered_in_the_order_they_are_sent(make: Make) -> None:
    """The numbers of the events on the bus ascend without a gap."""
    transport = MemoryTransport()
    bus = make(transport=transport)

    def report() -> None:
        for _ in range(250):
            bus.event("X", severity="info", message="m")

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert bus.flush(10)
    assert [message["seq"] for message in transport.messages] == list(range(1, 1001))


def test_a_status_can_be_made_without_being_sent(make: Make) -> None:
    """For the orphan file: the same message with another exit code."""
    transport = MemoryTransport()
    bus = make(transport=transport, clock=HandClock())
    made = bus.make_status(
        agent="a",
        role="snapshot",
        status="success",
        started_at=START,
        completed_at=START,
        exit_code=0,
    )
    orphan = evolve(made, exit_code=75)

    assert orphan.to_wire() == {**made.to_wire(), "exit_code": 75}
    assert bus.flush(1)
    assert transport.messages == []


def test_no_call_waits_for_a_bus_that_says_nothing(black_hole_url: str, make: Make) -> None:
    """Reports cost microseconds, bus or no bus."""
    bus = make({"BAQUP_BUS_URL": black_hole_url, "BAQUP_JOB_ID": JOB})
    begun_s = time.monotonic()
    for number in range(2000):
        bus.progress(bytes_processed=number)
        bus.event("X", severity="info", message="m")
        bus.heartbeat("running")
    taken_s = time.monotonic() - begun_s

    assert taken_s < 5
    assert bus.connect(5) is False
    assert not bus.flush(0.1)


def test_the_preview_snippet_beats(make: Make) -> None:
    """``BusClient(config, logger)`` and ``HeartbeatThread(bus, agent_id, interval, logger)``."""
    transport = MemoryTransport()
    logger = NullLog()
    bus = make(transport=transport, agent_id=None)
    heartbeat = HeartbeatThread(bus, "agent-fs-000001", 3600, logger)
    heartbeat.start()
    eventually(lambda: transport.messages)
    heartbeat.stop()
    bus.progress()
    assert bus.flush(5)

    beat = transport.latest("heartbeat", "agent-fs-000001")
    assert beat is not None
    assert beat["state"] == "initializing"
    assert transport.latest("status", JOB) is None
    assert {message["agent_id"] for message in transport.messages} == {"agent-fs-000001"}


class TestConfiguration:
    def test_a_logger_that_knows_job_and_agent_is_believed(self, make: Make) -> None:
        """So that logs and messages agree."""

        class NamingLog(NullLog):
            job_id = "job-of-the-log"
            agent_id = "agent-of-the-log"

        bus = make(
            BusSettings(url=Secret("redis://h")),
            logger=NamingLog(),
            agent_id=None,
            transport=MemoryTransport(),
        )

        assert (bus.job_id, bus.agent_id) == ("job-of-the-log", "agent-of-the-log")

    def test_without_a_job_nothing_can_be_reported(self) -> None:
        """The error names the variable."""
        with pytest.raises(ConfigError, match="BAQUP_JOB_ID is not set"):
            BusClient({"BAQUP_BUS_URL": "redis://h"}, NullLog())

    def test_without_a_url_there_is_no_bus(self) -> None:
        """The error names the variable and what to set it to."""
        with pytest.raises(BusRefused, match="BAQUP_BUS_URL is not set; set it to redis://"):
            BusClient({"BAQUP_JOB_ID": JOB}, NullLog())

    def test_a_malformed_url_is_refused_at_once(self) -> None:
        """Before any thread is started."""
        with pytest.raises(BusRefused, match="scheme"):
            BusClient({"BAQUP_BUS_URL": "http://h", "BAQUP_JOB_ID": JOB}, NullLog())

    def test_variables_become_settings(self) -> None:
        """Those that are unset have the contract's defaults."""
        settings = settings_from(
            {
                "BAQUP_BUS_URL": "redis://h",
                "BAQUP_BUS_KEY_PREFIX": "x:",
                "BAQUP_BUS_FALLBACK_DIR": "/var/buffer",
                "BAQUP_BUS_RECONNECT_MAX_ATTEMPTS": 3,
                "BAQUP_BUS_RECONNECT_BACKOFF": "linear",
                "BAQUP_BUS_GRACE_PERIOD": None,
            }
        )

        assert settings == BusSettings(
            url=Secret("redis://h"),
            key_prefix="x:",
            fallback_dir=Path("/var/buffer"),
            reconnect_max_attempts=3,
            reconnect_backoff="linear",
            grace_period_s=30,
        )

    def test_the_scheme_chooses_the_transport(self, tmp_path: Path) -> None:
        """A server or a directory."""
        settings = BusSettings(url=Secret("redis://h"))

        assert isinstance(open_transport(settings, JOB), RedisTransport)
        assert isinstance(
            open_transport(evolve(settings, url=Secret(f"file://{tmp_path}")), JOB), FileTransport
        )

    def test_ids_of_agents_differ(self) -> None:
        """Each process has its own."""
        assert new_agent_id("agent-fs").startswith("agent-fs-")
        assert new_agent_id() != new_agent_id()


def test_importing_the_client_imports_no_redis() -> None:
    """That is the publisher's business, once there is something to send."""
    code = (
        "import sys, baqup_agent.bus.client; "
        "print([name for name in ('redis', 'ssl') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )

    assert done.stdout.strip() == "[]"
