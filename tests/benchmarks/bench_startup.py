"""How quickly an agent answers: ``python -m tests.benchmarks.bench_startup [ROUNDS]``.

Prints the median wall time of ``agent-fs --info`` and of ``agent-fs --validate snapshot`` beside
that of a bare interpreter which imports ``argparse`` and ``json``, taken in turn in the same run,
and the medians of their ratios; likewise the time from the start of a job to its first heartbeat in
Redis beside a process that imports redis and sends one PING. It ends with 1 if one is over its
limit.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from redis import Redis

from baqup_agent.controller.embedded import EmbeddedServer

AGENT = [sys.executable, "-m", "baqup_agent.agents.fs"]
BASELINE = [sys.executable, "-c", "import argparse, json"]

#: What is asked, and how many times the baseline it may take.
QUESTIONS = {
    "agent-fs --info": ([*AGENT, "--info"], 2.0),
    "agent-fs --validate": ([*AGENT, "--validate", "snapshot"], 3.0),
}

#: How many times the PING the first heartbeat may take.
BEAT_LIMIT = 2.5

ENVIRON = {
    **os.environ,
    "BAQUP_JOB_ID": "123e4567-e89b-12d3-a456-426614174000",
    "BAQUP_STAGING_DIR": "/staging",
    "BAQUP_BUS_URL": "redis://localhost:6379/0",
    "BAQUP_SOURCE_PATH": "/data",
}


def wall_s(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRON)
    return time.perf_counter() - began


def main(rounds: int) -> int:
    commands = [BASELINE, *(command for command, _ in QUESTIONS.values())]
    for command in commands:
        wall_s(command)  # what is compiled and cached the first time
    rows = [[wall_s(command) for command in commands] for _ in range(rounds)]
    medians = [statistics.median(column) * 1000 for column in zip(*rows, strict=True)]
    print(f"import argparse, json   {medians[0]:6.1f} ms")
    over = False
    for place, (name, (_, limit)) in enumerate(QUESTIONS.items(), start=1):
        ratio = statistics.median(row[place] / row[0] for row in rows)
        over |= ratio > limit
        print(f"{name:<22}  {medians[place]:6.1f} ms   {ratio:.2f} of it (at most {limit:g})")
    return int(first_beat(rounds) or over)


def first_beat(rounds: int) -> bool:
    """Measure how soon a controller hears of a job; return whether that is over its limit."""
    with EmbeddedServer() as server, tempfile.TemporaryDirectory() as where:
        ping = f"import redis; redis.Redis(port={server.port}).ping()"
        pairs = [
            (heard_s(server, Path(where)), wall_s([sys.executable, "-c", ping]))
            for _ in range(rounds + 1)
        ][1:]
    beat, pinged = (statistics.median(column) * 1000 for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    print(f"import redis and ping   {pinged:6.1f} ms")
    print(f"first heartbeat         {beat:6.1f} ms   {ratio:.2f} of it (at most {BEAT_LIMIT:g})")
    return ratio > BEAT_LIMIT


def heard_s(server: EmbeddedServer, where: Path) -> float:
    """Seconds from the start of an agent until a subscriber hears its first beat."""
    (where / "source").mkdir(exist_ok=True)
    environ = {
        **ENVIRON,
        "BAQUP_JOB_ID": str(uuid.uuid4()),
        "BAQUP_STAGING_DIR": str(where / "staging"),
        "BAQUP_SOURCE_PATH": str(where / "source"),
        "BAQUP_BUS_FALLBACK_DIR": str(where / "buffer"),
        "BAQUP_BUS_URL": server.url,
    }
    with Redis.from_url(server.url) as client, client.pubsub() as heard:
        heard.subscribe("baqup:notify")
        heard.get_message(timeout=5)
        began = time.perf_counter()
        agent = subprocess.Popen([*AGENT, "snapshot"], env=environ, stderr=subprocess.DEVNULL)
        message = heard.get_message(timeout=30)
        took = time.perf_counter() - began
        agent.wait()
    assert message is not None
    assert b'"heartbeat"' in message["data"]
    return took


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
