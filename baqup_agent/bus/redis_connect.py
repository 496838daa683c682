"""Opens redis-py's client for a URL, with settings under which nothing hangs.

redis-py is imported where it is used: in the publisher's thread, while the job starts. Its own
retries are off and its timeouts short, for by itself it would hold a dead connection for most of
a minute, and repeat writes that took effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, cast

from baqup_agent.bus.url import REDIS_PORT, Address, ClusterUrl, RedisUrl, SentinelUrl

if TYPE_CHECKING:
    from redis import Redis

    from baqup_agent.bus.redis_probe import OwnFiles

#: Seconds that connecting, and each answer of the server, may take.
SOCKET_TIMEOUT_S = 1.0

#: Seconds of silence after which a connection is tested before it is used.
_HEALTH_CHECK_S = 10


#: Keys that a node is asked for; of two nodes one holds all of them once in 65,000 times.
_KEYS_TRIED = 16


class RedisClient(Protocol):
    """What is used of redis-py's client, whose own types are loose."""

    def execute_command(self, *arguments: object) -> object:
        """Send one command and return the server's answer."""

    def close(self) -> None:
        """Close the connection."""


class _Form(RedisClient, Protocol):
    """A server, a master under sentinels, or a cluster."""

    def node(self) -> Redis:
        """Return redis-py's client of one server."""
        ...

    def suspects(self) -> Iterator[Address]:
        """Yield the ports that were spoken to last."""
        ...


def open_client(url: RedisUrl, timeout_s: float = SOCKET_TIMEOUT_S) -> RedisClient:
    """Return a client for ``url``; nothing is connected yet.

    In a cluster a command goes to the node that holds its key, which is taken to be its first
    argument, or the first key of a script.

    Args:
        url: the server, master or cluster.
        timeout_s: see `SOCKET_TIMEOUT_S`.
    """
    settings = _settings(url, timeout_s)
    return _FirstContact(_open(url, settings, timeout_s), _own_files(settings))


def open_node(url: RedisUrl, timeout_s: float = SOCKET_TIMEOUT_S) -> Redis:
    """Return redis-py's own client of one server, for subscribing to notifications.

    That is the server, the master that the sentinels name now, or some node of the cluster, since
    each of them hears all that is published. Only a server is not connected to yet.

    Args:
        url: the server, master or cluster.
        timeout_s: see `SOCKET_TIMEOUT_S`.
    """
    return _open(url, _settings(url, timeout_s), timeout_s).node()


def _open(url: RedisUrl, settings: dict[str, Any], timeout_s: float) -> _Form:
    if isinstance(url, SentinelUrl):
        from baqup_agent.bus.redis_sentinel import MasterClient

        return MasterClient(url, settings, _for_sentinels(url, settings), timeout_s)
    if isinstance(url, ClusterUrl):
        from baqup_agent.bus.redis_cluster import ClusterClient

        return ClusterClient(url, settings, timeout_s)
    return _ServerClient(url, settings)


def _settings(url: RedisUrl, timeout_s: float) -> dict[str, Any]:
    """Return what redis-py's client of any one server is made with, but for host and port."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    given: dict[str, Any] = _parsed(url)
    for name in ("connection_class", "host", "port", "path"):
        given.pop(name, None)
    if url.tls:
        # A certificate is only worth something if it is this host's.
        unverified = given.get("ssl_cert_reqs") == "none"
        given = {"ssl_check_hostname": not unverified, **given, "ssl": True}
    return given | {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": _HEALTH_CHECK_S,
        "protocol": 2,
    }


def _parsed(url: RedisUrl) -> dict[str, Any]:
    from redis.connection import parse_url

    return dict(parse_url(url.secret.reveal()))  # type: ignore[no-untyped-call]


def _own_files(settings: dict[str, Any]) -> OwnFiles | None:
    from baqup_agent.bus.redis_probe import OwnFiles

    if not settings.get("ssl"):
        return None
    return OwnFiles(*(settings.get(f"ssl_{name}") for name in ("certfile", "keyfile", "password")))


def _for_sentinels(url: SentinelUrl, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the same for a sentinel, which has users of its own and no databases."""
    made = {name: value for name, value in settings.items() if name not in {"db", "client_name"}}
    made["username"] = url.username
    made["password"] = None if url.password is None else url.password.reveal()
    return made


class _ServerClient:
    """One server."""

    def __init__(self, url: RedisUrl, settings: dict[str, Any]) -> None:
        from redis import Redis

        place = _parsed(url)
        self._address = Address(place.get("host", "localhost"), place.get("port", REDIS_PORT))
        self._is_socket = "path" in place
        where = {"unix_socket_path": place["path"]} if self._is_socket else self._address._asdict()
        self._client = Redis(**where, **settings)
        self._send = cast("RedisClient", self._client).execute_command  # redis-py: untyped

    def execute_command(self, *arguments: object) -> object:
        answer = self._send(*arguments)
        self._meet_redirections()
        self.execute_command = self._send  # type: ignore[method-assign]  # asked once
        return answer

    def close(self) -> None:
        self._client.close()

    def _meet_redirections(self) -> None:
        """Raise MOVED now if this is one node of many: sooner or later some key would meet it.

        Not every user may ask. A cluster of one node is as good as a server.
        """
        from redis.exceptions import MovedError, ResponseError

        try:
            slots: Any = self._send("CLUSTER", "SLOTS")
            if len({tuple(owner[:2]) for _, _, owner, *_ in slots}) > 1:
                for number in range(_KEYS_TRIED):
                    self._send("EXISTS", f"baqup-{number}")
        except MovedError:
            raise
        except ResponseError:
            return

    def node(self) -> Redis:
        return self._client

    def suspects(self) -> Iterator[Address]:
        if not self._is_socket:
            yield self._address


class _FirstContact:
    """Passes commands on; if the first of them fails, finds out whether it ever can work."""

    def __init__(self, client: _Form, own_files: OwnFiles | None) -> None:
        self._client = client
        self._own_files = own_files

    def execute_command(self, *arguments: object) -> object:
        from redis.exceptions import ConnectionError as Lost
        from redis.exceptions import TimeoutError as Late

        try:
            answer = self._client.execute_command(*arguments)
        except (Lost, Late) as error:
            self._explain(error)
            raise
        self.execute_command = self._client.execute_command  # type: ignore[method-assign]
        return answer

    def close(self) -> None:
        self._client.close()

    def _explain(self, error: Exception) -> None:
        from baqup_agent.bus.redis_errors import WrongUrl, is_refusal
        from baqup_agent.bus.redis_probe import why_unfit

        if is_refusal(error):  # it explains itself
            return
        for address in self._client.suspects():
            finding = why_unfit(address, self._own_files)
            if finding is not None:
                raise WrongUrl(*finding) from error
