"""What a fleet of agents costs a Redis server, so that users can size theirs.

    python -m tests.benchmarks.bench_fleet [--agents N] [--seconds S] [--interval S]

Each simulated agent has a connection of its own and sends its heartbeats by the script that real
agents use, on a schedule spread over the interval. A `BusReader` reads all of them meanwhile, as a
controller does, from a process of its own. Then all agents beat as fast as they get answers, which
shows how much room there is. Everything runs on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import statistics
import sys
import time
import uuid
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from attrs import define, field
from redis import Redis

from baqup_agent.bus.encoding import to_fields, to_json
from baqup_agent.bus.messages import Heartbeat, Stamper
from baqup_agent.bus.redis_scripts import WRITE_HASH
from baqup_agent.bus.topology import NOTIFY_WORD, PLACES, key
from baqup_agent.clock import SystemClock
from baqup_agent.contract import AgentState
from baqup_agent.controller import BusReader
from baqup_agent.controller.embedded import EmbeddedServer

PREFIX = "baqup:"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
HURRY_S = 5.0


def command(*parts: str | int) -> bytes:
    """One command as the protocol writes it."""
    encoded = [str(part).encode() for part in parts]
    head = b"*%d\r\n" % len(encoded)
    return head + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in encoded)


@define
class Agent:
    """One simulated agent."""

    port: int
    number: int
    latencies_s: list[float] = field(factory=list)
    _stamper: Stamper = field(init=False)
    _reader: asyncio.StreamReader = field(init=False)
    _writer: asyncio.StreamWriter = field(init=False)

    async def connect(self) -> None:
        job_id = str(uuid.UUID(int=self.number))
        self._stamper = Stamper(job_id, f"agent-fs-{self.number:06x}", SystemClock())
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def beat(self) -> None:
        wire = Heartbeat(self._stamper.next(), AgentState.RUNNING).to_wire()
        place = PLACES["heartbeat"]
        fields = [text for pair in to_fields(wire).items() for text in pair]
        where = key(PREFIX, "heartbeat", wire["agent_id"])
        common = (place.ttl_s * 1000, PREFIX + NOTIFY_WORD, to_json(wire))
        sent = command("EVALSHA", WRITE_HASH.digest, 1, where, wire["timestamp"], *common, *fields)
        began_s = time.perf_counter()
        self._writer.write(sent)
        answer = await self._reader.readline()
        self.latencies_s.append(time.perf_counter() - began_s)
        assert answer == b":1\r\n", answer

    async def on_schedule(self, interval_s: float, start_s: float, until_s: float) -> None:
        due_s = start_s
        while due_s < until_s:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await self.beat()
            due_s += interval_s

    async def in_a_hurry(self, until_s: float) -> None:
        while time.monotonic() < until_s:
            await self.beat()

    def close(self) -> None:
        self._writer.close()


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def read_all(url: str, pipe: Connection) -> None:
    """Read the bus, and tell how many messages that were when asked; the second time, end."""
    count = 0
    with BusReader(url, key_prefix=PREFIX) as reader:
        pipe.send("ready")
        for _ in range(2):
            while not pipe.poll():
                count += len(reader.poll(0.05))
            pipe.recv()
            pipe.send(count)


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


async def drive(
    arguments: argparse.Namespace, server: EmbeddedServer, reader_pid: int, asked: Connection
) -> dict[str, Any]:
    """Let the fleet beat; returns what was measured."""
    with Redis.from_url(server.url) as admin:
        empty_bytes = int(admin.info("memory")["used_memory"])
        admin.script_load(WRITE_HASH.text)
        agents = [Agent(server.port, number) for number in range(1, arguments.agents + 1)]
        for agent in agents:
            await agent.connect()
        step_s = arguments.interval / len(agents)
        start_s = time.monotonic() + 0.5
        before, reader_before, began_s = cpu_s(server.pid), cpu_s(reader_pid), time.monotonic()
        until_s = start_s + arguments.seconds
        await asyncio.gather(
            *(
                agent.on_schedule(arguments.interval, start_s + number * step_s, until_s)
                for number, agent in enumerate(agents)
            )
        )
        lasted_s = time.monotonic() - began_s
        calm = [latency for agent in agents for latency in agent.latencies_s]
        memory = admin.info("memory")
        result = {
            "writes a second": f"{len(calm) / lasted_s:.0f}",
            "server CPU, of one core": f"{(cpu_s(server.pid) - before) / lasted_s:.1%}",
            "reader CPU, of one core": f"{(cpu_s(reader_pid) - reader_before) / lasted_s:.1%}",
            "write latency, median": f"{statistics.median(calm) * 1000:.2f} ms",
            "write latency, p99": f"{p99(calm) * 1000:.2f} ms",
            "write latency, longest": f"{max(calm) * 1000:.2f} ms",
            "server memory, used": f"{int(memory['used_memory']) / 2**20:.1f} MiB",
            "of that by each agent": f"{_each_kib(memory, empty_bytes, len(agents)):.1f} KiB",
            "server memory, resident": f"{int(memory['used_memory_rss']) / 2**20:.1f} MiB",
        }
        await asyncio.sleep(0.5)  # the last notifications are on their way
        asked.send("how many?")
        result["beats sent, and read"] = f"{len(calm):,}, {asked.recv():,}"
        for agent in agents:
            agent.latencies_s.clear()
        began_s, before = time.monotonic(), cpu_s(server.pid)
        await asyncio.gather(*(agent.in_a_hurry(began_s + HURRY_S) for agent in agents))
        lasted_s = time.monotonic() - began_s
        hurried = [latency for agent in agents for latency in agent.latencies_s]
        result["in a hurry, writes a second"] = f"{len(hurried) / lasted_s:,.0f}"
        result["in a hurry, server CPU"] = f"{(cpu_s(server.pid) - before) / lasted_s:.0%}"
        for agent in agents:
            agent.close()
    return result


def _each_kib(memory: dict[str, Any], empty_bytes: int, agents: int) -> float:
    return float(int(memory["used_memory"]) - empty_bytes) / agents / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--interval", type=float, default=10.0)
    arguments = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = arguments.agents + 200
    if soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            sys.exit(f"{needed} open files are needed, {hard} allowed; raise it with ulimit -n")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    with EmbeddedServer("--maxclients", str(needed)) as server:
        ours, theirs = multiprocessing.Pipe()
        reader = multiprocessing.Process(target=read_all, args=(server.url, theirs), daemon=True)
        reader.start()
        ours.recv()
        assert reader.pid is not None
        result = asyncio.run(drive(arguments, server, reader.pid, ours))
        ours.send("that is all")
        ours.recv()
        reader.join(10)
    print(f"| {arguments.agents:,} agents, a beat every {arguments.interval:g} s | |")
    print("|---|---:|")
    for name, value in result.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
