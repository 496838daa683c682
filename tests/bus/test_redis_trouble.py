"""Servers that refuse us, and servers that are unwell."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from baqup_agent.bus.outage import BusUnavailable, MessageRejected
from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.topology import key
from baqup_agent.errors import BusRefused
from tests.bus.backends import PREFIX, Open, StartServer, url_of
from tests.bus.samples import JOB, event, heartbeat, stamp, status


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
