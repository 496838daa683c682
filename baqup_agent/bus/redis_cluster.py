"""A cluster: each command goes to the node that holds its key.

redis-py has a client for clusters, which holds the publisher for as many timeouts as nodes are
silent (four seconds with two of three), needs leave to run COMMAND, and costs half as much again
for each write. One key per script is all that is needed here. Redirections are followed; whatever
else goes wrong is an outage, after which the map of the cluster is asked for anew.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from baqup_agent.bus.redis_errors import WrongUrl
from baqup_agent.bus.redis_sentinel import SHARE_MIN_S
from baqup_agent.bus.url import Address, ClusterUrl

if TYPE_CHECKING:
    from redis import Redis

    from baqup_agent.bus.redis_connect import RedisClient

#: Redirections that one command follows; more mean that the cluster has not settled.
_REDIRECTIONS = 5

#: Where the key stands, counted from the command's name.
_KEY_AT = {"EVAL": 3, "EVALSHA": 3}

#: Commands without a key, which any node answers.
_KEYLESS = {"PING", "CLUSTER", "INFO", "CONFIG", "ROLE"}


class _Range(NamedTuple):
    """Slots that one node holds; they end where the next range begins."""

    first: int
    last: int
    owner: Address


class ClusterClient:
    """Speaks to the nodes of a cluster.

    Args:
        url: some of its nodes.
        settings: of redis-py's client of each node.
        timeout_s: seconds that the search for a node that answers may take.
    """

    def __init__(self, url: ClusterUrl, settings: dict[str, Any], timeout_s: float) -> None:
        self._url = url
        self._settings = settings
        share_s = max(SHARE_MIN_S, timeout_s / len(url.nodes))
        self._hasty = {**settings, "socket_timeout": share_s, "socket_connect_timeout": share_s}
        self._ranges: list[_Range] = []
        self._moved: dict[int, Address] = {}
        self._clients: dict[Address, Redis] = {}
        self._door: Address | None = None

    def execute_command(self, *arguments: object) -> object:
        """Send one command to the node that holds its key, which is the first of its keys."""
        if self._door is None:
            self._explore()
        slot = _slot(arguments)
        try:
            return self._follow(slot, arguments)
        except Exception as error:
            if _tells_of_the_map(error):
                self.close()
            raise

    def node(self) -> Redis:
        """Return the client of a node that is up; it hears what is published on every other."""
        if self._door is None:
            self._explore()
        return self._client(self._door or self._url.nodes[0])

    def suspects(self) -> Iterator[Address]:
        """Yield a port that was spoken to."""
        yield self._url.nodes[0]

    def close(self) -> None:
        """Close the connections and forget who holds what."""
        clients, self._clients = self._clients, {}
        self._door = None
        self._moved = {}
        for client in clients.values():
            client.close()

    def _follow(self, slot: int | None, arguments: tuple[object, ...]) -> object:
        from redis.exceptions import AskError, ClusterDownError, MovedError

        node, asking = self._owner(slot), False
        for _ in range(_REDIRECTIONS):
            client = cast("RedisClient", self._client(node))  # redis-py leaves it untyped
            try:
                if asking:
                    client.execute_command("ASKING")
                return client.execute_command(*arguments)
            except MovedError as moved:
                node, asking = _named(moved, node), False
                self._moved[moved.slot_id] = node
            except AskError as ask:
                node, asking = _named(ask, node), True
        raise ClusterDownError("the cluster sends each command from node to node")

    def _owner(self, slot: int | None) -> Address:
        from redis.exceptions import ClusterDownError

        if slot is None:
            return self._door or self._url.nodes[0]
        if slot in self._moved:
            return self._moved[slot]
        index = bisect_right(self._ranges, slot, key=lambda one: one.first) - 1
        if index < 0 or self._ranges[index].last < slot:
            raise ClusterDownError(f"no node holds slot {slot} now")
        return self._ranges[index].owner

    def _client(self, node: Address) -> Redis:
        from redis import Redis

        client = self._clients.get(node)
        if client is None:
            # One connection, so that ASKING and what follows it go the same way.
            settings = {**self._settings, "max_connections": 1}
            client = self._clients[node] = Redis(host=node.host, port=node.port, **settings)
        return client

    def _explore(self) -> None:
        """Ask the nodes of the URL, in any order, until one tells who holds what."""
        failures: list[Exception] = []
        # A node that was cut off from the others may tell of old times: not always the same first.
        for node in random.sample(self._url.nodes, len(self._url.nodes)):
            try:
                self._ranges = self._ask(node)
            except Exception as error:  # noqa: BLE001  all kinds count; one is raised below
                failures.append(error)
            else:
                self._door = node
                return
        raise next((one for one in failures if _is_telling(one)), failures[0])

    def _ask(self, node: Address) -> list[_Range]:
        from redis import Redis
        from redis.exceptions import ResponseError

        with Redis(host=node.host, port=node.port, **self._hasty) as client:
            try:
                told: Any = client.execute_command("CLUSTER", "SLOTS")
            except ResponseError as error:
                if "cluster support disabled" in str(error):
                    raise WrongUrl(f"{node} is no node of a cluster", _NO_CLUSTER) from error
                raise
        return sorted(
            _Range(int(first), int(last), _address(owner, node)) for first, last, owner, *_ in told
        )


_NO_CLUSTER = "begin the URL with redis://"


def _slot(arguments: tuple[object, ...]) -> int | None:
    from redis.crc import key_slot

    name = str(arguments[0]).upper()
    at = _KEY_AT.get(name, 1)
    keyless = name in _KEYLESS or (at > 1 and not int(str(arguments[2])))
    if keyless or at >= len(arguments):
        return None
    key = arguments[at]
    return int(key_slot(key if isinstance(key, bytes) else str(key).encode()))


def _address(owner: Any, told_by: Address) -> Address:
    host = owner[0].decode() if isinstance(owner[0], bytes) else str(owner[0] or "")
    # A node that does not know its own name leaves it to us how we came to it.
    return Address(told_by.host if host in {"", "?"} else host, int(owner[1]))


def _named(redirection: Any, sender: Address) -> Address:
    host = str(redirection.host)
    return Address(sender.host if host in {"", "?"} else host, int(redirection.port))


def _tells_of_the_map(error: Exception) -> bool:
    from redis import exceptions

    return isinstance(
        error,
        (
            exceptions.ConnectionError,
            exceptions.TimeoutError,
            exceptions.ClusterDownError,
            exceptions.ReadOnlyError,
        ),
    )


def _is_telling(error: Exception) -> bool:
    from redis.exceptions import AuthenticationError, ResponseError

    return isinstance(error, (AuthenticationError, ResponseError, WrongUrl))
