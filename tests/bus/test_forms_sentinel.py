"""``redis+sentinel://``: the master is found, and found again after a fail-over."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from redis import ConnectionError as RedisConnectionError
from redis import Redis

from baqup_agent.bus.redis_connect import open_client, open_node
from baqup_agent.bus.topology import key
from baqup_agent.bus.url import SentinelUrl, parse_bus_url
from tests.bus.backends import PREFIX, Open
from tests.bus.samples import JOB, event, stamp, status
from tests.servers.process import LOOPBACK, Server
from tests.servers.sentinels import MASTER, Watched
from tests.servers.verdicts import goes_on, refused, unavailable
from tests.servers.versions import Version, newest
from tests.waiting import eventually


@pytest.fixture(scope="module")
def watched(latest_version: Version) -> Iterator[Watched]:
    """A master with a replica and three sentinels, whose master nobody kills."""
    with Watched(latest_version) as made:
        yield made


def test_messages_go_to_the_master(watched: Watched, open_transport: Open) -> None:
    """Whichever sentinels are named, and whichever of them are silent or gone."""
    with watched.master.admin() as admin:
        admin.flushall()
    for seq, hosts in enumerate(
        [
            watched.hosts,
            watched.sentinels[2].address,
            f"{LOOPBACK}:1,{watched.sentinels[0].address}",
        ]
    ):
        transport = open_transport(f"redis+sentinel://{hosts}/{MASTER}/0")
        transport.connect()
        transport.send(event(stamp(seq + 1)).to_wire())

    with watched.master.admin() as admin:
        assert admin.xlen(key(PREFIX, "event", JOB)) == 3


def test_notifications_can_be_followed_at_the_master(
    watched: Watched, open_transport: Open
) -> None:
    """A reader gets redis-py's own client."""
    url = parse_bus_url(watched.url)
    assert isinstance(url, SentinelUrl)
    with open_node(url) as client, client.pubsub() as subscription:
        subscription.subscribe(f"{PREFIX}notify")
        assert eventually(lambda: subscription.get_message(timeout=1))["type"] == "subscribe"
        transport = open_transport(watched.url)
        transport.connect()
        transport.send(status(stamp(9)).to_wire())

        assert eventually(lambda: subscription.get_message(timeout=1))["type"] == "message"


def test_a_name_that_no_sentinel_knows(watched: Watched, open_transport: Open) -> None:
    """All were asked and all know others: that is a mistake, and the right name is told."""
    said = refused(open_transport(f"redis+sentinel://{watched.hosts}/hismaster").connect)

    assert "know no master 'hismaster'" in said
    assert f"one that they know: {MASTER}" in said


def test_a_name_that_the_sentinels_within_reach_do_not_know(
    watched: Watched, open_transport: Open
) -> None:
    """The one that is gone may be the one that knows it: an outage."""
    hosts = f"{watched.hosts},{LOOPBACK}:1"

    unavailable(open_transport(f"redis+sentinel://{hosts}/hismaster").connect)


def test_no_sentinel_within_reach(
    open_transport: Open, black_hole_url: str, swamped_port: int
) -> None:
    """Gone, silent or swallowed: an outage, and no longer than one server would take."""
    silent = black_hole_url.removeprefix("redis://").removesuffix("/0")
    swamped = f"{LOOPBACK}:{swamped_port}"
    for hosts in (f"{LOOPBACK}:1", f"{silent},{silent},{silent}", f"{swamped},{swamped},{swamped}"):
        unavailable(open_transport(f"redis+sentinel://{hosts}/m", timeout_s=1.0).connect)


def test_servers_that_are_no_sentinels(watched: Watched, open_transport: Open) -> None:
    """The remedy tells the two forms apart."""
    said = refused(open_transport(f"redis+sentinel://{watched.master.address}/{MASTER}").connect)

    assert "is no sentinel" in said
    assert "redis://" in said


@pytest.fixture(scope="module")
def guarded() -> Iterator[Watched]:
    """Servers and sentinels with passwords of their own."""
    own = ("requirepass watch", "sentinel sentinel-pass watch")
    both = ("--requirepass", "data", "--masterauth", "data")
    with Watched(newest(), *both, sentinel_lines=own, password="data", count=1) as made:
        yield made


class TestPasswords:
    def test_servers_and_sentinels_have_users_of_their_own(
        self, guarded: Watched, open_transport: Open
    ) -> None:
        """Both passwords right: messages pass."""
        transport = open_transport(
            f"redis+sentinel://:data@{guarded.hosts}/{MASTER}?sentinel_password=watch"
        )
        transport.connect()
        transport.send(event(stamp(1)).to_wire())

    @pytest.mark.parametrize(
        "url",
        [
            "redis+sentinel://:data@{}/mymaster",
            "redis+sentinel://:data@{}/mymaster?sentinel_password=wr0ng-one",
            "redis+sentinel://:data@{}/mymaster?sentinel_username=no&sentinel_password=wr0ng-one",
            "redis+sentinel://:wr0ng-one@{}/mymaster?sentinel_password=watch",
            "redis+sentinel://{}/mymaster?sentinel_password=watch",
        ],
    )
    def test_either_may_be_wrong(self, guarded: Watched, open_transport: Open, url: str) -> None:
        """It is a refusal that names both places and repeats nothing."""
        said = refused(open_transport(url.format(guarded.hosts)).connect)

        assert "sentinel_password" in said
        assert "wr0ng-one" not in said

    def test_a_sentinels_own_user(self, guarded: Watched, open_transport: Open) -> None:
        """It has nothing to do with the user of the servers."""
        with guarded.sentinels[0].admin() as admin:
            admin.execute_command("ACL", "SETUSER", "watcher", "on", ">own", "+sentinel|masters")
        query = "sentinel_username=watcher&sentinel_password=own"
        transport = open_transport(f"redis+sentinel://:data@{guarded.hosts}/{MASTER}?{query}")
        transport.connect()
        transport.send(event(stamp(2)).to_wire())

    def test_a_sentinel_that_refuses_says_more_than_one_that_is_gone(
        self, guarded: Watched, open_transport: Open
    ) -> None:
        """Waiting for the other would not help."""
        hosts = f"{LOOPBACK}:1,{guarded.hosts}"

        refused(open_transport(f"redis+sentinel://:data@{hosts}/{MASTER}").connect)


class TestDisagreement:
    def test_a_sentinel_that_was_left_behind_is_outvoted(
        self, watched: Watched, open_transport: Open
    ) -> None:
        """Two of three know where the master is; the first knows a server of old."""
        with Server(newest()) as old, _sentinel_of(old) as stale:
            hosts = ",".join([stale.address, *(one.address for one in watched.sentinels[:2])])
            transport = open_transport(f"redis+sentinel://{hosts}/{MASTER}")
            transport.connect()
            transport.send(event(stamp(20)).to_wire())

            with old.admin() as admin:
                assert admin.dbsize() == 0

    def test_without_a_majority_the_latest_fail_over_counts(self, open_transport: Open) -> None:
        """Each fail-over has a higher number, and a sentinel that missed it has a lower one."""
        with (
            Server(newest()) as old,
            Server(newest()) as new,
            _sentinel_of(old, epoch=3) as behind,
            _sentinel_of(new, epoch=4) as ahead,
        ):
            hosts = f"{behind.address},{ahead.address}"
            transport = open_transport(f"redis+sentinel://{hosts}/{MASTER}")
            transport.connect()
            transport.send(event(stamp(1)).to_wire())

            with old.admin() as left, new.admin() as right:
                assert (left.dbsize(), right.dbsize()) == (0, 1)

    def test_sentinels_that_disagree_evenly(self, open_transport: Open) -> None:
        """Nobody can tell which master is the right one, so nothing is written to either."""
        with (
            Server(newest()) as one,
            Server(newest()) as other,
            _sentinel_of(one) as left,
            _sentinel_of(other) as right,
        ):
            url = f"redis+sentinel://{left.address},{right.address}/{MASTER}"
            assert "disagree" in unavailable(open_transport(url).connect)


def _sentinel_of(master: Server, *, epoch: int = 0) -> Server:
    lines = (
        f"sentinel monitor {MASTER} {LOOPBACK} {master.port} 1",
        f"sentinel down-after-milliseconds {MASTER} 200",
        f"sentinel config-epoch {MASTER} {epoch}",
    )
    return Server(master.version, "--sentinel", config="\n".join(lines))


class TestDown:
    def test_a_master_that_its_sentinel_gave_up_is_not_even_tried(
        self, open_transport: Open
    ) -> None:
        """The outage is the sentinel's word, and costs no timeout."""
        with Server(newest()) as master, _sentinel_of(master) as sentinel:
            transport = open_transport(f"redis+sentinel://{sentinel.address}/{MASTER}")
            transport.connect()
            master.freeze()
            eventually(lambda: "no sentinel knows where" in unavailable(transport.connect))
            master.thaw()
            goes_on(transport)

    def test_a_client_that_failed_looks_for_the_master_anew(self) -> None:
        """Also if nobody opens another client."""
        with Server(newest()) as old, Server(newest()) as new, _sentinel_of(old) as sentinel:
            url = parse_bus_url(f"redis+sentinel://{sentinel.address}/{MASTER}")
            assert isinstance(url, SentinelUrl)
            client = open_client(url)
            client.execute_command("PING")
            old.kill()
            with sentinel.admin() as admin:
                admin.execute_command("SENTINEL REMOVE", MASTER)
                admin.execute_command("SENTINEL MONITOR", MASTER, LOOPBACK, new.port, 1)
            with pytest.raises(RedisConnectionError):
                client.execute_command("PING")
            client.execute_command("SET", "here", "now")
            client.close()

            with new.admin() as admin:
                assert admin.get("here") == "now"


class TestFailOver:
    def test_writing_goes_on_at_the_new_master(
        self, latest_version: Version, open_transport: Open
    ) -> None:
        """Killed or frozen, the master is replaced, and the same transport finds the other."""
        with Watched(latest_version) as watched:
            transport = open_transport(watched.url)
            transport.connect()
            transport.send(event(stamp(1)).to_wire())
            with watched.master.admin() as admin:
                assert admin.wait(1, 10_000) == 1
            watched.master.freeze()
            unavailable(lambda: transport.send(event(stamp(2)).to_wire()))
            begun_s = time.monotonic()
            goes_on(transport)
            print(f"writing went on {time.monotonic() - begun_s:.1f} s after the failure")
            watched.master.thaw()
            goes_on(transport, 3)
            with watched.replica.admin() as admin:
                found = [int(fields["seq"]) for _, fields in _events(admin)]

        assert found == [1, 2, 3]


def _events(admin: Redis) -> list[tuple[str, dict[str, str]]]:
    return admin.xrange(key(PREFIX, "event", JOB))
