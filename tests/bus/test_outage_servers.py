"""Every trouble that a server can be in: what it is called, how long it holds us, how it ends.

An outage is `BusUnavailable`: the same transport goes on once it is over. What only another
configuration cures is `BusRefused`. Neither may take long, for beats have to go on.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.topology import key
from baqup_agent.errors import BusRefused
from tests.bus.backends import PREFIX, Open
from tests.bus.samples import JOB, event, heartbeat, stamp, status
from tests.servers.process import Server, free_port
from tests.servers.proxy import Proxy
from tests.servers.timing import bounded
from tests.servers.versions import Version, newest
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


def unavailable(action: Callable[[], object]) -> str:
    """Do what has to end as an outage, and soon; return what it said, which is one line."""
    with bounded(), pytest.raises(BusUnavailable) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused(action: Callable[[], object]) -> str:
    """Do what has to be refused, and soon; return the one line that it said."""
    with bounded(), pytest.raises(BusRefused) as caught:
        action()
    assert "\n" not in str(caught.value)
    assert "BAQUP_BUS_URL" in str(caught.value)
    return str(caught.value)


def send(transport: RedisTransport, seq: int = 2) -> None:
    transport.send(event(stamp(seq)).to_wire())


def goes_on(transport: RedisTransport, seq: int = 2) -> None:
    """The same transport delivers what it could not, as the publisher would have it do."""

    def attempt() -> bool:
        try:
            transport.connect()
            send(transport, seq)
        except BusUnavailable:
            return False
        return True

    eventually(attempt, within_s=20)


def found(server: Server) -> list[int]:
    with server.admin() as admin:
        return [int(fields["seq"]) for _, fields in admin.xrange(key(PREFIX, "event", JOB))]


class TestGone:
    def test_nobody_listens_at_first(self, outer_versions: Version, open_transport: Open) -> None:
        """A server that comes late is found."""
        port = free_port()
        transport = open_transport(f"redis://127.0.0.1:{port}")
        assert "refused" in unavailable(transport.connect)
        with Server(outer_versions, port=port) as server:
            goes_on(transport)

            assert found(server) == [2]

    def test_a_killed_server_that_comes_back_empty(
        self, server: Server, transport: RedisTransport
    ) -> None:
        """It has forgotten the scripts too, and gets them again."""
        server.kill()
        unavailable(lambda: send(transport))
        unavailable(transport.connect)
        server.start()
        goes_on(transport)

        assert found(server) == [2]

    def test_a_restart_between_two_messages(
        self, server: Server, transport: RedisTransport
    ) -> None:
        """The connection that died unnoticed costs one attempt at most."""
        server.restart()
        try:
            send(transport)
        except BusUnavailable:
            goes_on(transport)

        assert found(server) == [2]

    def test_a_server_that_flaps(self, server: Server, transport: RedisTransport, long) -> None:
        """Up and down and up: everything arrives once, whichever half each attempt met."""
        rounds, up_s = (10, 2.0) if long else (4, 0.15)
        sent = list(range(2, 40 if not long else 400))
        over = threading.Event()

        def flap() -> None:
            for _ in range(rounds):
                over.wait(up_s)
                server.freeze()
                over.wait(up_s)
                server.thaw()
                with server.admin() as admin:
                    admin.client_kill_filter(_type="normal", skipme=True)

        flapping = threading.Thread(target=flap)
        flapping.start()
        for seq in sent:
            goes_on(transport, seq)
            if flapping.is_alive():
                over.wait(rounds * up_s / len(sent))
        flapping.join()

        assert found(server) == [1, *sent]


class TestSilent:
    def test_a_frozen_server(self, server: Server, transport: RedisTransport) -> None:
        """Its kernel takes connections and it says nothing; a write may have waited in its socket."""
        server.freeze()
        unavailable(lambda: send(transport))
        unavailable(transport.connect)
        server.thaw()
        goes_on(transport)

        assert found(server) == [1, 2]

    def test_a_black_hole(self, black_hole_url: str, open_transport: Open) -> None:
        """Connections are taken and never answered, with TLS or without."""
        unavailable(open_transport(black_hole_url).connect)
        unavailable(open_transport(black_hole_url.replace("redis:", "rediss:")).connect)

    def test_a_port_that_swallows_attempts_to_connect(
        self, swamped_port: int, open_transport: Open
    ) -> None:
        """As behind a firewall that drops: the attempt itself runs into its time limit."""
        for scheme in ("redis", "rediss"):
            unavailable(open_transport(f"{scheme}://127.0.0.1:{swamped_port}").connect)

    def test_a_line_that_is_half_open(self, server: Server, open_transport: Open) -> None:
        """The far end is gone without a word; a new connection gets through."""
        with Proxy(server.port) as proxy:
            transport = open_transport(f"redis://127.0.0.1:{proxy.port}")
            transport.connect()
            proxy.abandon()
            unavailable(lambda: send(transport))
            goes_on(transport)

        assert found(server) == [2]

    def test_a_line_that_stalls_in_the_middle_of_a_write(
        self, server: Server, open_transport: Open
    ) -> None:
        """What was kept back arrives late and is recognised when it is sent again."""
        with Proxy(server.port) as proxy:
            transport = open_transport(f"redis://127.0.0.1:{proxy.port}")
            transport.connect()
            proxy.stall()
            unavailable(lambda: send(transport))
            unavailable(transport.connect)
            proxy.flow()
            goes_on(transport)
            goes_on(transport, 3)

        assert found(server) == [2, 3]

    def test_a_line_that_is_cut(self, server: Server, open_transport: Open) -> None:
        """Whether the end is noticed before or after writing, what was not confirmed arrives once."""
        with Proxy(server.port) as proxy:
            transport = open_transport(f"redis://127.0.0.1:{proxy.port}")
            transport.connect()
            proxy.cut()
            with contextlib.suppress(BusUnavailable):
                send(transport)
            goes_on(transport)

        assert found(server) == [2]


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
        """A message meets the refusal as the connection would, and the old one coming back helps."""
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
        """Redis waits for more of what it takes for a command; asking it in plain text shows why."""
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


def test_ending_while_the_bus_is_silent_takes_no_time(open_transport: Open) -> None:
    """Closing sends nothing and waits for nothing."""
    with Server(newest()) as server:
        transport = open_transport(server.url)
        transport.connect()
        server.freeze()
        with bounded(0.5):
            transport.close()
        server.thaw()


def test_no_descriptor_is_left_behind(open_transport: Open, black_hole_url: str) -> None:
    """However often an attempt fails, and whatever its probe opened."""
    dead = open_transport("redis://127.0.0.1:1")
    silent = open_transport(black_hole_url, timeout_s=0.05)
    for transport in (dead, silent):
        with pytest.raises(BusUnavailable):
            transport.connect()
    before = _open_sockets()
    for _ in range(2):
        for transport in (dead, silent):
            with pytest.raises(BusUnavailable):
                transport.connect()

    assert _open_sockets() <= before


def _open_sockets() -> int:
    gc.collect()
    return sum(_is_socket(entry) for entry in Path("/proc/self/fd").iterdir())


def _is_socket(entry: Path) -> bool:
    try:
        return str(entry.readlink()).startswith("socket:")
    except OSError:  # the listing's own descriptor
        return False
