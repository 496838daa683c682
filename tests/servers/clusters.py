"""A small cluster: three masters, and a replica of each if asked for."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from redis import RedisError
from redis.crc import key_slot

from tests.servers.process import LOOPBACK, Server
from tests.servers.versions import Version
from tests.waiting import eventually

_SLOTS = 16384
_MASTERS = 3


class Cluster:
    """Servers that share the keys, in a ``with`` block.

    Args:
        version: which servers.
        arguments: further ones of all nodes.
        replicas: whether each master has a replica that takes its place.
        tls: the authority of nodes that speak TLS.
    """

    def __init__(
        self,
        version: Version,
        *arguments: str,
        replicas: bool = False,
        tls: Path | None = None,
    ) -> None:
        self._version = version
        self._arguments = arguments
        self._tls = tls
        self._count = _MASTERS * 2 if replicas else _MASTERS
        self._stack = ExitStack()
        self.nodes: list[Server] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for _ in range(self._count):
                node = Server(self._version, *_QUICK, *self._arguments, tls=self._tls)
                self.nodes.append(stack.enter_context(node))
            self._share_slots()
            self._meet()
            eventually(self.is_well, within_s=30)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def masters(self) -> list[Server]:
        """The nodes that hold keys at first."""
        return self.nodes[:_MASTERS]

    @property
    def url(self) -> str:
        """The URL of the bus, naming every node."""
        return "redis+cluster://" + ",".join(node.address for node in self.nodes)

    def owner(self, key: str) -> Server:
        """Return the node that holds a key at first."""
        return self.masters[key_slot(key.encode()) * _MASTERS // _SLOTS]

    def is_well(self) -> bool:
        """Tell whether all nodes know each other, all slots are held and all replicas in step."""
        for node in self.nodes:
            with node.admin() as admin:
                try:
                    said = admin.cluster("info")
                    linked = admin.info("replication").get("master_link_status", "up")
                except RedisError:
                    return False
            if said["cluster_state"] != "ok" or int(said["cluster_known_nodes"]) != self._count:
                return False
            if linked != "up":
                return False
        return True

    def node_id(self, node: Server) -> str:
        """Return what the cluster calls a node."""
        with node.admin() as admin:
            return str(admin.execute_command("CLUSTER MYID"))

    def _share_slots(self) -> None:
        for index, node in enumerate(self.masters):
            first = -(-index * _SLOTS // _MASTERS)
            after = -(-(index + 1) * _SLOTS // _MASTERS)
            with node.admin() as admin:
                admin.execute_command("CLUSTER ADDSLOTS", *range(first, after))
                admin.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)

    def _meet(self) -> None:
        for node in self.nodes[1:]:
            with self.nodes[0].admin() as admin:
                admin.execute_command("CLUSTER MEET", LOOPBACK, node.port)
        for index, node in enumerate(self.nodes[_MASTERS:]):
            master = self.node_id(self.masters[index])
            eventually(lambda node=node, master=master: _replicate(node, master), within_s=20)


def _replicate(node: Server, master: str) -> bool:
    with node.admin() as admin:
        try:
            admin.execute_command("CLUSTER REPLICATE", master)
        except RedisError:  # it has not heard of the master yet
            return False
    return True


_QUICK = (
    *("--cluster-enabled", "yes", "--cluster-node-timeout", "500", "--save", ""),
    *("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"),
)
