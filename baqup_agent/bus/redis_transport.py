"""The bus on a Redis or Valkey server (Contract §3).

One Lua script writes one message, or one batch of events; see `baqup_agent.bus.redis_scripts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from baqup_agent.bus.encoding import entry_json, to_fields, to_json
from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.redis_connect import SOCKET_TIMEOUT_S, RedisClient, open_client
from baqup_agent.bus.redis_scripts import (
    APPEND_EVENTS,
    APPEND_STORED,
    NEWEST_ID,
    WRITE_HASH,
    Script,
)
from baqup_agent.bus.stored import stored_by_one
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

    def send(self, message: Wire) -> bool:
        """Write one message by one script.

        Returns:
            Whether it counts; False if the server holds a newer one.

        Raises:
            BusUnavailable: the server did not confirm the write.
            BusRefused: the credentials do not allow it.
            MessageRejected: the server will never take this message.
        """
        if message["type"] == "event":
            return self._append_above([message])
        place = PLACES[message["type"]]
        fields = [text for pair in to_fields(message).items() for text in pair]
        return (
            self._run(
                WRITE_HASH,
                key(self._prefix, message["type"], message[place.owner]),
                message["timestamp"],
                place.ttl_s * 1000,
                self._channel,
                to_json(message),
                *fields,
            )
            == 1
        )

    def append(self, events: Sequence[Wire], base_ms: int = 0) -> int:
        """Write events of one job by one script.

        Returns:
            How many are there, from the first on.

        Raises:
            BusUnavailable: the server did not confirm the write.
            BusRefused: the credentials do not allow it.
            MessageRejected: the server will never take one of them.
        """
        place, last = PLACES["event"], events[-1]
        stored = stored_by_one(events)
        if stored:
            entries = ",".join([event.entry_json(base_ms) for event in stored])
            script, whose = APPEND_STORED, list(stored[0].producer[1:])
        else:
            entries = ",".join([entry_json(entry_id(event, base_ms), event) for event in events])
            script, whose = APPEND_EVENTS, []
        taken = self._run(
            script,
            key(self._prefix, "event", last[place.owner]),
            place.ttl_s * 1000,
            self._channel,
            to_json(last),
            f"[{entries}]",
            *whose,
        )
        return cast("int", taken)

    def top_ms(self, job_id: str) -> int:
        """Ask for the newest entry of the job's stream.

        Raises:
            BusUnavailable: the server did not answer.
            BusRefused: the credentials do not allow it.
        """
        newest = self._run(NEWEST_ID, key(self._prefix, "event", job_id))
        text = newest.decode() if isinstance(newest, bytes) else str(newest)
        return int(text.partition("-")[0] or 0)

    def newest(self, job_id: str) -> str:
        """Ask for the newest status and progress of the job.

        Raises:
            BusUnavailable: the server did not answer.
            BusRefused: the credentials do not allow it.
        """
        found = [
            self._timestamp(key(self._prefix, kind, job_id)) for kind in ("status", "progress")
        ]
        return max(found)

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _append_above(self, events: Sequence[Wire]) -> bool:
        """Append what no process will ever repeat with other ids."""
        if not self.append(events):
            self.append(events, self.top_ms(events[0]["job_id"]) + 1)
        return True

    def _timestamp(self, where: str) -> str:
        if self._client is None:
            raise BusUnavailable(f"{self.display}: not connected")
        try:
            stored = self._client.execute_command("HGET", where, "timestamp")
        except Exception as error:
            raise self._translate(error, connecting=False) from error
        return stored.decode("utf-8", "replace") if isinstance(stored, bytes) else ""

    def _run(self, script: Script, where: str, *arguments: object) -> object:
        if self._client is None:
            raise BusUnavailable(f"{self.display}: not connected")
        try:
            return _evaluate(self._client, script, where, arguments)
        except Exception as error:
            raise self._translate(error, connecting=False) from error

    def _translate(self, error: Exception, *, connecting: bool) -> Exception:
        from baqup_agent.bus.redis_errors import translate

        return translate(error, self.display, connecting=connecting)


def _evaluate(
    client: RedisClient, script: Script, where: str, arguments: Sequence[object]
) -> object:
    from redis.exceptions import NoScriptError

    try:
        return client.execute_command("EVALSHA", script.digest, 1, where, *arguments)
    except NoScriptError:
        # The server was restarted or its cache flushed; the text brings the script back.
        return client.execute_command("EVAL", script.text, 1, where, *arguments)
