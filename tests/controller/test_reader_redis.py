"""Reading a bus on a real server: what is told, in which order, and every kind of trouble."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import threading
import time

import pytest

from baqup_agent.bus.url import RedisUrl, parse_bus_url
from baqup_agent.clock import SystemClock, timestamp
from baqup_agent.controller import BusMessage, BusReader, Event, Heartbeat
from baqup_agent.controller.complaints import Complaints
from baqup_agent.controller.redis_access import RedisAccess
from baqup_agent.controller.redis_look import RedisLook
from baqup_agent.errors import BusRefused
from tests.controller.runs import JOB_ID, until
from tests.controller.wire import Bus, collected, event, message, seqs

redis = pytest.importorskip("redis")

OTHER = "0" * 8 + JOB_ID[8:]
STATUS = {"status": "success", "exit_code": 0, "files": [], "error": None}


@pytest.fixture
def bus(redis_server, key_prefix):
    bus = Bus(redis_server.url, key_prefix)
    yield bus
    bus.transport.close()


@pytest.fixture
def admin(bus):
    with redis.Redis.from_url(bus.url) as client:
        yield client


@pytest.fixture
def reader(bus):
    """Reads one job, as a run does."""
    with bus.reader(job_id=JOB_ID, only_new=True) as reader:
        yield reader


@pytest.fixture
def all_jobs(bus):
    with bus.reader() as reader:
        yield reader


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    until(lambda: not [t for t in threading.enumerate() if t.name == "bus-reader"], "threads' ends")


def kinds(messages) -> set[str]:
    return {one.kind for one in messages}


def looks_often(reader: BusReader, every_s: float = 0.2) -> None:
    reader._source._look_every_s = every_s
    reader._source._look_due_s = 0.0


def test_messages_of_the_job_are_told_as_they_are_sent(bus, reader):
    """Word for word, in order, and no other job's."""
    other = message("heartbeat", 1, job_id=OTHER, state="running")
    ours = [
        message("heartbeat", 1, state="running", intent={"operation": "dump"}),
        message("progress", 2, percent_complete=12.5, bytes_processed=7),
        event(3),
        message("status", 4, **STATUS),
    ]
    bus.send(other, *ours)

    assert [one.wire for one in collected(reader, 4)] == ours
    assert list(reader.finish()) == []
    assert (reader.unreadable, reader.notes()) == (0, [])


def test_a_reader_of_all_finds_what_is_stored_and_what_comes(bus):
    """Jobs and agents that it was never told of."""
    stored = [message("heartbeat", 1, job_id=OTHER, agent_id="b"), event(2, job_id=OTHER)]
    bus.send(*stored)
    with bus.reader() as reader:
        before = collected(reader, 2)
        bus.send(event(1), message("status", 2, **STATUS))
        after = collected(reader, 2)

    assert [one.wire for one in before] == stored
    assert [(one.kind, one.job_id) for one in after] == [("event", JOB_ID), ("status", JOB_ID)]


def test_events_between_other_messages_keep_their_place(bus, reader):
    """They come by another way than the rest, and are merged by their times."""
    rng = random.Random(7)
    sent = []
    for seq in range(1, 400):
        kind = rng.choice(["event", "event", "progress", "heartbeat"])
        sent.append(event(seq) if kind == "event" else message(kind, seq))
        bus.send(sent[-1])

    assert seqs(collected(reader, 399)) == list(range(1, 400))


def test_a_stream_that_the_search_missed_is_read_before_what_follows_it(bus, monkeypatch):
    """A search tells of a moving target: it may find a job's status, and not its events."""
    search = RedisAccess.search

    def missing_streams(access, pattern):
        return (found for found in search(access, pattern) if b"events:" not in found)

    monkeypatch.setattr(RedisAccess, "search", missing_streams)
    bus.send(event(1), event(2), message("status", 3, **STATUS))
    with bus.reader() as reader:
        assert seqs(collected(reader, 3)) == [1, 2, 3]


def test_a_batch_that_was_notified_once_is_told_whole(bus, reader):
    """The notification names its last event alone."""
    bus.transport.append([event(seq) for seq in range(1, 2501)])

    assert seqs(collected(reader, 2500)) == list(range(1, 2501))


def test_what_no_notification_told_is_read_all_the_same(bus, admin, reader):
    """A notification is a hint; here nobody sends any."""
    looks_often(reader)
    for one in (event(1), event(2)):
        fields = {k: v if isinstance(v, str) else json.dumps(v) for k, v in one.items()}
        admin.xadd(bus.key(f"events:{JOB_ID}"), fields)
    admin.hset(bus.key(f"status:{JOB_ID}"), mapping={**message("status", 3), "status": "failed"})
    found = collected(reader, 3)

    assert seqs(found) == [1, 2, 3]
    assert reader.unreadable == 0


def test_the_end_reads_what_the_subscription_lost(bus, admin, reader):
    """It is cut while the agent reports."""
    admin.client_kill_filter(_type="pubsub")
    sent = [event(seq) for seq in range(1, 2501)]
    bus.transport.append(sent)
    bus.send(message("status", 2501, **STATUS))
    found = [*reader.poll(), *reader.finish()]

    assert [one.wire for one in found][:2500] == sent
    assert found[-1].wire["status"] == "success"


def test_what_an_earlier_attempt_stored_is_left_out(bus):
    """Its status must not pass for ours."""
    bus.send(event(1), message("status", 2, **STATUS), message("heartbeat", 3, state="running"))
    with bus.reader(job_id=JOB_ID, only_new=True) as reader:
        bus.send(event(4))

        assert seqs([*reader.poll(), *reader.finish()]) == [4]


def test_an_agent_that_reaches_a_late_server_first_is_told_whole(start_server, key_prefix):
    """What it stored before our first look is new all the same; what is older is not."""
    server = start_server()
    bus = Bus(server.url, key_prefix)
    bus.send(event(1))
    reader = bus.reader(job_id=JOB_ID, only_new=True)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        reader.start()
    finally:
        os.kill(server.pid, signal.SIGCONT)
    bus.send(event(2), message("status", 3, **STATUS))
    found = [*reader.poll(), *reader.finish()]

    assert seqs(found) == [2, 3]
    reader.close()
    bus.transport.close()


def test_a_stale_notification_is_not_told(bus, admin, reader):
    """What was replayed late is older than what is known, and a repetition is no news."""
    new, old = message("heartbeat", 9, state="completing"), message("heartbeat", 2, state="running")
    old["timestamp"] = "2026-01-15T03:00:00.000000Z"
    bus.send(new)
    admin.publish(bus.key("notify"), json.dumps(old))
    admin.publish(bus.key("notify"), json.dumps(new))
    bus.send(message("progress", 10))

    assert seqs(collected(reader, 2)) == [9, 10]


def test_two_incarnations_of_a_job_are_told_apart(bus, all_jobs):
    """Each has its own heartbeats; a second one's clock may be behind the first one's."""
    first = [event(seq, agent_id="a", timestamp="2026-01-15T03:00:09.000000Z") for seq in (1, 2)]
    second = [event(seq, agent_id="b", timestamp="2026-01-15T03:00:01.000000Z") for seq in (1, 2)]
    bus.send(*first, *second, message("heartbeat", 3, agent_id="b"))
    bus.send(message("heartbeat", 3, agent_id="a"))
    found = collected(all_jobs, 6)

    assert [(m.agent_id, m.seq) for m in found if isinstance(m, Event)] == [
        *(("a", 1), ("a", 2)),
        *(("b", 1), ("b", 2)),
    ]
    assert [m.agent_id for m in found if isinstance(m, Heartbeat)] == ["b", "a"]


def test_a_stored_heartbeat_tells_its_age(bus, admin):
    """By the server's clock, which needs no agreement with ours."""
    bus.send(message("heartbeat", 1, agent_id="a", timestamp="2001-01-01T00:00:00.000000Z"))
    admin.pexpire(bus.key("heartbeat:a"), 18_000)
    with bus.reader() as reader:
        (beat,) = collected(reader, 1)

    assert isinstance(beat, Heartbeat)
    assert 12 <= beat.age_s < 20


@pytest.mark.parametrize("how", ["expired", "trimmed", "made anew", "grown anew"])
def test_a_stream_that_changed_under_us_is_told_once(how, bus, admin, reader):
    """Also where the new entries have lower ids than those that we have read."""
    stream = bus.key(f"events:{JOB_ID}")
    sent = [event(seq) for seq in range(1, 5)]
    bus.send(*sent)
    found = collected(reader, 4)
    old = "2001-01-01T00:00:00.000000Z"
    if how == "trimmed":
        admin.xtrim(stream, maxlen=1)
    else:
        admin.delete(stream)
    if how == "expired":
        bus.send(event(5))
    else:
        bus.send(event(1, agent_id="b", timestamp=old), event(2, agent_id="b", timestamp=old))
    if how == "grown anew":
        bus.send(sent[3], event(5))
    bus.send(message("progress", 6))
    looks_often(reader)
    until(lambda: found.extend(reader.poll(0.05)) or "progress" in kinds(found), "the last one")
    found += reader.finish()
    told = [(m.agent_id, m.seq) for m in found if isinstance(m, Event)]

    others = {"expired": [], "trimmed": [1, 2], "made anew": [1, 2], "grown anew": [1, 2]}[how]
    assert [seq for agent, seq in told if agent == "b"] == others
    ours = [1, 2, 3, 4, 5] if how in ("expired", "grown anew") else [1, 2, 3, 4]
    assert [seq for agent, seq in told if agent != "b"] == ours


def test_a_server_that_came_back_with_an_older_stream_is_read_anew(bus, admin, reader):
    """It lost its newest entries; what another agent wrote since stands below what we have read."""
    stream = bus.key(f"events:{JOB_ID}")
    bus.send(*[event(seq) for seq in range(1, 5)])
    assert seqs(collected(reader, 4)) == [1, 2, 3, 4]
    kept = admin.xrange(stream, count=2)
    later = {name: json.dumps(v) if name == "seq" else v for name, v in lean(event(9)).items()}
    milliseconds = kept[1][0].decode().partition("-")[0]
    with admin.pipeline() as pipe:
        pipe.delete(stream)
        for entry_id, fields in kept:
            pipe.xadd(stream, fields, id=entry_id)
        pipe.xadd(stream, {**later, "agent_id": "b"}, id=f"{milliseconds}-3")
        pipe.execute()
    looks_often(reader)

    assert [(m.agent_id, m.seq) for m in collected(reader, 1)] == [("b", 9)]
    assert list(reader.finish()) == []


def lean(wire):
    return {name: wire[name] for name in ("type", "job_id", "timestamp", "seq", "code")}


def test_noise_on_the_channel_and_under_the_keys_is_counted_and_told(bus, admin, reader):
    """It names the job, but is no message."""
    looks_often(reader)
    admin.publish(bus.key("notify"), f"noise about {JOB_ID}")
    admin.publish(bus.key("notify"), b"\xff\xfe")
    admin.hset(bus.key(f"status:{JOB_ID}"), mapping={"seq": "{"})
    admin.sadd(bus.key(f"progress:{JOB_ID}"), "a set")
    bus.send(message("heartbeat", 1, state="running"))
    until(lambda: reader.unreadable >= 3, "three complaints")

    assert seqs(collected(reader, 1)) == [1]
    assert list(reader.finish()) == []
    assert reader.unreadable == 3
    told = " ".join(reader.notes())
    assert "no JSON" in told
    assert "another type" in told


def test_a_stream_of_the_wrong_type_hides_nothing_else(bus, admin, all_jobs):
    """One job's broken key is not another job's trouble."""
    admin.set(bus.key(f"events:{JOB_ID}"), "no stream")
    admin.set(bus.key("heartbeat:x"), "no hash")
    admin.xadd(bus.key(f"events:{OTHER}"), {"noise": "1"})
    looks_often(all_jobs)
    bus.send(event(1, job_id=OTHER))

    assert seqs(collected(all_jobs, 1)) == [1]
    until(lambda: all_jobs.unreadable >= 3, "three complaints")
    assert all_jobs.seeing


def test_a_unix_socket_is_a_bus_like_any_other(start_server, key_prefix):
    """Its URL names no host."""
    server = start_server()
    bus = Bus(f"unix://{server._directory}/s", key_prefix)
    bus.send(event(1))
    with bus.reader() as reader:
        assert seqs(collected(reader, 1)) == [1]
        bus.send(message("heartbeat", 2))
        assert seqs(collected(reader, 1)) == [2]
    bus.transport.close()


def test_a_prefix_may_hold_what_a_search_takes_for_a_pattern(redis_server, key_prefix):
    """Brackets, stars and backslashes stand for themselves."""
    bus = Bus(redis_server.url, key_prefix + r"[a]*?\^:")
    bus.send(event(1), message("heartbeat", 2))
    other = Bus(redis_server.url, key_prefix + "a:")
    other.send(event(3))
    with bus.reader() as reader:
        assert seqs(collected(reader, 2)) == [1, 2]
    bus.transport.close()
    other.transport.close()


def test_a_flood_of_notifications_is_survived_and_bounded(bus, admin, all_jobs):
    """100 MB of noise, then 20 MB of it in single pieces; afterwards all is as before."""
    noise = b"x" * 10_000
    for _ in range(100):
        with admin.pipeline(transaction=False) as pipe:
            for _ in range(100):
                pipe.publish(bus.key("notify"), noise)
            pipe.execute()
    admin.publish(bus.key("notify"), b"y" * 20_000_000)
    bus.send(event(1), message("status", 2, **STATUS))

    assert seqs(collected(all_jobs, 2)) == [1, 2]
    assert len(all_jobs.notes()) < 10


def test_a_user_who_takes_nothing_holds_up_the_reading_alone(bus, reader):
    """What waits is bounded; the rest stays on the bus until there is room."""
    reader._source._outlet._max_bytes = 100_000
    bus.transport.append([event(seq) for seq in range(1, 2001)])
    outlet = reader._source._outlet
    until(lambda: outlet._bytes >= 100_000, "a full outlet")

    assert len(outlet._messages) < 100
    assert seqs(collected(reader, 2000)) == list(range(1, 2001))


def test_a_server_that_is_away_delays_nothing_and_is_noted(unused_url):
    """The agent starts at once; what is wrong is told without the password."""
    reader = BusReader(unused_url, job_id=JOB_ID, only_new=True)
    began = time.monotonic()
    reader.start()
    started_s = time.monotonic() - began
    assert not reader.seeing
    found = list(reader.finish())
    notes = reader.notes()

    assert started_s < 2
    assert found == []
    assert len(notes) == 2
    assert "cannot be watched" in notes[0]
    assert not [note for note in notes if "s3cret" in note]


@pytest.fixture
def unused_url(start_server):
    server = start_server()
    server.stop()
    return f"redis://:s3cret@127.0.0.1:{server.port}/0"


def test_a_server_that_comes_back_is_watched_again(start_server, key_prefix):
    """Nothing that it kept is told twice, nothing that came meanwhile is missed."""
    server = start_server()
    bus = Bus(server.url, key_prefix)
    with bus.reader(job_id=JOB_ID) as reader:
        sent = [event(1), event(2)]
        bus.send(*sent)
        assert seqs(collected(reader, 2)) == [1, 2]
        bus.transport.close()
        server.kill()
        notes: list[str] = []
        until(lambda: notes.extend(reader.notes()) or notes, "a note of the outage")
        assert not reader.seeing
        start_server(port=server.port)
        bus.transport.connect()
        bus.send(sent[1], event(3), message("heartbeat", 4, state="running"))
        until(lambda: notes.extend(reader.notes()) or "again" in notes[-1], "the server's return")
        assert seqs(collected(reader, 2)) == [3, 4]
        bus.send(event(5))
        assert seqs(collected(reader, 1)) == [5]
        assert reader.seeing
        assert list(reader.finish()) == []
    bus.transport.close()


def test_a_hung_server_is_given_up_and_found_again(start_server, key_prefix):
    """It accepts everything and answers nothing, until it does."""
    server = start_server()
    bus = Bus(server.url, key_prefix)
    with bus.reader() as reader:
        looks_often(reader)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            until(lambda: not reader.seeing, "the loss of sight")
        finally:
            os.kill(server.pid, signal.SIGCONT)
        until(lambda: reader.seeing, "the sight of the server")
        bus.send(event(1))
        assert seqs(collected(reader, 1)) == [1]
    bus.transport.close()


def test_a_dead_subscription_is_noticed(bus, admin, all_jobs):
    """Cut behind our back, so that only the missing answer to a ping shows it."""
    looks_often(all_jobs)
    admin.client_kill_filter(_type="pubsub")
    bus.send(message("heartbeat", 1))
    assert seqs(collected(all_jobs, 1)) == [1]
    until(lambda: admin.pubsub_numsub(bus.key("notify"))[0][1] == 1, "a new subscription")
    bus.send(message("heartbeat", 2))
    assert seqs(collected(all_jobs, 1)) == [2]


def test_a_user_who_may_not_listen_reads_all_the_same(start_server, key_prefix):
    """Without its channel the bus is looked at every second, and the note says what to allow."""
    server = start_server()
    bus = Bus(server.url, key_prefix)
    with redis.Redis.from_url(server.url) as client:
        rules = ("on", ">pw", "~*", "resetchannels", "+@read", "+subscribe", "+ping", "+info")
        client.execute_command("ACL", "SETUSER", "looker", *rules)
    url = server.url.replace("redis://", "redis://looker:pw@")
    with BusReader(url, key_prefix=key_prefix) as reader:
        bus.send(event(1), message("progress", 2))
        assert seqs(collected(reader, 2)) == [1, 2]
        assert any("channel of notifications" in note for note in reader.notes())
    bus.transport.close()


def test_a_server_that_falls_silent_bounds_the_end(start_server, key_prefix):
    """The reading at the end gives up, and says so."""
    server = start_server()
    bus = Bus(server.url, key_prefix)
    reader = bus.reader(job_id=JOB_ID, only_new=True)
    reader.start()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert list(reader.finish()) == []
        assert time.monotonic() - began < 8
        assert any("could not be read" in note for note in reader.notes())
    finally:
        os.kill(server.pid, signal.SIGCONT)
        reader.close()
        bus.transport.close()


def test_refused_credentials_are_noted(start_server):
    """Not the password, but that something is wrong."""
    server = start_server("--requirepass", "right")
    url = server.url.replace("redis://", "redis://:wr0ng@")
    reader = BusReader(url, job_id=JOB_ID, only_new=True)
    reader.start()

    assert list(reader.finish()) == []
    notes = reader.notes()
    assert "AuthenticationError" in notes[0]
    assert not [note for note in notes if "wr0ng" in note]


def test_a_black_hole_delays_the_start_only_a_little(black_hole_url):
    """It accepts the connection and never answers."""
    reader = BusReader(black_hole_url, job_id=JOB_ID, only_new=True)
    began = time.monotonic()
    reader.start()

    assert time.monotonic() - began < 4
    assert list(reader.finish()) == []
    assert reader.notes()


def test_what_speaks_another_protocol_is_noted(babbling_url):
    """An HTTP server in the bus's place ends nothing."""
    with BusReader(babbling_url) as reader:
        until(reader.notes, "a note")
        assert not reader.seeing


def test_following_ends_with_the_message_that_is_waited_for(bus, all_jobs):
    """What came after it is for the next one who asks."""
    sent = [message("heartbeat", 1), message("status", 2, **STATUS), message("heartbeat", 3)]
    bus.send(*sent)
    followed = list(all_jobs.follow(until=lambda one: one.kind == "status", timeout_s=20))

    assert seqs(followed) == [1, 2]
    assert seqs(collected(all_jobs, 1)) == [3]
    assert list(all_jobs.follow(timeout_s=0.05)) == []


def test_closing_from_elsewhere_ends_the_following(all_jobs):
    """A controller's main loop is left by its own end."""
    followed = threading.Thread(target=lambda: list(all_jobs.follow()))
    followed.start()
    all_jobs.close()
    followed.join(10)

    assert not followed.is_alive()


def test_a_malformed_url_is_refused_without_its_password():
    """In one line, before anything is connected."""
    with pytest.raises(BusRefused) as caught:
        BusReader("redis://user:s3cret@host:port/")

    assert "s3cret" not in caught.value.message


def test_jobs_whose_keys_have_expired_are_forgotten(bus, admin, all_jobs):
    """A reader may run for years."""
    bus.send(event(1), message("heartbeat", 2), message("progress", 3))
    assert seqs(collected(all_jobs, 3)) == [1, 2, 3]
    look = all_jobs._source._look
    admin.delete(*admin.keys(bus.key("*")))
    looks_often(all_jobs)
    all_jobs._source._look_every_s = 0.05
    until(
        lambda: not (look._streams.jobs() or look._novelty.jobs() or look._agents),
        "its memory's end",
    )


def port_of_a_node() -> int:
    """A free port whose companion, by which nodes talk to each other, is free as well."""
    for _ in range(1000):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + 10_000))
                return port
    raise AssertionError("no port for a node of a cluster")


@pytest.fixture
def cluster(start_server):
    """The URL of a cluster of two nodes."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
    nodes = [start_server(*options, port=port_of_a_node()) for _ in range(2)]
    clients = [redis.Redis(port=node.port) for node in nodes]
    for client, slots in zip(clients, ((0, 8000), (8001, 16383)), strict=True):
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
    clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port)
    until(lambda: all(c.cluster("info")["cluster_state"] == "ok" for c in clients), "the cluster")
    for client in clients:
        client.close()
    return f"redis+cluster://127.0.0.1:{nodes[0].port}"


def test_a_cluster_is_read_whole(cluster, key_prefix):
    """Its keys lie on several nodes; a notification is heard on each."""
    bus = Bus(cluster, key_prefix)
    jobs = [f"{number:08}{JOB_ID[8:]}" for number in range(20)]
    for job_id in jobs:
        bus.send(message("heartbeat", 1, job_id=job_id, agent_id=job_id), event(2, job_id=job_id))
    with bus.reader() as reader:
        assert sorted((m.job_id, m.seq) for m in collected(reader, 40)) == [
            (job_id, seq) for job_id in jobs for seq in (1, 2)
        ]
        for job_id in jobs:
            bus.send(event(3, job_id=job_id), message("status", 4, job_id=job_id, **STATUS))
        assert sorted((m.job_id, m.seq) for m in collected(reader, 40)) == [
            (job_id, seq) for job_id in jobs for seq in (3, 4)
        ]
        assert reader.notes() == []
    bus.transport.close()

    url = parse_bus_url(cluster)
    assert isinstance(url, RedisUrl)
    access = RedisAccess(url, 1.0)
    here = access._ranges[0].node
    access._ranges = [one._replace(node=here) for one in access._ranges]
    keys = [f"{key_prefix}events:{job_id}" for job_id in jobs]
    answers = access.ask([("XRANGE", key, "-", "+", "COUNT", 5) for key in keys])
    assert [len(answer) for answer in answers] == [2] * 20  # most were asked of the wrong node
    access.close()


def test_a_random_outage_storm_loses_and_doubles_nothing(start_server, key_prefix, long):
    """Subscriptions and connections are cut again and again while two agents report."""
    server = start_server()
    bus = Bus(server.url, key_prefix)
    rng = random.Random(11)
    number = 20_000 if long else 1_000
    with bus.reader() as reader, redis.Redis.from_url(server.url) as admin:
        looks_often(reader)
        for seq in range(1, number + 1):
            agent = rng.choice("ab")
            bus.send(event(seq, agent_id=agent, timestamp=timestamp(SystemClock().now())))
            if rng.random() < 0.01:
                admin.client_kill_filter(_type=rng.choice(["pubsub", "normal"]), skipme=True)
                bus.transport.connect()
        found = collected(reader, number)
        found += reader.finish()

    assert seqs(found) == list(range(1, number + 1))
    bus.transport.close()


def test_what_comes_while_streams_are_read_keeps_its_place(bus):
    """A page may hold events that are later than a message whose notification is still waiting."""
    told: list[BusMessage] = []
    look = RedisLook(bus.prefix, None, told.extend, Complaints())
    sent = [event(1), message("heartbeat", 2), event(3)]
    bus.send(*sent)
    url = parse_bus_url(bus.url)
    assert isinstance(url, RedisUrl)
    with contextlib.closing(RedisAccess(url, 1.0)) as access:
        look.notified(json.dumps(sent[0]).encode())
        look.settle(access, lambda: look.notified(json.dumps(sent[1]).encode()))

    assert seqs(told) == [1, 2, 3]
