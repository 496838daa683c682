"""What servers answer when they are unwell or will not have us, each version in its own words.

An outage is `BusUnavailable`: the same transport goes on once it is over. What only another
configuration cures is `BusRefused`, whose one line names a remedy and no password.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.errors import BusRefused
from tests.bus.backends import Open
from tests.bus.samples import event, heartbeat, stamp, status
from tests.servers.process import Server
from tests.servers.timing import bounded
from tests.servers.verdicts import found, goes_on, refused, send, unavailable
from tests.servers.versions import Version
from tests.waiting import eventually


@pytest.fixture
def server(outer_versions: Version) -> Iterator[Server]:
    """A server of each version, which the test may break."""
    with Server(outer_versions, "--save", "") as made:
        yield made


@pytest.fixture
def transport(server: Server, open_transport: Open) -> RedisTransport:
    """Connected to `server`, with one event delivered."""
    made = open_transport(server.url)
    made.connect()
    made.send(event(stamp(1)).to_wire())
    return made


class TestUnwell:
    def test_a_server_that_is_loading(self, outer_versions: Version, open_transport: Open) -> None:
        """It answers, but not yet for us."""
        # A server looks up from loading after each two megabytes.
        slow = ("--key-load-delay", "100000", "--rdbcompression", "no", "--save", "")
        with Server(outer_versions, *slow) as server:
            with server.admin() as admin:
                for number in range(10):
                    admin.set(f"k{number}", 2_200_000 * "x")
                admin.save()
            server.kill()
            server.start(loading=True)
            transport = open_transport(server.url, timeout_s=1.0)
            assert "loading" in unavailable(transport.connect)
            goes_on(transport)

            assert found(server) == [2]

    def test_a_server_out_of_memory(self, server: Server, transport: RedisTransport) -> None:
        """An event has to wait; a status, which replaces what is there, goes through."""
        with server.admin() as admin:
            admin.config_set("maxmemory-policy", "noeviction")
            admin.config_set("maxmemory", 1)
            unavailable(lambda: send(transport))
            transport.send(status(stamp(3)).to_wire())
            admin.config_set("maxmemory", 0)
        send(transport)

        assert found(server) == [1, 2]

    def test_a_replica_takes_nothing(self, server: Server, transport: RedisTransport) -> None:
        """Until it is promoted."""
        with server.admin() as admin:
            admin.replicaof("127.0.0.1", 1)
            unavailable(lambda: send(transport))
            unavailable(lambda: transport.send(heartbeat(stamp(3)).to_wire()))
            admin.config_set("replica-serve-stale-data", "no")
            unavailable(lambda: send(transport))
            admin.replicaof("NO", "ONE")
        goes_on(transport)

        assert found(server) == [1, 2]

    def test_too_few_replicas(self, server: Server, transport: RedisTransport) -> None:
        """A server that was told to write only where others follow waits for them."""
        with server.admin() as admin:
            admin.config_set("min-replicas-to-write", 1)
            unavailable(lambda: send(transport))
            admin.config_set("min-replicas-to-write", 0)
        goes_on(transport)

        assert found(server) == [1, 2]

    def test_a_disk_that_takes_no_snapshot(self, server: Server, transport: RedisTransport) -> None:
        """A server that cannot save refuses writes until it can."""
        with server.admin() as admin:
            admin.config_set("save", "3600 1")
            (server.directory / "dump.rdb").mkdir()
            admin.bgsave()
            eventually(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
            unavailable(lambda: send(transport))
            (server.directory / "dump.rdb").rmdir()
            admin.bgsave()
            eventually(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "ok")
        goes_on(transport)

        assert found(server) == [1, 2]

    def test_a_server_busy_with_a_script(self, server: Server, transport: RedisTransport) -> None:
        """Somebody's endless script holds it up, and then says so."""
        with server.admin() as admin, server.admin() as other:
            old = server.version.number < (7, 0)
            admin.config_set("lua-time-limit" if old else "busy-reply-threshold", 20)
            hog = threading.Thread(target=_run_for_ever, args=(other,))
            hog.start()
            eventually(lambda: "BUSY" in _ping(admin))
            unavailable(lambda: send(transport))
            unavailable(transport.connect)
            admin.script_kill()
            hog.join(10)
        goes_on(transport)

        assert found(server) == [1, 2]

    def test_too_many_clients(self, server: Server, open_transport: Open) -> None:
        """Others may leave."""
        with server.admin() as admin:
            admin.config_set("maxclients", 1)
            transport = open_transport(server.url)
            assert "max number of clients" in unavailable(transport.connect)
            admin.config_set("maxclients", 100)
        goes_on(transport)

        assert found(server) == [2]


def _run_for_ever(client: Redis) -> None:
    with pytest.raises(Exception, match="killed"):
        client.execute_command("EVAL", "while true do end", 0)


def _ping(client: Redis) -> str:
    try:
        return str(client.ping())
    except Exception as error:  # noqa: BLE001  its text is what is asked for
        return str(error)


class TestRefusing:
    @pytest.mark.parametrize(
        "userinfo", ["", ":wr0ng-one@", "nobody:wr0ng-one@", "agent:wr0ng-one@"]
    )
    def test_missing_and_wrong_passwords(
        self, outer_versions: Version, open_transport: Open, userinfo: str
    ) -> None:
        """They are never repeated, and the remedy names both places for the right one."""
        with Server(outer_versions, "--requirepass", "right") as server:
            said = refused(open_transport(f"redis://{userinfo}{server.address}").connect)

        assert "wr0ng-one" not in said
        assert "BAQUP_SECRET_BUS_PASSWORD" in said

    def test_a_password_that_is_changed_under_way(
        self, server: Server, transport: RedisTransport
    ) -> None:
        """A message meets the refusal as the connection would; the old one helps again."""
        with server.admin() as admin:
            admin.config_set("requirepass", "new")
            admin.execute_command("AUTH", "new")
            admin.client_kill_filter(_type="normal", skipme=True)
            with bounded(), pytest.raises((BusRefused, BusUnavailable)):
                send(transport)
            refused(transport.connect)
            admin.config_set("requirepass", "")
        goes_on(transport)

        assert found(server) == [1, 2]

    @pytest.mark.parametrize(
        "rights",
        [
            ("~*", "&*", "+@all", "-@scripting"),
            ("~other:*", "&*", "+@all"),
            ("~*", "resetchannels", "&other", "+@all"),
            ("~*", "&*", "+ping", "+eval", "+evalsha"),
        ],
        ids=["no scripts", "no keys", "no channel", "no commands"],
    )
    def test_rights_that_do_not_reach(self, server: Server, open_transport: Open, rights) -> None:
        """A command, a key and a channel that is denied, also from within a script."""
        with server.admin() as admin:
            admin.execute_command("ACL", "SETUSER", "agent", "reset", "on", ">pw", *rights)

            def deliver(message) -> Callable[[], None]:
                transport = open_transport(f"redis://agent:pw@{server.address}")

                def act() -> None:
                    transport.connect()
                    transport.send(message.to_wire())

                return act

            for message in (event(stamp(1)), heartbeat(stamp(2)), status(stamp(3))):
                assert "BAQUP_BUS_KEY_PREFIX" in refused(deliver(message))
            admin.execute_command("ACL", "SETUSER", "agent", "~*", "allchannels", "+@all")
            deliver(event(stamp(4)))()

        assert 4 in found(server)

    def test_a_database_that_is_not_there(self, server: Server, open_transport: Open) -> None:
        """It is the URL's fault."""
        assert "out of range" in refused(open_transport(f"redis://{server.address}/4711").connect)

    def test_a_port_that_speaks_http(self, babbling_url: str, open_transport: Open) -> None:
        """No web server is a bus, with TLS or without."""
        assert "HTTP" in refused(open_transport(babbling_url).connect)
        refused(open_transport(babbling_url.replace("redis:", "rediss:")).connect)

    def test_tls_to_a_plain_port(self, server: Server, open_transport: Open) -> None:
        """Redis waits for more of what looks like a command; asking in plain text shows why."""
        said = refused(open_transport(f"rediss://{server.address}").connect)

        assert "speaks plain text" in said
        assert "redis instead of rediss" in said

    def test_a_sentinel_in_place_of_a_server(
        self, outer_versions: Version, open_transport: Open
    ) -> None:
        """It answers and can do nothing of what is needed."""
        with Server(outer_versions, "--sentinel", config="") as sentinel:
            said = refused(open_transport(sentinel.url).connect)

        assert "redis+sentinel://" in said
