"""The suite of the transports, held against every version of the servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.topology import key
from baqup_agent.bus.url import RedisUrl, parse_bus_url
from baqup_agent.security.secret import Secret
from tests.bus.backends import Backend, Open, RedisBackend
from tests.bus.samples import AGENT, JOB, event, heartbeat, progress, stamp, status
from tests.bus.test_transports import *  # noqa: F403  every test of that suite runs here again
from tests.servers.process import Server
from tests.servers.versions import Version
from tests.waiting import eventually


@pytest.fixture
def backend(versioned_server: Server, key_prefix: str) -> Iterator[Backend]:
    """A server of each version, up and empty under its prefix."""
    made = RedisBackend(versioned_server, key_prefix)  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.fixture
def fragile_backend(redis_versions: Version, key_prefix: str) -> Iterator[Backend]:
    """Likewise, with a server of its own, which a test may break."""
    with Server(redis_versions, "--save", "") as server:
        made = RedisBackend(server, key_prefix)  # type: ignore[arg-type]
        yield made
        made.close()


def test_what_a_script_wrote_reaches_a_replica(
    redis_versions: Version, open_transport: Open
) -> None:
    """Scripts are replicated by their effects, also the event that got an id from the server."""
    with Server(redis_versions, "--repl-diskless-sync-delay", "0") as server, server.admin() as at:
        follow = ("--replicaof", "127.0.0.1", str(server.port))
        with Server(redis_versions, *follow) as replica, replica.admin() as behind:
            eventually(lambda: behind.info("replication")["master_link_status"] == "up")
            transport = open_transport(server.url)
            transport.connect()
            late = event(stamp(4, at_s=1))
            for message in (heartbeat(stamp(1)), event(stamp(2)), progress(stamp(3)), late):
                transport.send(message.to_wire())
            transport.send(status(stamp(5)).to_wire())
            assert at.wait(1, 10_000) == 1

            assert sorted(behind.keys()) == sorted(at.keys())
            stream = key("baqup:", "event", JOB)
            assert behind.xrange(stream) == at.xrange(stream)
            assert len(at.xrange(stream)) == 2
            beat = f"baqup:heartbeat:{AGENT}"
            assert behind.hgetall(beat) == at.hgetall(beat)
            assert behind.pttl(beat) > 0


class TestWaysIn:
    def test_a_unix_socket(self, redis_versions: Version, open_transport: Open) -> None:
        """A server on the same machine needs no port."""
        with Server(redis_versions, "--unixsocket", "s.sock") as server, server.admin() as admin:
            transport = open_transport(f"unix://{server.directory}/s.sock?db=3")
            transport.connect()
            transport.send(heartbeat(stamp(1)).to_wire())

            admin.execute_command("SELECT", 3)
            assert admin.info("keyspace")["db3"]["keys"] == 1

    def test_a_user_with_no_more_rights_than_it_takes(
        self, versioned_server: Server, open_transport: Open, key_prefix: str
    ) -> None:
        """These keys, this channel and the commands of the scripts are enough."""
        with versioned_server.admin() as admin:
            admin.execute_command("ACL", "SETUSER", "lean", "reset", *_LEAST)
            admin.execute_command("ACL", "SETUSER", "lean", "on", ">pw", f"~{key_prefix}*")
            admin.execute_command("ACL", "SETUSER", "lean", "resetchannels", f"&{key_prefix}notify")
        transport = open_transport(f"redis://lean:pw@{versioned_server.address}", key_prefix)
        transport.connect()
        transport.send(event(stamp(2)).to_wire())
        for message in (heartbeat(stamp(3)), progress(stamp(4)), status(stamp(5))):
            transport.send(message.to_wire())
        transport.send(event(stamp(6, at_s=1)).to_wire())

    def test_the_password_comes_from_its_variable(
        self, versioned_server: Server, key_prefix: str
    ) -> None:
        """A URL without a password takes the one that was given beside it."""
        secret = "p@ss/w#rd?%+ &=[é"
        with versioned_server.admin() as admin:
            admin.execute_command(
                *("ACL", "SETUSER", "var", "reset", "on", f">{secret}", "~*", "&*", "+@all")
            )
        url = parse_bus_url(f"redis://var@{versioned_server.address}", Secret(secret))
        assert isinstance(url, RedisUrl)
        transport = RedisTransport(url, key_prefix)
        transport.connect()
        transport.send(event(stamp(1)).to_wire())
        transport.close()


#: What the documentation names as the least that an agent's user may do.
_LEAST = (
    *("+ping", "+eval", "+evalsha", "+hget", "+hset", "+del", "+pexpire", "+publish"),
    *("+xadd", "+xrange", "+xrevrange"),
)
