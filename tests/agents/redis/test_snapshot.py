"""The role snapshot: servers that refuse, wait, die, or are none."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent_process import AgentProcess
from tests.agents.redis.conftest import AT_ONCE, Start, fill
from tests.agents.sqlite.conftest import mounted
from tests.servers.certificates import Authority
from tests.servers.process import LOOPBACK, Server, free_port
from tests.servers.versions import newest, with_tls

PASSWORD = "Redis-Pass-47!"


def error(agent: AgentProcess) -> tuple[int, str]:
    """Return the exit code and the code of what went wrong."""
    return agent.status["exit_code"], agent.status["error"]["code"]


def test_the_heartbeats_tell_what_goes_on(start: Start, server: Server) -> None:
    """Each leaf is in a heartbeat, and the size in the progress."""
    fill(server, 2)

    agent = start("snapshot", server)

    assert agent.wait() == 0, agent.stderr
    beats = [beat for beat in agent.of("heartbeat") if beat["state"] == "running"]
    leaves = dict.fromkeys(beat.get("substate") for beat in beats)
    assert list(leaves) == ["inspecting", "waiting", "receiving", "sealing"]
    last = agent.of("progress")[-1]
    assert last["percent_complete"] == 100
    assert last["bytes_processed"] > 30_000
    assert agent.manifest is not None
    assert agent.manifest["source_metadata"]["server"]["keys"] == "2000"


@pytest.mark.parametrize(
    ("password", "expected"),
    [(PASSWORD, 0), ("wrong", 64), (None, 64)],
    ids=["right", "wrong", "absent"],
)
def test_a_password(start: Start, password: str | None, expected: int) -> None:
    """The right password opens the server; another one is a matter of configuration, 64."""
    with Server(newest(), *AT_ONCE, "--requirepass", PASSWORD) as server:
        given = {} if password is None else {"secret_db_password": password}
        agent = start("snapshot", server, **given)
        assert agent.wait() == expected, agent.stderr

    if expected:
        assert error(agent) == (64, "AUTHENTICATION_FAILED")
        assert agent.manifest is None


def test_a_user_with_just_the_rights_it_needs(start: Start, server: Server) -> None:
    """What a refusal asks for is enough: a user with those commands can take a snapshot."""
    login = {"secret_db_user": "backup-user", "secret_db_password": PASSWORD}
    with server.admin() as client:
        client.execute_command("ACL", "SETUSER", "backup-user", "on", f">{PASSWORD}", "+ping")
        refused = start("snapshot", server, **login)
        assert refused.wait() == 64, refused.stderr
        assert error(refused) == (64, "PERMISSION_DENIED")
        rights = refused.status["error"]["message"].partition("allow the user ")[2].split()
        client.execute_command("ACL", "SETUSER", "backup-user", *rights)

    agent = start("snapshot", server, **login)

    assert agent.wait() == 0, agent.stderr
    assert PASSWORD not in agent.stderr


def test_a_server_that_is_not_there(start: Start) -> None:
    """Nobody listens: 69, to be tried again, with each attempt."""
    agent = start("snapshot", source_host=LOOPBACK, source_port=free_port())

    assert agent.wait() == 69
    assert error(agent) == (69, "SOURCE_UNAVAILABLE")
    assert len(agent.status["error"]["attempts"]) == 1


def test_something_else_that_listens(start: Start, babbling_url: str) -> None:
    """Who answers in another protocol is no Redis server: 65, with what to check."""
    port = babbling_url.rpartition(":")[2].partition("/")[0]

    agent = start("snapshot", source_host=LOOPBACK, source_port=port)

    assert agent.wait() == 65, agent.stderr
    assert "no answer of a Redis server" in agent.status["error"]["message"]


def test_a_silent_server(start: Start, black_hole_url: str) -> None:
    """Who accepts and never answers is given up in time: 69."""
    port = black_hole_url.rpartition(":")[2].partition("/")[0]

    agent = start("snapshot", source_host=LOOPBACK, source_port=port, source_timeout="1s")

    assert agent.wait() == 69, agent.stderr
    assert error(agent) == (69, "CONNECTION_LOST")


@pytest.fixture
def slow(server: Server) -> Server:
    """A server that takes a while to write each key of its snapshot."""
    fill(server, 20)
    with server.admin() as client:
        client.config_set("rdb-key-save-delay", 1000)
    return server


def test_a_server_that_dies_in_the_middle(start: Start, slow: Server) -> None:
    """The server is killed while it sends: 69, and half an RDB is not published."""
    agent = start("snapshot", slow)
    agent.wait_until(lambda: (agent.of("progress") or [{}])[-1].get("bytes_processed"))
    slow.kill()

    assert agent.wait() == 69, agent.stderr
    assert error(agent) == (69, "CONNECTION_LOST")
    assert agent.manifest is None


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_an_end_in_the_middle(start: Start, slow: Server, signum: signal.Signals) -> None:
    """Whoever ends the agent while the server sends, nothing is published; a new attempt is."""
    agent = start("snapshot", slow)
    agent.wait_until(lambda: (agent.of("progress") or [{}])[-1].get("bytes_processed"))
    agent.signal(signum)
    assert agent.wait() == (1 if signum is signal.SIGTERM else -signum)
    assert agent.manifest is None
    with slow.admin() as client:
        client.config_set("rdb-key-save-delay", 0)

    again = start("snapshot", slow, job_id=agent.job_id)

    assert again.wait() == 0, again.stderr
    assert sorted(path.name for path in again.directory.iterdir()) == [
        "dump.rdb.zst",
        "manifest.json",
    ]


def test_a_full_disk(start: Start, server: Server, tmp_path: Path) -> None:
    """A staging area without room is an I/O error, 74, and nothing is published."""
    with server.admin() as client:
        for number in range(200):
            client.set(f"noise-{number}", os.urandom(20_000))
    (tmp_path / "staging").mkdir()
    with mounted(tmp_path / "staging", "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        agent = start("snapshot", server)
        assert agent.wait() == 74, agent.stderr
        assert agent.manifest is None


def test_tls(start: Start, authority: Authority) -> None:
    """Over TLS the server's certificate is proven: unknown authorities are refused, 64."""
    version = with_tls()
    if version is None:
        pytest.skip("no server here was built with TLS, the second oracle")
    files = authority.issue()
    arguments = (
        *("--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key)),
        *("--tls-ca-cert-file", str(authority.certificate), "--tls-auth-clients", "no"),
    )
    with Server(version, *AT_ONCE, *arguments, tls=authority.certificate) as server:
        named = {"source_tls": "true"}
        agent = start("snapshot", server, **named, source_tls_ca=authority.certificate)
        assert agent.wait() == 0, agent.stderr
        unknown = start("snapshot", server, **named)
        assert unknown.wait() == 64, unknown.stderr


class Script:
    """A server that says what a test tells it to, one answer for each command."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        file = connection.makefile("rb")
        while head := file.readline():
            count = int(head[1:])
            words = [file.read(int(file.readline()[1:]) + 2)[:-2] for _ in range(count)]
            answer = self._answers.get(words[0], b"+OK\r\n")
            connection.sendall(answer)
            if words[0] in {b"PSYNC", b"SYNC"} and not answer.startswith(b"-"):
                return

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def script() -> Iterator[Callable[[dict[bytes, bytes]], Script]]:
    """Starts such servers."""
    with contextlib.ExitStack() as stack:

        def make(answers: dict[bytes, bytes]) -> Script:
            made = Script(answers)
            stack.callback(made.close)
            return made

        yield make


RDB = bytes.fromhex("524544495330303039ff") + (0).to_bytes(8, "little")
FULL = b"+FULLRESYNC " + b"0" * 40 + b" 0\r\n"


@pytest.mark.parametrize(
    ("sync", "expected"),
    [
        (FULL + b"\n\n\n$%d\r\n%s" % (len(RDB), RDB), (0, None)),
        (FULL + b"$EOF:%s\r\n%s%s" % (b"ab" * 20, RDB, b"ab" * 20), (0, None)),
        (FULL + b"$%d\r\n%s" % (len(RDB) + 1, RDB), (69, "CONNECTION_LOST")),
        (FULL + b"$EOF:%s\r\n%s%s" % (b"ab" * 20, RDB, b"ab" * 19), (69, "CONNECTION_LOST")),
        (FULL + b"$%d\r\n%s" % (len(RDB), b"HTTP/1.1" + RDB[8:]), (65, "NOT_AN_RDB")),
        (FULL + b"$%d\r\n%s" % (len(RDB), RDB[:-1] + b"\1"), (65, "RDB_CORRUPT")),
        (FULL + b"$9\r\n%s" % RDB[:9], (65, "RDB_CORRUPT")),
        (FULL + b"$-1\r\n", (65, "DATA_INVALID")),
        (b"-ERR BGSAVE failed, replication can't continue\r\n", (69, "BGSAVE_FAILED")),
        (b"-ERR something new\r\n", (69, "SOURCE_REFUSED")),
    ],
    ids=[
        "length",
        "mark",
        "short",
        "half-a-mark",
        "no-rdb",
        "checksum",
        "no-end",
        "no-length",
        "no-fork",
        "unknown",
    ],
)
def test_what_a_server_may_send(
    start: Start,
    script: Callable[[dict[bytes, bytes]], Script],
    sync: bytes,
    expected: tuple[int, str | None],
) -> None:
    """Only a whole and sound RDB is published; what else comes has an exit code of its own."""
    made = script({b"PSYNC": sync, b"PING": b"+PONG\r\n", b"INFO": b"-ERR no\r\n"})

    agent = start("snapshot", source_host=LOOPBACK, source_port=made.port)

    assert agent.wait() == expected[0], agent.stderr
    assert (agent.manifest is None) is (expected[0] != 0)
    if expected[1]:
        assert error(agent) == expected
    else:
        assert "CHECKSUM_ABSENT" in [event["code"] for event in agent.of("event")]


def test_an_old_server(start: Start, script: Callable[[dict[bytes, bytes]], Script]) -> None:
    """A server that knows no PSYNC and no REPLCONF is asked by SYNC."""
    unknown = b"-ERR unknown command\r\n"
    made = script(
        {
            b"REPLCONF": unknown,
            b"PSYNC": unknown,
            b"SYNC": b"$%d\r\n%s" % (len(RDB), RDB),
            b"INFO": b"-NOPERM\r\n",
        }
    )

    agent = start("snapshot", source_host=LOOPBACK, source_port=made.port)

    assert agent.wait() == 0, agent.stderr


def test_a_server_that_never_begins(
    start: Start, script: Callable[[dict[bytes, bytes]], Script]
) -> None:
    """A server that stays busy is waited for, but not for ever: 69."""
    made = script({b"PSYNC": b"-LOADING Redis is loading the dataset in memory\r\n"})

    agent = start("snapshot", source_host=LOOPBACK, source_port=made.port, source_patience="1s")

    assert agent.wait() == 69, agent.stderr
    assert error(agent) == (69, "SOURCE_BUSY")
