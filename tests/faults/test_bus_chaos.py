"""Events under kills of the agent and of the server, stalls and cut connections (Contract §3).

An agent process publishes numbered events to a real server that keeps its data on disk. It is
killed again and again, and so is the server; what the agent said it had published has to be on
the stream in the end: all of it, once, in order.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from baqup_agent.bus.encoding import decode_hash
from baqup_agent.bus.topology import key
from baqup_agent.controller.embedded import EmbeddedServer
from tests.faults.teller import JOB
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(1200)

#: Seconds that a stalled server sleeps: longer than the publisher waits for an answer.
STALL_S = 1.3


class Teller:
    """One attempt of the agent.

    Attributes:
        begun: events that it was about to publish.
        done: events that it said it had published.
    """

    def __init__(self, url: str, fallback: Path, attempt: int, most: int) -> None:
        self.attempt = attempt
        self.begun = self.done = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.teller", url, str(fallback), str(attempt),
             str(most)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                self.begun += line.startswith(b"+")
                self.done += line.startswith(b"=")

    def wait_for(self, done: int) -> bool:
        """Wait until it has published so many, or has ended."""
        eventually(lambda: self.done >= done or self.process.poll() is not None, within_s=120)
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        code = self.process.wait(timeout=120)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


class Server:
    """A server that comes back with its data, on the same port."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        keep = ("--dir", str(directory), "--appendonly", "yes", "--appendfsync", "always")
        self._keep = keep
        self.process = EmbeddedServer(*keep)
        self.process.start()
        self.url = self.process.url

    def kill_and_restart(self) -> None:
        port = self.process.port
        self.process.kill()
        self.process = EmbeddedServer(*self._keep, port=port)
        self.process.start()

    def stall(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)
        threading.Event().wait(STALL_S)  # the stall itself
        os.kill(self.process.pid, signal.SIGCONT)

    def cut_connections(self) -> None:
        with Redis.from_url(self.url) as admin, suppress(RedisError):
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def stored(self) -> list[str]:
        with Redis.from_url(self.url, decode_responses=True) as admin:
            entries = admin.xrange(key("baqup:", "event", JOB))
        return [decode_hash("event", fields)["message"] for _, fields in entries]


class Trouble:
    """Trouble for the server, one after the other for as long as somebody works.

    It is made by the main thread: a server ends with the thread that started it.
    """

    def __init__(self, server: Server, chance: random.Random, kills: int) -> None:
        self._server, self._chance, self._kills_left = server, chance, kills
        self.kills = self.stalls = self.cuts = 0

    def make(self, done: threading.Event) -> None:
        while not done.wait(self._chance.uniform(0.05, 0.3)):
            kind = self._chance.random()
            if kind < 0.5 and self._kills_left:
                self._server.kill_and_restart()
                self._kills_left -= 1
                self.kills += 1
            elif kind < 0.6:
                self._server.stall()
                self.stalls += 1
            else:
                self._server.cut_connections()
                self.cuts += 1


def run_attempts(
    url: str, fallback: Path, chance: random.Random, *, kills: int, events: int
) -> list[Teller]:
    """Attempt after attempt, each but the last killed somewhere on its way."""
    share = events // (kills + 1)
    attempts: list[Teller] = []
    for attempt in range(kills):
        teller = Teller(url, fallback, attempt, 10 * events)
        attempts.append(teller)
        assert teller.wait_for(chance.randint(share // 2, share * 3 // 2))
        teller.kill()
    missing = max(share, events - sum(teller.done for teller in attempts))
    last = Teller(url, fallback, kills, missing)
    attempts.append(last)
    assert last.wait() == 0
    return attempts


def test_events_survive_every_kill(
    long: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was published is on the stream: nothing lost, nothing doubled, in order."""
    events, kills = (40_000, 20) if long else (6_000, 4)
    chance = random.Random(20)
    server = Server(tmp_path / "data")
    trouble, done = Trouble(server, random.Random(4), kills), threading.Event()
    with ThreadPoolExecutor(1) as worker:
        try:
            work = worker.submit(
                run_attempts, server.url, tmp_path / "buffer", chance, kills=kills, events=events
            )
            work.add_done_callback(lambda _: done.set())
            trouble.make(done)
            attempts = work.result()
            stored = server.stored()
        finally:
            server.process.stop()

    lost = doubled = 0
    expected: list[str] = []
    for teller in attempts:
        mine = [name for name in stored if name.startswith(f"{teller.attempt}:")]
        numbers = [int(name.partition(":")[2]) for name in mine]
        doubled += len(numbers) - len(set(numbers))
        lost += len(set(range(teller.done)) - set(numbers))
        # The one that was under way when the kill came may be there or not.
        assert set(numbers) <= set(range(teller.begun))
        expected += [f"{teller.attempt}:{number}" for number in range(len(numbers))]
    with capsys.disabled():
        print(
            f"\n  {len(stored)} events, {kills} kills of the agent, {trouble.kills} of the "
            f"server, {trouble.stalls} stalls, {trouble.cuts} cuts: {lost} lost, "
            f"{doubled} doubled, {'in order' if stored == expected else 'OUT OF ORDER'}",
            end="",
        )
    assert (lost, doubled) == (0, 0)
    assert stored == expected
    assert sum(teller.process.returncode == -signal.SIGKILL for teller in attempts) == kills
    assert list((tmp_path / "buffer").iterdir()) == []
