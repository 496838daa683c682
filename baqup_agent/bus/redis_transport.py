"""The bus on a Redis or Valkey server (Contract §3).

One Lua script writes one message, or one batch of events; see `baqup_agent.bus.redis_scripts`.
"""

from __future__ import annotations

from typing import Any

from baqup_agent.bus.encoding import to_fields, to_json
from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.redis_connect import SOCKET_TIMEOUT_S, RedisClient, open_client
from baqup_agent.bus.redis_scripts import APPEND_EVENT, WRITE_HASH, Script
from baqup_agent.bus.topology import NOTIFY_WORD, PLACES, Wire, entry_id, key
from baqup_agent.bus.url import RedisUrl


class RedisTransport:
    """Writes messages to a Redis server.

    Args:
        url: the server.
        prefix: what every key begins with.
        timeout_s: see `SOCKET_TIMEOUT_S`.
    """

    def __init__(self, url: RedisUrl, prefix: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> None:
        self._url = url
        self._prefix = prefix
        self._channel = prefix + NOTIFY_WORD
        self._timeout_s = timeout_s
        self._client: RedisClient | None = None

    @property
    def display(self) -> str:
        """The server, without credentials."""
        return self._url.display

    def connect(self) -> None:
        """Open a connection and see whether scripts may be run.

        Raises:
            BusUnavailable: the server is out of reach or not ready.
            BusRefused: it does not accept us, or is no Redis server.
        """
        self.close()
        try:
            client = self._client = open_client(self._url, self._timeout_s)
            client.execute_command("PING")
            client.execute_command("EVAL", "return 1", 0)
        except Exception as error:
            self.close()
            raise self._translate(error, connecting=True) from error

    def send(self, message: Wire) -> None:
        """Write one message by one script.

        Raises:
            BusUnavailable: the server did not confirm the write.
            BusRefused: the credentials do not allow it.
            MessageRejected: the server will never take this message.
        """
        if self._client is None:
            raise BusUnavailable(f"{self.display}: not connected")
        script, arguments = self._call(message)
        try:
            _run(self._client, script, arguments)
        except Exception as error:
            raise self._translate(error, connecting=False) from error

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _call(self, message: Wire) -> tuple[Script, list[Any]]:
        place = PLACES[message["type"]]
        where = key(self._prefix, message["type"], message[place.owner])
        common = [place.ttl_s * 1000, self._channel, to_json(message)]
        fields = [text for pair in to_fields(message).items() for text in pair]
        if place.structure == "hash":
            return WRITE_HASH, [where, message["timestamp"], *common, *fields]
        producer = [message["agent_id"], message["seq"]]
        return APPEND_EVENT, [where, entry_id(message), *common, *producer, *fields]

    def _translate(self, error: Exception, *, connecting: bool) -> Exception:
        from baqup_agent.bus.redis_errors import translate

        return translate(error, self.display, connecting=connecting)


def _run(client: RedisClient, script: Script, arguments: list[Any]) -> None:
    from redis.exceptions import NoScriptError

    try:
        client.execute_command("EVALSHA", script.digest, 1, *arguments)
    except NoScriptError:
        # The server was restarted or its cache flushed; the text brings the script back.
        client.execute_command("EVAL", script.text, 1, *arguments)
