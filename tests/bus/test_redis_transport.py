"""What only a real server can show: lifetimes, lost answers, refusals, black holes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from redis import Redis

from baqup_agent.bus.backoff import Backoff
from baqup_agent.bus.encoding import decode_hash
from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.topology import entry_id, key
from baqup_agent.contract import HEARTBEAT_TTL_S, MESSAGE_TTL_S
from baqup_agent.controller.embedded import EmbeddedServer
from tests.bus.backends import PREFIX, Open, StartServer
from tests.bus.publishing import RecordPublisher
from tests.bus.recording import RecordingLog
from tests.bus.samples import AGENT, JOB, event, heartbeat, progress, stamp, status
from tests.waiting import eventually


class TestKeys:
    @pytest.mark.parametrize(
        ("message", "name", "life_s"),
        [
            (heartbeat(stamp(1)), f"heartbeat:{AGENT}", HEARTBEAT_TTL_S),
            (progress(stamp(1)), f"progress:{JOB}", MESSAGE_TTL_S),
            (status(stamp(1)), f"status:{JOB}", MESSAGE_TTL_S),
            (event(stamp(1)), f"events:{JOB}", MESSAGE_TTL_S),
        ],
        ids=lambda value: getattr(value, "kind", None),
    )
    def test_each_message_lives_under_its_key_as_long_as_stated(
        self,
        redis_server: EmbeddedServer,
        key_prefix: str,
        open_transport: Open,
        message,
        name,
        life_s,
    ) -> None:
        """Contract §3's table: key and time to live, renewed by each message."""
        transport = open_transport(redis_server.url, key_prefix)
        transport.connect()
        with Redis.from_url(redis_server.url) as client:
            transport.send(message.to_wire())
            client.pexpire(key_prefix + name, 5000)
            transport.send(type(message)(**{**_members(message), "stamp": stamp(2)}).to_wire())
            left_s = client.pttl(key_prefix + name) / 1000

            assert life_s - 5 < left_s <= life_s
            assert client.keys(key_prefix + "*") == [(key_prefix + name).encode()]

    def test_null_is_left_out_but_for_the_error_of_a_status(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """The fields, literally: texts plain, numbers plain, objects as compact JSON."""
        transport.send(status(stamp(7)).to_wire())

        assert admin.hgetall(key(PREFIX, "status", JOB)) == {
            "type": "status",
            "job_id": JOB,
            "agent_id": AGENT,
            "timestamp": "2026-03-01T12:00:07.250000Z",
            "seq": "7",
            "agent": "agent-fs",
            "agent_version": "1.0.0",
            "role": "snapshot",
            "status": "success",
            "exit_code": "0",
            "started_at": "2026-03-01T12:00:00.250000Z",
            "completed_at": "2026-03-01T12:00:07.250000Z",
            "files": f'[{{"path":"data.tar.zst","size_bytes":5,"checksum_sha256":"{64 * "a"}"}}]',
            "metrics": '{"duration_seconds":1.5,"bytes_processed":10,"files_processed":2}',
            "warnings_summary": '{"FILE_CHANGED":3}',
            "error": "null",
        }

    def test_an_events_id_is_made_of_its_time_and_number(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """The id can be told from the message, by whoever finds it."""
        message = event(stamp(7)).to_wire()
        transport.send(message)

        (found, _), *rest = admin.xrange(key(PREFIX, "event", JOB))
        assert rest == []
        assert found == entry_id(message) == "1772366407250-7"


def _members(message) -> dict[str, object]:
    names = [attribute.name for attribute in type(message).__attrs_attrs__]
    return {name: getattr(message, name) for name in names}


class TestLostAnswers:
    def test_a_write_whose_answer_was_lost_is_not_made_twice(
        self, start_server: StartServer, open_transport: Open
    ) -> None:
        """The server was stopped with the write in its socket, and does it on waking."""
        server = start_server()
        transport = open_transport(server.url)
        transport.connect()
        transport.send(event(stamp(1)).to_wire())
        for seq in (2, 3, 4):
            os.kill(server.pid, signal.SIGSTOP)
            with pytest.raises(BusUnavailable):
                transport.send(event(stamp(seq)).to_wire())
            os.kill(server.pid, signal.SIGCONT)
            transport.connect()
            transport.send(event(stamp(seq)).to_wire())

        with Redis.from_url(server.url, decode_responses=True) as client:
            found = [fields["seq"] for _, fields in client.xrange(key(PREFIX, "event", JOB))]
        assert found == ["1", "2", "3", "4"]

    def test_a_repeated_event_below_the_top_is_recognised(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """Also one that could not get the id it wanted, because the stream was ahead."""
        admin.xadd(key(PREFIX, "event", JOB), {"foreign": "entry"}, id="9999999999999-0")
        for _ in range(3):
            transport.send(event(stamp(1)).to_wire())
            transport.send(event(stamp(2)).to_wire())

        entries = admin.xrange(key(PREFIX, "event", JOB))
        assert [fields.get("seq") for _, fields in entries] == [None, "1", "2"]

    def test_a_repeated_event_is_recognised_however_much_came_after_it(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """By its id; only where that is taken by time are the newest entries searched."""
        transport.send(event(stamp(1)).to_wire())
        with admin.pipeline() as pipeline:
            for number in range(1500):
                pipeline.xadd(key(PREFIX, "event", JOB), {"foreign": number})
            pipeline.execute()
        transport.send(event(stamp(1)).to_wire())

        assert admin.xlen(key(PREFIX, "event", JOB)) == 1501

    def test_a_server_that_forgot_the_scripts_gets_them_again(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """After a restart or SCRIPT FLUSH the next message goes through as usual."""
        transport.send(event(stamp(1)).to_wire())
        admin.script_flush()
        transport.send(event(stamp(2)).to_wire())
        transport.send(heartbeat(stamp(3)).to_wire())

        assert admin.xlen(key(PREFIX, "event", JOB)) == 2


class TestBatches:
    def test_a_batch_is_written_once_and_announced_by_its_last_event(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """Repeating it, whole or in part, adds nothing."""
        events = [event(stamp(seq)).to_wire() for seq in range(1, 301)]
        subscription = admin.pubsub(ignore_subscribe_messages=True)
        subscription.subscribe(PREFIX + "notify")
        subscription.get_message(timeout=5)
        transport.append(events)
        transport.append(events)
        transport.append(events[100:200])

        entries = admin.xrange(key(PREFIX, "event", JOB))
        assert [decode_hash("event", fields) for _, fields in entries] == events
        heard = subscription.get_message(timeout=5)
        assert json.loads(heard["data"]) == events[-1]
        assert subscription.get_message(timeout=0.1) is None

    def test_a_repeated_batch_completes_what_was_written_of_it(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """A server that died half-way through has the first part, and gets the rest."""
        events = [event(stamp(seq)).to_wire() for seq in range(1, 51)]
        transport.append(events[:20])
        transport.append(events)

        assert admin.xlen(key(PREFIX, "event", JOB)) == 50

    def test_a_base_lifts_the_ids_above_what_is_there(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """A process whose clock is behind is recognised by its ids, without a search."""
        transport.send(event(stamp(1, at_s=3600, agent="agent-before")).to_wire())
        base_ms = transport.top_ms(JOB) + 1
        late = [event(stamp(seq, at_s=0)).to_wire() for seq in (1, 2)]
        for _ in range(2):
            transport.append(late, base_ms)

        ids = [entry for entry, _ in admin.xrange(key(PREFIX, "event", JOB))]
        assert ids[1:] == [f"{base_ms}-1", f"{base_ms}-2"]

    def test_events_of_two_agents_with_the_same_time_and_number_are_both_kept(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """An id tells nothing of the agent, so the entry under it is looked at."""
        for agent in ("agent-a", "agent-b"):
            for _ in range(2):
                transport.send(event(stamp(1, agent=agent)).to_wire())

        entries = admin.xrange(key(PREFIX, "event", JOB))
        assert [fields["agent_id"] for _, fields in entries] == ["agent-a", "agent-b"]

    def test_what_lies_below_the_top_is_left_to_the_writer(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """The script says how many it took, and looks through the stream once at most."""
        mine = [event(stamp(seq, at_s=1)).to_wire() for seq in range(1, 501)]
        others = [event(stamp(seq, at_s=60, agent="agent-b")).to_wire() for seq in range(1, 1001)]
        assert transport.append(mine[:3]) == 3
        assert transport.append(others) == 1000
        begun_s = time.monotonic()

        assert transport.append(mine) == 3
        assert time.monotonic() - begun_s < 0.3

    def test_the_newest_report_on_a_job_is_told(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """That of status or progress, whichever is later; nothing where there is neither."""
        assert transport.newest(JOB) == ""
        transport.send(status(stamp(1, at_s=5)).to_wire())
        transport.send(progress(stamp(2, at_s=9)).to_wire())

        assert transport.newest(JOB) == progress(stamp(2, at_s=9)).to_wire()["timestamp"]
        assert transport.send(progress(stamp(3, at_s=8)).to_wire()) is False
        assert transport.send(progress(stamp(4, at_s=9)).to_wire()) is True

    def test_a_stream_without_entries_has_no_top(self, transport: RedisTransport) -> None:
        """Nothing has to be lifted above nothing."""
        assert transport.top_ms(JOB) == 0


def test_asking_for_the_newest_report_fails_like_a_send(
    start_server: StartServer, open_transport: Open
) -> None:
    """Not connected, and with the server gone."""
    server = start_server()
    transport = open_transport(server.url)
    with pytest.raises(BusUnavailable):
        transport.newest(JOB)
    transport.connect()
    server.kill()
    with pytest.raises(BusUnavailable):
        transport.newest(JOB)


class TestServerDies:
    def test_messages_arrive_at_the_server_that_takes_its_place(
        self, tmp_path: Path, start_server: StartServer, open_transport: Open
    ) -> None:
        """A killed server, then an empty one on the same port: what was not confirmed arrives."""
        first = start_server()
        log = RecordingLog()
        publisher = RecordPublisher(
            tmp_path, open_transport(first.url), Backoff(draw=lambda _low, _high: 0.02), log
        )
        publisher.publish(event(stamp(1)))
        assert publisher.flush(10)
        first.kill()
        for seq in (2, 3):
            publisher.publish(event(stamp(seq)))
        publisher.publish(status(stamp(4)))
        eventually(lambda: log.at("warn"))
        second = start_server(port=first.port)

        assert publisher.flush(10)
        publisher.close()
        with Redis.from_url(second.url, decode_responses=True) as client:
            found = [fields["seq"] for _, fields in client.xrange(key(PREFIX, "event", JOB))]
            assert found == ["2", "3"]
            assert client.hget(key(PREFIX, "status", JOB), "seq") == "4"


class TestBlackHole:
    def test_a_server_that_says_nothing_is_an_outage_within_its_timeout(
        self, black_hole_url: str, open_transport: Open
    ) -> None:
        """No default of the library holds the publisher for a minute."""
        begun_s = time.monotonic()
        with pytest.raises(BusUnavailable):
            open_transport(black_hole_url, timeout_s=0.3).connect()

        assert 0.25 < time.monotonic() - begun_s < 2

    def test_a_black_hole_never_delays_a_publisher(
        self, tmp_path: Path, black_hole_url: str, open_transport: Open
    ) -> None:
        """Messages are taken at full speed, and flush and close return."""
        publisher = RecordPublisher(
            tmp_path, open_transport(black_hole_url, timeout_s=1.0), Backoff(), RecordingLog()
        )
        begun_s = time.monotonic()
        for seq in range(1, 2001):
            publisher.publish(event(stamp(seq, at_s=1)))
        taken_s = time.monotonic() - begun_s

        assert publisher.wait_connected(5) is False
        assert not publisher.flush(0.2)
        publisher.close()
        assert taken_s < 3
        assert time.monotonic() - begun_s < 15


def test_a_replay_through_kills_and_stalls_is_complete_and_without_doubles(
    tmp_path: Path, start_server: StartServer, open_transport: Open
) -> None:
    """Two thousand events while a saboteur stops the server and cuts its connections."""
    server = start_server()
    publisher = RecordPublisher(
        tmp_path,
        open_transport(server.url, timeout_s=0.1),
        Backoff(draw=lambda _low, _high: 0.005),
        RecordingLog(),
    )
    over = threading.Event()
    acts = []

    def sabotage() -> None:
        with Redis.from_url(server.url) as client:
            while not over.wait(0.05):
                os.kill(server.pid, signal.SIGSTOP)
                over.wait(0.12)
                os.kill(server.pid, signal.SIGCONT)
                client.client_kill_filter(_type="normal", skipme=True)
                acts.append(time.monotonic())

    saboteur = threading.Thread(target=sabotage)
    saboteur.start()
    try:
        for seq in range(1, 2001):
            publisher.publish(event(stamp(seq, at_s=seq // 100)))
        eventually(lambda: len(acts) >= 4, within_s=20)
    finally:
        over.set()
        saboteur.join()
    arrived = publisher.flush(30)
    publisher.close()

    assert arrived
    with Redis.from_url(server.url, decode_responses=True) as client:
        found = [int(fields["seq"]) for _, fields in client.xrange(key(PREFIX, "event", JOB))]
    assert found == list(range(1, 2001))
