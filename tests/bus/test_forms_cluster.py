"""``redis+cluster://``: keys on many nodes, moved slots, lost nodes."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from redis import ConnectionError as RedisConnectionError
from redis.crc import key_slot

from baqup_agent.bus.redis_connect import open_client, open_node
from baqup_agent.bus.topology import key
from baqup_agent.bus.url import ClusterUrl, parse_bus_url
from tests.bus.backends import PREFIX, Open
from tests.bus.samples import AGENT, JOB, event, heartbeat, progress, stamp, status
from tests.servers.clusters import Cluster
from tests.servers.process import LOOPBACK, Server
from tests.servers.timing import bounded
from tests.servers.verdicts import goes_on, refused, unavailable
from tests.servers.versions import Version, newest
from tests.waiting import eventually


@pytest.fixture(scope="module")
def cluster(latest_version: Version) -> Iterator[Cluster]:
    """Three masters of each version."""
    with Cluster(latest_version) as made:
        yield made


def parsed(url: str) -> ClusterUrl:
    found = parse_bus_url(url)
    assert isinstance(found, ClusterUrl)
    return found


def test_each_key_goes_to_its_node(cluster: Cluster, open_transport: Open) -> None:
    """Many jobs and agents are spread over all nodes, and each of their messages is there."""
    transport = open_transport(cluster.url)
    transport.connect()
    jobs = [str(uuid.uuid4()) for _ in range(30)]
    for seq, job in enumerate(jobs):
        transport.send(event(stamp(2 * seq + 1, job=job)).to_wire())
        transport.send(progress(stamp(2 * seq + 2, job=job)).to_wire())

    counts = []
    for node in cluster.nodes:
        assert _redirections(node) == 0
        with node.admin() as admin:
            counts.append(admin.dbsize())
            for name in admin.scan_iter():
                assert cluster.owner(name) is node
    assert sum(counts) >= 60
    assert all(counts)


def _redirections(node: Server) -> int:
    """How often a node has sent somebody to another one."""
    with node.admin() as admin:
        return int(admin.info("errorstats").get("errorstat_MOVED", {"count": 0})["count"])


def test_one_node_of_the_url_is_enough(cluster: Cluster, open_transport: Open) -> None:
    """The others may be gone, silent or no part of it."""
    transport = open_transport(f"redis+cluster://{LOOPBACK}:1,{cluster.nodes[1].address}")
    transport.connect()
    for message in (event(stamp(1)), heartbeat(stamp(2)), status(stamp(3))):
        transport.send(message.to_wire())

    with cluster.owner(key(PREFIX, "heartbeat", AGENT)).admin() as admin:
        assert admin.hget(key(PREFIX, "heartbeat", AGENT), "seq") == "2"


def test_a_reader_finds_what_is_written(cluster: Cluster, open_transport: Open) -> None:
    """Keys by the same client, notifications at any one node."""
    url = parsed(cluster.url)
    with open_node(url) as node, node.pubsub() as subscription:
        subscription.subscribe(f"{PREFIX}notify")
        assert eventually(lambda: subscription.get_message(timeout=1))["type"] == "subscribe"
        transport = open_transport(cluster.url)
        transport.connect()
        job = str(uuid.uuid4())
        transport.send(status(stamp(9, job=job)).to_wire())

        assert eventually(lambda: subscription.get_message(timeout=1))["type"] == "message"
    client = open_client(url)
    fields = client.execute_command("HGETALL", key(PREFIX, "status", job))
    client.close()
    assert isinstance(fields, dict)
    assert fields[b"seq"] == b"9"


def test_a_node_under_the_name_of_a_single_server(
    cluster: Cluster, open_transport: Open, key_prefix: str
) -> None:
    """A plain URL would lose two thirds of all keys: it is refused before the first of them."""
    for node in cluster.nodes:
        said = refused(open_transport(f"redis://{node.address}").connect)
        assert "redis+cluster://" in said

    with cluster.nodes[0].admin() as admin:
        admin.execute_command(
            *("ACL", "SETUSER", "blind", "reset", "on", ">pw", "+@all", "-cluster"),
            *(f"~{key_prefix}*", "allchannels"),
        )
    transport = open_transport(f"redis://blind:pw@{cluster.nodes[0].address}", key_prefix)
    transport.connect()

    def deliver() -> None:
        for seq in range(1, 20):
            transport.send(event(stamp(seq, job=str(uuid.uuid4()))).to_wire())

    assert "redis+cluster://" in refused(deliver)  # at the latest by the first key elsewhere


def test_a_cluster_of_one_node_is_a_server(open_transport: Open) -> None:
    """It holds every key, so a plain URL does for it."""
    with Server(newest(), "--cluster-enabled", "yes") as alone, alone.admin() as admin:
        admin.execute_command("CLUSTER ADDSLOTS", *range(16384))
        transport = open_transport(alone.url)
        goes_on(transport)

        assert admin.xlen(key(PREFIX, "event", JOB)) == 1


def test_another_database(cluster: Cluster, open_transport: Open) -> None:
    """A plain URL with a database meets a node that has not so many."""
    refused(open_transport(f"redis://{cluster.nodes[0].address}/4711").connect)


def test_servers_that_are_no_cluster(latest_version: Version, open_transport: Open) -> None:
    """The remedy names the form for one server."""
    with Server(latest_version) as server:
        said = refused(open_transport(f"redis+cluster://{server.address}").connect)

    assert "no node of a cluster" in said
    assert "redis://" in said


def test_scripts_are_told_to_each_node_again(cluster: Cluster, open_transport: Open) -> None:
    """A node that forgot them is no trouble."""
    transport = open_transport(cluster.url)
    transport.connect()
    job = str(uuid.uuid4())
    transport.send(event(stamp(1, job=job)).to_wire())
    for node in cluster.nodes:
        with node.admin() as admin:
            admin.script_flush()
    transport.send(event(stamp(2, job=job)).to_wire())

    with cluster.owner(key(PREFIX, "event", job)).admin() as admin:
        assert admin.xlen(key(PREFIX, "event", job)) == 2


def test_a_slot_that_moves_while_we_write(cluster: Cluster, open_transport: Open) -> None:
    """Before, during and after the move every event arrives, once and in order."""
    job = str(uuid.uuid4())
    stream = key(PREFIX, "event", job)
    source = cluster.owner(stream)
    target = next(node for node in cluster.nodes if node is not source)
    transport = open_transport(cluster.url)
    transport.connect()
    moved = threading.Event()
    mover = threading.Thread(
        target=lambda: (_move(cluster, stream, source, target), moved.set()), daemon=True
    )
    before, seq = _redirections(source), 0
    for seq in range(1, 11):
        transport.send(event(stamp(seq, job=job)).to_wire())
    mover.start()
    while not moved.is_set() or seq < 60:
        seq += 1
        transport.send(event(stamp(seq, job=job)).to_wire())
    mover.join()
    for _ in range(10):
        seq += 1
        transport.send(event(stamp(seq, job=job)).to_wire())

    assert _redirections(source) - before <= 1  # it is told once, and remembered
    with target.admin() as admin:
        found = [int(fields["seq"]) for _, fields in admin.xrange(stream)]
    assert found == list(range(1, seq + 1))


def _move(cluster: Cluster, stream: str, source: Server, target: Server) -> None:
    slot, to, of = key_slot(stream.encode()), cluster.node_id(target), cluster.node_id(source)
    with source.admin() as giving, target.admin() as taking:
        taking.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", of)
        giving.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", to)
        giving.execute_command("MIGRATE", LOOPBACK, target.port, stream, 0, 5000)
        taking.execute_command("CLUSTER SETSLOT", slot, "NODE", to)
        giving.execute_command("CLUSTER SETSLOT", slot, "NODE", to)


def test_a_new_key_in_a_slot_under_way(cluster: Cluster, open_transport: Open) -> None:
    """The old owner sends us on for this one command: it is written where it will be looked for."""
    job = str(uuid.uuid4())
    name = key(PREFIX, "event", job)
    source = cluster.owner(name)
    target = next(node for node in cluster.nodes if node is not source)
    slot, to = key_slot(name.encode()), cluster.node_id(target)
    with source.admin() as giving, target.admin() as taking:
        taking.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", cluster.node_id(source))
        giving.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", to)
        transport = open_transport(cluster.url)
        transport.connect()
        for seq in (1, 2):
            transport.send(event(stamp(seq, job=job)).to_wire())
        taking.execute_command("CLUSTER SETSLOT", slot, "NODE", to)
        giving.execute_command("CLUSTER SETSLOT", slot, "NODE", to)
        transport.send(event(stamp(3, job=job)).to_wire())

        assert [int(fields["seq"]) for _, fields in taking.xrange(name)] == [1, 2, 3]


class TestLoss:
    def test_a_lost_node_is_an_outage_until_its_replica_takes_over(
        self, latest_version: Version, open_transport: Open
    ) -> None:
        """The same transport goes on at the replica, with what was there."""
        with Cluster(latest_version, replicas=True) as cluster:
            name = key(PREFIX, "event", JOB)
            owner = cluster.owner(name)
            replica = cluster.nodes[cluster.nodes.index(owner) + 3]
            transport = open_transport(cluster.url)
            transport.connect()
            transport.send(event(stamp(1)).to_wire())
            with owner.admin() as admin:
                assert admin.wait(1, 10_000) == 1
            client = open_client(parsed(cluster.url))
            assert client.execute_command("XLEN", name) == 1
            owner.kill()
            begun_s = time.monotonic()
            unavailable(lambda: transport.send(event(stamp(2)).to_wire()))
            goes_on(transport)
            print(f"writing went on {time.monotonic() - begun_s:.1f} s after the kill")
            with pytest.raises(RedisConnectionError):
                client.execute_command("XLEN", name)
            # also a client that nobody opened anew asks again who holds what
            assert client.execute_command("XLEN", name) == 2
            client.close()
            with replica.admin() as admin:
                found = [int(fields["seq"]) for _, fields in admin.xrange(name)]

        assert found == [1, 2]

    def test_a_cluster_that_is_down(self, open_transport: Open) -> None:
        """Slots that nobody holds are an outage, also of a node that just came up alone."""
        with Server(newest(), "--cluster-enabled", "yes") as lonely:
            transport = open_transport(f"redis+cluster://{lonely.address}")
            transport.connect()
            unavailable(lambda: transport.send(event(stamp(1)).to_wire()))
            with lonely.admin() as admin:
                admin.execute_command("CLUSTER ADDSLOTS", *range(16384))
            goes_on(transport)

    def test_frozen_nodes_hold_nobody_up(self, open_transport: Open) -> None:
        """Some or all of them silent: no attempt takes longer than with one server."""
        with Cluster(newest()) as cluster:  # of its own, for it takes long to recover
            owner = cluster.owner(key(PREFIX, "event", JOB))
            transport = open_transport(cluster.url, timeout_s=0.5)
            transport.connect()
            message = event(stamp(1)).to_wire()
            owner.freeze()
            unavailable(lambda: transport.send(message))
            with bounded():
                transport.connect()
            for node in cluster.nodes:
                node.freeze()
            unavailable(lambda: transport.send(message))
            unavailable(transport.connect)
            for node in cluster.nodes:
                node.thaw()
            goes_on(transport)

    def test_no_node_within_reach(
        self, open_transport: Open, black_hole_url: str, swamped_port: int
    ) -> None:
        """Gone, silent or swallowed: an outage."""
        silent = black_hole_url.removeprefix("redis://").removesuffix("/0")
        hosts = f"{LOOPBACK}:1,{silent},{LOOPBACK}:{swamped_port},{silent}"
        unavailable(open_transport(f"redis+cluster://{hosts}", timeout_s=1.0).connect)


class TestPasswords:
    def test_one_password_for_all_nodes(self, cluster: Cluster, open_transport: Open) -> None:
        """A wrong one is refused, also by a node that is met later than the first."""
        for node in cluster.nodes:
            with node.admin() as admin:
                admin.execute_command(
                    *("ACL", "SETUSER", "one", "reset", "on", ">pw", "~*", "allchannels", "+@all")
                )
        url = cluster.url.replace("://", "://one:{}@")
        transport = open_transport(url.format("pw"))
        transport.connect()
        wrong = url.format("wr0ng-one").replace("@", f"@{LOOPBACK}:1,")
        for _ in range(8):  # in whichever order the nodes are asked
            assert "wr0ng-one" not in refused(open_transport(wrong).connect)
        with cluster.owner(key(PREFIX, "event", JOB)).admin() as admin:
            admin.execute_command("ACL", "DELUSER", "one")
        refused(lambda: transport.send(event(stamp(1)).to_wire()))

    def test_commands_beyond_the_scripts_own(
        self, cluster: Cluster, open_transport: Open, key_prefix: str
    ) -> None:
        """Of the cluster, a user has to ask for the map alone."""
        least = "+ping +eval +evalsha +hget +hset +del +pexpire +publish +xadd +xrange +xrevrange"
        slots = "+cluster|slots" if cluster.nodes[0].version.number >= (7, 0) else "+cluster"
        for node in cluster.nodes:
            with node.admin() as admin:
                admin.execute_command(
                    *("ACL", "SETUSER", "lean", "reset", *least.split(), slots, "on", ">pw"),
                    *(f"~{key_prefix}*", "resetchannels", f"&{key_prefix}notify"),
                )
        transport = open_transport(cluster.url.replace("://", "://lean:pw@"), key_prefix)
        transport.connect()
        for seq in range(1, 10):
            transport.send(event(stamp(seq, job=str(uuid.uuid4()))).to_wire())
