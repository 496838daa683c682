"""A Redis bus as its reader needs it: many keys at once, a search, and notifications.

In a cluster each key is asked of the node that holds it, and a search goes through all of them.
What a node redirects, as while slots are moved, is asked again through the client that agents use,
which follows redirections.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from baqup_agent.bus.redis_connect import open_client, open_node
from baqup_agent.bus.url import ClusterUrl, RedisUrl

if TYPE_CHECKING:
    from redis import Redis

#: A command and its arguments, the key first.
Command = tuple[str | int, ...]

#: Keys that a server looks at in one step of a search.
_SCAN_COUNT = 1000


class _Range(NamedTuple):
    """Slots of a cluster, and the node that holds them."""

    first: int
    last: int
    node: Redis


class RedisAccess:
    """One connection to each server of a bus, for as long as all of them work.

    Args:
        url: the bus.
        timeout_s: seconds that connecting, and each answer, may take.
    """

    def __init__(self, url: RedisUrl, timeout_s: float) -> None:
        self._is_cluster = isinstance(url, ClusterUrl)
        self._follower = open_client(url, timeout_s)
        # Says what is wrong with a port that is no Redis server's, which others do not.
        self._follower.execute_command("PING")
        self._door = open_node(url, timeout_s)
        self._ranges = self._explored() if self._is_cluster else []

    def subscription(self) -> Any:
        """Return redis-py's object for subscribing."""
        return self._door.pubsub()  # type: ignore[no-untyped-call]

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together.

        Returns:
            For each its answer, or the exception that the server answered with.
        """
        answers: list[Any] = [None] * len(commands)
        for node, numbers in self._by_node(commands):
            with node.pipeline(transaction=False) as pipe:
                for number in numbers:
                    pipe.execute_command(*commands[number])  # type: ignore[no-untyped-call]
                for number, answer in zip(numbers, pipe.execute(raise_on_error=False), strict=True):
                    answers[number] = self._followed(commands[number], answer)
        return answers

    def search(self, pattern: str) -> Iterator[bytes]:
        """Yield the keys that match; one may come more than once."""
        nodes = {id(one.node): one.node for one in self._ranges} or {0: self._door}
        for node in nodes.values():
            yield from node.scan_iter(match=pattern, count=_SCAN_COUNT)

    def close(self) -> None:
        """Close the connections."""
        self._follower.close()
        self._door.close()
        for one in self._ranges:
            one.node.close()

    def _by_node(self, commands: Sequence[Command]) -> Iterable[tuple[Redis, list[int]]]:
        if not self._is_cluster:
            return [(self._door, list(range(len(commands))))]
        from redis.crc import key_slot

        shares: dict[int, tuple[Redis, list[int]]] = {}
        for number, command in enumerate(commands):
            node = self._owner(key_slot(str(command[1]).encode()))
            shares.setdefault(id(node), (node, []))[1].append(number)
        return shares.values()

    def _owner(self, slot: int) -> Redis:
        from redis.exceptions import ClusterDownError

        for one in self._ranges:
            if one.first <= slot <= one.last:
                return one.node
        raise ClusterDownError(f"no node holds slot {slot} now")

    def _followed(self, command: Command, answer: Any) -> Any:
        from redis.exceptions import MovedError, ResponseError

        if not isinstance(answer, MovedError):  # of which ASK is a kind, too
            return answer
        try:
            return self._follower.execute_command(*command)
        except ResponseError as error:
            return error

    def _explored(self) -> list[_Range]:
        from redis import ConnectionPool, Redis

        pool = self._door.connection_pool
        common = {n: v for n, v in pool.connection_kwargs.items() if n not in ("host", "port")}
        told: Any = self._door.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
        nodes: dict[tuple[str, int], Redis] = {}
        ranges = []
        for place, (first, last) in _slots(told, str(pool.connection_kwargs["host"])):
            if place not in nodes:
                host, port = place
                its = ConnectionPool(pool.connection_class, host=host, port=port, **common)
                nodes[place] = Redis(connection_pool=its)
            ranges.append(_Range(first, last, nodes[place]))
        return ranges


def _slots(told: Any, told_by: str) -> Iterator[tuple[tuple[str, int], tuple[int, int]]]:
    """Yield which node holds which slots, from the answer in whatever form redis-py gives it."""
    if isinstance(told, dict):
        for (first, last), owners in told.items():
            host, port = owners["primary"][:2]
            yield (str(host) or told_by, int(port)), (int(first), int(last))
        return
    for first, last, owner, *_ in told:
        host = owner[0].decode() if isinstance(owner[0], bytes) else str(owner[0] or "")
        yield (told_by if host in {"", "?"} else host, int(owner[1])), (int(first), int(last))
