"""What reporting costs: ``python -m tests.benchmarks.bench_bus [--rounds N] [--events N]``.

Each figure stands beside a baseline taken in turn in the same run, on a real server of its own:

* publishing an event, on the thread that does it;
* a heartbeat beside the bare EVALSHA of the same script;
* events in batches beside a batch script written by hand for redis-py, with a plain argument for
  each field;
* the replay of buffered events;
* a backup whose bus is a black hole beside one whose bus is a file.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from baqup_agent.bus.client import BusClient
from baqup_agent.bus.encoding import to_fields, to_json
from baqup_agent.bus.messages import Event, Heartbeat, Stamp
from baqup_agent.bus.redis_connect import open_client
from baqup_agent.bus.redis_scripts import WRITE_HASH
from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.topology import Wire, entry_id, key
from baqup_agent.bus.url import RedisUrl, parse_bus_url
from baqup_agent.clock import SystemClock
from baqup_agent.config.settings import BusSettings
from baqup_agent.controller.embedded import EmbeddedServer
from baqup_agent.observability.sink import NullLog
from baqup_agent.security.secret import Secret

BATCH = 500

#: What somebody would write who wants the same guarantees from redis-py.
BY_HAND = """
for i = 4, #ARGV, 27 do
  local entry = {}
  for j = i + 1, i + 26 do entry[#entry + 1] = ARGV[j] end
  local added = redis.pcall('XADD', KEYS[1], ARGV[i], unpack(entry))
  if added.err and not string.find(added.err, 'equal or smaller', 1, true) then return added end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
"""


def wall_s(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def events_of(job: str, count: int) -> list[Wire]:
    now = SystemClock().now()
    return [
        Event(
            Stamp(job, "agent-bench", now, seq), code="FILE_CHANGED", severity="warn",
            message="modified during the backup", first_occurrence=now, last_occurrence=now,
            count=seq, sample_paths=["var/lib/data/a", "var/lib/data/b"],
        ).to_wire()
        for seq in range(1, count + 1)
    ]  # fmt: skip


def client(url: str, fallback: Path, job: str) -> BusClient:
    settings = BusSettings(url=Secret(url), fallback_dir=fallback)
    return BusClient(settings, NullLog(), job_id=job, agent_id=f"agent-{uuid.uuid4().hex[:6]}")


@contextmanager
def black_hole() -> Iterator[str]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def publish(bus: BusClient, count: int) -> None:
    for number in range(count):
        bus.event(
            "FILE_CHANGED", severity="info", message="modified during the backup",
            count=number, sample_paths=("var/lib/data/a", "var/lib/data/b"),
        )  # fmt: skip


def bench_publish(rounds: int) -> None:
    count = 2000
    with tempfile.TemporaryDirectory() as fallback, black_hole() as url:
        bus = client(url, Path(fallback), str(uuid.uuid4()))
        bus.connect(3)
        publish(bus, count)
        costs = [wall_s(lambda: publish(bus, count)) / count * 1e6 for _ in range(rounds)]
        bus.close()
    print(f"publish an event, bus away     {statistics.median(costs):8.2f} us   (at most 5)")


def bench_heartbeat(server: EmbeddedServer, rounds: int) -> None:
    count = 500
    url = parse_bus_url(server.url)
    assert isinstance(url, RedisUrl)
    transport = RedisTransport(url, "bench:")
    transport.connect()
    raw = open_client(url)
    raw.execute_command("SCRIPT LOAD", WRITE_HASH.text)
    beat = Heartbeat(Stamp("job", "agent", SystemClock().now(), 1), "running").to_wire()
    fields = [text for pair in to_fields(beat).items() for text in pair]
    arguments = [beat["timestamp"], 30_000, "bench:notify", to_json(beat), *fields]
    where = key("bench:", "heartbeat", "agent")

    def ours() -> None:
        for _ in range(count):
            transport.send(beat)

    def bare() -> None:
        for _ in range(count):
            raw.execute_command("EVALSHA", WRITE_HASH.digest, 1, where, *arguments)

    ours(), bare()
    pairs = [(wall_s(ours), wall_s(bare)) for _ in range(rounds)]
    report("write a heartbeat", "the bare EVALSHA", pairs, count, "at most 1.2 times its time")
    transport.close()
    raw.close()


def bench_events(server: EmbeddedServer, rounds: int) -> None:
    count = 20 * BATCH
    url = parse_bus_url(server.url)
    assert isinstance(url, RedisUrl)
    transport = RedisTransport(url, "bench:")
    transport.connect()
    raw = Redis.from_url(server.url, protocol=2)
    by_hand = raw.register_script(BY_HAND)
    pairs = []
    for _ in range(rounds):
        mine, theirs = (events_of(str(uuid.uuid4()), count) for _ in range(2))

        def ours(events: list[Wire] = mine) -> None:
            for at in range(0, count, BATCH):
                transport.append(events[at : at + BATCH])

        def hand(events: list[Wire] = theirs) -> None:
            for at in range(0, count, BATCH):
                arguments: list[object] = [86_400_000, "bench:notify", to_json(events[at])]
                for event in events[at : at + BATCH]:
                    fields = to_fields(event)
                    fields.setdefault("one", "more")
                    arguments.append(entry_id(event))
                    arguments += [text for pair in fields.items() for text in pair]
                by_hand(keys=[key("bench:", "event", events[0]["job_id"])], args=arguments)

        pairs.append((wall_s(ours), wall_s(hand)))
        raw.flushall()
    report("events in batches", "a batch script by hand", pairs, count, "at most 1.25")
    transport.close()
    raw.close()


def bench_replay(server: EmbeddedServer, events: int) -> None:
    job = str(uuid.uuid4())
    with tempfile.TemporaryDirectory() as fallback:
        with black_hole() as url:
            before = client(url, Path(fallback), job)
            publish(before, events)
            before.close()
        after = client(server.url, Path(fallback), job)
        after.connect(5)
        after.event("LAST", severity="info", message="behind all the others")
        took_s = wall_s(lambda: after.flush(120))
        after.close()
    with Redis.from_url(server.url) as admin:
        stored = admin.xlen(key("baqup:", "event", job))
    assert stored == events + 1, f"{stored} of {events + 1}"
    print(
        f"replay {events} events       {took_s:8.2f} s    "
        f"{events / took_s:,.0f} a second (at least 40,000)"
    )


def bench_backup(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as where, black_hole() as hole:
        scene = Path(where)
        source = scene / "source"
        source.mkdir()
        for number in range(3000):
            (source / f"{number}.bin").write_bytes(os.urandom(65_536))

        def backup(url: str) -> float:
            job = str(uuid.uuid4())
            environ = {
                **os.environ,
                "BAQUP_JOB_ID": job,
                "BAQUP_STAGING_DIR": str(scene / "staging"),
                "BAQUP_SOURCE_PATH": str(source),
                "BAQUP_BUS_URL": url,
                "BAQUP_BUS_FALLBACK_DIR": str(scene / "buffer"),
                "BAQUP_BUS_GRACE_PERIOD": "0",
            }
            command = [sys.executable, "-m", "baqup_agent.agents.fs", "snapshot"]
            agent = subprocess.run(
                command, check=False, env=environ, capture_output=True, text=True
            )
            assert agent.returncode in {0, 75}, agent.stderr
            return work_s(agent.stderr)

        file_url = f"file://{scene}/bus"
        backup(file_url), backup(hole)
        pairs = [(backup(hole), backup(file_url)) for _ in range(rounds)]
    report("a backup, bus a black hole", "its bus a file", pairs, 1, "at most 1.02")


def work_s(log: str) -> float:
    """Seconds that the work itself took, by the log: from ``running`` to ``completing``."""
    import json
    from datetime import datetime

    moments = {}
    for line in log.splitlines():
        record = json.loads(line)
        _, arrow, leaf = record["message"].partition(" -> ")
        if arrow:
            phase = leaf.partition(".")[0]
            moments.setdefault(phase, datetime.fromisoformat(record["timestamp"]))
    return (moments["completing"] - moments["running"]).total_seconds()


def report(
    what: str, baseline: str, pairs: list[tuple[float, float]], count: int, bound: str
) -> None:
    ours, theirs = (statistics.median(column) / count * 1e6 for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(f"{what:30s} {ours:8.1f} us   {ratio:.3f} of {baseline}, {theirs:.1f} us ({bound})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--events", type=int, default=100_000)
    given = parser.parse_args()
    bench_publish(given.rounds)
    with EmbeddedServer() as server:
        bench_heartbeat(server, given.rounds)
        bench_events(server, given.rounds)
        bench_replay(server, given.events)
    bench_backup(given.rounds)


if __name__ == "__main__":
    main()
