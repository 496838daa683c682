"""What only a real server can show: lifetimes, lost answers, refusals, black holes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from baqup_agent.bus.backoff import Backoff
from baqup_agent.bus.outage import BusUnavailable, MessageRejected
from baqup_agent.bus.publisher import Publisher
from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.topology import entry_id, key
from baqup_agent.bus.url import RedisUrl, parse_bus_url
from baqup_agent.contract import HEARTBEAT_TTL_S, MESSAGE_TTL_S
from baqup_agent.controller.embedded import EmbeddedServer
from baqup_agent.errors import BusRefused
from tests.bus.recording import RecordingLog
from tests.bus.samples import AGENT, JOB, event, heartbeat, progress, stamp, status
from tests.waiting import eventually

PREFIX = "baqup:"
StartServer = Callable[..., EmbeddedServer]
Open = Callable[..., RedisTransport]


@pytest.fixture
def open_transport() -> Iterator[Open]:
    """Makes transports to URLs; they are closed at the end."""
    with ExitStack() as stack:

        def make(url: str, prefix: str = PREFIX, timeout_s: float = 0.3) -> RedisTransport:
            parsed = parse_bus_url(url)
            assert isinstance(parsed, RedisUrl)
            made = RedisTransport(parsed, prefix, timeout_s=timeout_s)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def admin(start_server: StartServer) -> Iterator[Redis]:
    """A client of a server of this test's own."""
    with Redis.from_url(start_server().url, decode_responses=True) as client:
        yield client


def url_of(admin: Redis, userinfo: str = "", database: int | str = 0) -> str:
    port = admin.connection_pool.connection_kwargs["port"]
    return f"redis://{userinfo}127.0.0.1:{port}/{database}"


@pytest.fixture
def transport(admin: Redis, open_transport: Open) -> RedisTransport:
    made = open_transport(url_of(admin))
    made.connect()
    return made


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


class TestServerDies:
    def test_messages_arrive_at_the_server_that_takes_its_place(
        self, start_server: StartServer, open_transport: Open
    ) -> None:
        """A killed server, then an empty one on the same port: what was not confirmed arrives."""
        first = start_server()
        log = RecordingLog()
        publisher = Publisher(
            open_transport(first.url), Backoff(draw=lambda _low, _high: 0.02), log
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
        self, black_hole_url: str, open_transport: Open
    ) -> None:
        """Messages are taken at full speed, and flush and close return."""
        publisher = Publisher(
            open_transport(black_hole_url, timeout_s=1.0), Backoff(), RecordingLog()
        )
        begun_s = time.monotonic()
        for seq in range(1, 2001):
            publisher.publish(event(stamp(seq, at_s=1)))
        taken_s = time.monotonic() - begun_s

        assert publisher.wait_connected(5) is False
        assert not publisher.flush(0.2)
        publisher.close()
        assert taken_s < 1
        assert time.monotonic() - begun_s < 8


class TestRefusals:
    @pytest.mark.parametrize("userinfo", ["", ":wrong-password@", "nobody:wrong-password@"])
    def test_wrong_or_missing_credentials(
        self, start_server: StartServer, open_transport: Open, userinfo: str
    ) -> None:
        """They are refused at once, and the error does not repeat them."""
        server = start_server("--requirepass", "the-right-password")
        url = f"redis://{userinfo}127.0.0.1:{server.port}/0"
        with pytest.raises(BusRefused) as caught:
            open_transport(url).connect()

        assert "wrong-password" not in str(caught.value.to_wire())
        assert str(server.port) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_right_credentials(self, start_server: StartServer, open_transport: Open) -> None:
        """A password with special characters is percent-encoded in the URL."""
        server = start_server("--requirepass", "p@ss/w#rd?%")
        transport = open_transport(f"redis://:p%40ss%2Fw%23rd%3F%25@127.0.0.1:{server.port}/0")
        transport.connect()
        transport.send(event(stamp(1)).to_wire())

    def test_a_user_who_may_not_run_scripts(self, admin: Redis, open_transport: Open) -> None:
        """Permissions are found out while connecting."""
        admin.acl_setuser("agent", enabled=True, passwords=["+pw"], keys=["*"], commands=["+ping"])
        with pytest.raises(BusRefused, match="permissions"):
            open_transport(url_of(admin, "agent:pw@")).connect()

    def test_a_user_who_may_not_write_these_keys(self, admin: Redis, open_transport: Open) -> None:
        """A refusal that only a write brings out is still a refusal."""
        admin.execute_command("ACL", "SETUSER", "agent", "on", ">pw", "~other:*", "&*", "+@all")
        transport = open_transport(url_of(admin, "agent:pw@"))
        transport.connect()
        for message in (event(stamp(1)), heartbeat(stamp(2))):
            with pytest.raises(BusRefused):
                transport.send(message.to_wire())

    def test_a_database_that_does_not_exist(self, admin: Redis, open_transport: Open) -> None:
        """It is the URL's fault."""
        with pytest.raises(BusRefused, match="DB index is out of range"):
            open_transport(url_of(admin, database=4711)).connect()

    def test_a_server_that_speaks_something_else(
        self, babbling_url: str, open_transport: Open
    ) -> None:
        """HTTP is no bus."""
        with pytest.raises(BusRefused):
            open_transport(babbling_url).connect()

    def test_tls_to_a_server_without_it(self, babbling_url: str, open_transport: Open) -> None:
        """An answer that is no TLS is recognised beneath redis-py's own error."""
        with pytest.raises(BusRefused, match="WRONG_VERSION_NUMBER"):
            open_transport(babbling_url.replace("redis:", "rediss:")).connect()

    def test_a_certificate_of_an_unknown_authority(
        self, tls_server: tuple[str, Path], open_transport: Open
    ) -> None:
        """A server that cannot prove who it is gets no message; naming its authority helps."""
        url, certificate = tls_server
        with pytest.raises(BusRefused, match="CERTIFICATE_VERIFY_FAILED"):
            open_transport(url).connect()

        # It says nothing after the handshake, so it counts as away: it was trusted.
        with pytest.raises(BusUnavailable):
            open_transport(f"{url}?ssl_ca_certs={certificate}").connect()

    def test_a_key_of_another_type_is_rejected(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """Sending it again would not help, so it is no outage."""
        admin.set(key(PREFIX, "status", JOB), "a string")
        admin.set(key(PREFIX, "event", JOB), "a string")
        for message in (event(stamp(1)), status(stamp(2))):
            with pytest.raises(MessageRejected, match="WRONGTYPE"):
                transport.send(message.to_wire())


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A TLS server with a certificate of its own making; it only shakes hands."""
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    if shutil.which("openssl") is None:
        pytest.skip("the command openssl makes the certificate of this test and is not installed")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(private), "-out", str(certificate), "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_shake_hands, args=(listener, context), daemon=True)
        thread.start()
        yield f"rediss://127.0.0.1:{listener.getsockname()[1]}/0", certificate
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
            while tls.recv(1024):
                pass


class TestServerUnwell:
    def test_nobody_listens(self, open_transport: Open) -> None:
        """A closed port is an outage."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with pytest.raises(BusUnavailable):
            open_transport(f"redis://127.0.0.1:{port}").connect()

    def test_a_name_that_does_not_exist(self, open_transport: Open) -> None:
        """A name may come to exist, so this is an outage too."""
        with pytest.raises(BusUnavailable):
            open_transport("redis://no-such-host.invalid").connect()

    def test_a_socket_that_is_not_there(self, open_transport: Open, tmp_path: Path) -> None:
        """Likewise a Unix socket that the server has not made yet."""
        with pytest.raises(BusUnavailable):
            open_transport(f"unix://{tmp_path}/absent").connect()

    def test_a_server_out_of_memory(self, transport: RedisTransport, admin: Redis) -> None:
        """It may have room for an event later; a status goes through even so."""
        admin.config_set("maxmemory-policy", "noeviction")
        admin.config_set("maxmemory", 1)
        with pytest.raises(BusUnavailable, match="OutOfMemory"):
            transport.send(event(stamp(1)).to_wire())
        transport.send(status(stamp(2)).to_wire())
        assert admin.hget(key(PREFIX, "status", JOB), "seq") == "2"
        admin.config_set("maxmemory", 0)
        transport.send(event(stamp(1)).to_wire())

        assert admin.xlen(key(PREFIX, "event", JOB)) == 1

    def test_a_replica_that_takes_no_writes(self, transport: RedisTransport, admin: Redis) -> None:
        """It may be promoted later."""
        admin.replicaof("127.0.0.1", 1)
        with pytest.raises(BusUnavailable):
            transport.send(event(stamp(1)).to_wire())

    def test_too_many_clients(self, admin: Redis, open_transport: Open) -> None:
        """Others may leave."""
        admin.ping()
        admin.config_set("maxclients", 1)
        with pytest.raises(BusUnavailable):
            open_transport(url_of(admin)).connect()

    def test_a_connection_that_the_server_cut(
        self, transport: RedisTransport, admin: Redis
    ) -> None:
        """The next send either notices or connects anew; in no case is anything lost or doubled."""
        sent = 0
        for seq in range(1, 21):
            admin.client_kill_filter(skipme=True)
            try:
                transport.send(event(stamp(seq)).to_wire())
            except BusUnavailable:
                transport.connect()
                transport.send(event(stamp(seq)).to_wire())
            sent += 1

        found = [int(f["seq"]) for _, f in admin.xrange(key(PREFIX, "event", JOB))]
        assert found == list(range(1, sent + 1))


def test_a_replay_through_kills_and_stalls_is_complete_and_without_doubles(
    start_server: StartServer, open_transport: Open
) -> None:
    """Two thousand events while a saboteur stops the server and cuts its connections."""
    server = start_server()
    publisher = Publisher(
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
