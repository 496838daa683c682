"""Opens redis-py's client for a URL, with settings under which nothing hangs.

redis-py is imported where it is used: in the publisher's thread, while the job starts. Its own
retries are off and its timeouts short, for by itself it would hold a dead connection for most of
a minute, and repeat writes that took effect.
"""

from __future__ import annotations

from typing import Protocol, cast

from baqup_agent.bus.url import RedisUrl

#: Seconds that connecting, and each answer of the server, may take.
SOCKET_TIMEOUT_S = 1.0

#: Seconds of silence after which a connection is tested before it is used.
_HEALTH_CHECK_S = 10


class RedisClient(Protocol):
    """What is used of redis-py's client, whose own types are loose."""

    def execute_command(self, *arguments: object) -> object:
        """Send one command and return the server's answer."""

    def close(self) -> None:
        """Close the connection."""


def open_client(url: RedisUrl, timeout_s: float = SOCKET_TIMEOUT_S) -> RedisClient:
    """Return a client for ``url``; nothing is connected yet.

    Args:
        url: the server.
        timeout_s: see `SOCKET_TIMEOUT_S`.
    """
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = Redis.from_url(
        url.secret.reveal(),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=_HEALTH_CHECK_S,
        protocol=2,
    )
    return cast("RedisClient", client)
