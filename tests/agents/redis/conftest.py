from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent_process import AgentProcess
from tests.servers.process import LOOPBACK, Server
from tests.servers.versions import newest
from tests.waiting import eventually

AGENT = [sys.executable, "-m", "baqup_agent.agents.redis"]

Start = Callable[..., AgentProcess]

#: Servers wait a while for more replicas before they fork; not in tests.
AT_ONCE = ("--save", "", "--repl-diskless-sync-delay", "0")


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that a test may fill, freeze and kill."""
    with Server(newest(), *AT_ONCE, "--enable-debug-command", "yes") as server:
        yield server


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts agents; they are ended with the test."""
    with contextlib.ExitStack() as stack:

        def start(
            role: str, server: Server | None = None, *, job_id: str | None = None, **more: object
        ) -> AgentProcess:
            given: dict[str, object] = {"bus_grace_period": 20, "job_retry_max": 1, **more}
            if server is not None:
                given = {"source_host": LOOPBACK, "source_port": server.port, **given}
            named = {f"BAQUP_{name.upper()}": str(value) for name, value in given.items()}
            agent = AgentProcess(tmp_path, role, program=AGENT, environ=named, job_id=job_id)
            stack.callback(agent.end)
            return agent

        yield start


@contextlib.contextmanager
def transferring(server: Server) -> Iterator[Callable[[], int]]:
    """Have a client write keys that must agree, in transactions; gives how many it made."""
    done, ended = [0], threading.Event()

    def write() -> None:
        with server.admin() as client:
            while not ended.is_set():
                with client.pipeline(transaction=True) as pipe:
                    pipe.incr("a").incr("b").rpush("log", "x" * 100).execute()
                done[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually(lambda: done[0] > 10, within_s=60)
        yield lambda: done[0]
    finally:
        ended.set()
        writer.join()


def transfers(server: Server) -> int:
    """Make sure that the keys agree; return how many transactions they tell of."""
    with server.admin() as client:
        count = int(str(client.get("a")))
        assert int(str(client.get("b"))) == count
        assert client.llen("log") == count
    return count


def fill(server: Server, megabytes: int) -> None:
    """Fill a server with what does not compress well."""
    with server.admin() as client:
        client.execute_command("DEBUG", "POPULATE", megabytes * 1000, "filler", 1000)
