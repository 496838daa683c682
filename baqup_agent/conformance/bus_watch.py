"""Watches what one run does to the bus: its announcements, and its keys at each change.

The keys are read when the server tells that they have changed (keyspace notifications, which a
server of our own is started with), and otherwise over and over, every few milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

from baqup_agent.conformance.messages import Message, read_fields
from baqup_agent.conformance.timeline import Timeline

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

#: Seconds between two looks at the keys of a server that does not tell of changes.
_POLL_S = 0.01

#: Seconds between two looks at whether the watch shall end.
_LOOK_S = 0.2

#: Seconds before a server that went away is tried again.
_RETRY_S = 0.05

#: Seconds for everything to arrive that was sent before.
_SYNC_S = 5.0

#: Messages that one run keeps.
_MAX_MESSAGES = 50_000


class BusWatch:
    """Watches the keys below one prefix.

    Args:
        url: the server's own, past any proxy.
        prefix: what the run's keys begin with.
        timeline: is told states and messages.
    """

    def __init__(self, url: str, prefix: str, timeline: Timeline) -> None:
        self._url = url
        self._prefix = prefix
        self._timeline = timeline
        self._messages: list[Message] = []
        self._lock = threading.Lock()
        self._seen: set[tuple[Any, ...]] = set()
        self._told: set[tuple[Any, ...]] = set()
        self._stream_ids: dict[str, str] = {}
        self._newest = ("", 0)
        self._state = ""
        self._ended = threading.Event()
        self._ready = threading.Event()
        self._synced: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="bus-watch", daemon=True)
        self._thread.start()
        self._ready.wait(_SYNC_S)

    def messages(self) -> list[Message]:
        """Return all messages as they were seen; most are seen twice (see `Message.channel`)."""
        with self._lock:
            return list(self._messages)

    def sync(self) -> None:
        """Wait until all that was published before this call has been seen."""
        word = f"sync-{time.monotonic_ns()}"
        with contextlib.suppress(Exception), self._client() as client:
            if client.publish(self._prefix + "conform-sync", word):
                self._timeline.wait(
                    lambda: word in self._synced or None, time.monotonic() + _SYNC_S
                )

    def close(self) -> None:
        """End the watch and remove what the run left on the server."""
        self._ended.set()
        with contextlib.suppress(Exception), self._client() as client:
            client.publish(self._prefix + "conform-sync", "")  # it waits for the next message
            self._thread.join()
            for key in client.scan_iter(match=self._prefix + "*"):
                client.delete(key)
        self._thread.join()

    def _client(self) -> Redis:
        from redis import Redis

        return Redis.from_url(
            self._url, decode_responses=True, socket_timeout=5, socket_connect_timeout=5
        )

    def _run(self) -> None:
        from redis.exceptions import RedisError

        while not self._ended.is_set():
            try:
                with self._client() as client, client.pubsub() as channel:
                    self._watch(client, channel)
            except (RedisError, OSError):  # it is away, and may come back
                self._ended.wait(_RETRY_S)

    def _watch(self, client: Redis, channel: PubSub) -> None:
        keyspace = "__keyspace@*__:" + self._prefix
        channel.psubscribe(self._prefix + "*", keyspace + "*")
        told = _tells_changes(client)
        self._read_keys(client)
        while not self._ended.is_set():
            item: dict[str, Any] | None = channel.get_message(timeout=_LOOK_S if told else _POLL_S)
            if item is not None:
                self._hear(client, item)
            elif not told:
                self._read_keys(client)
            if item is not None and item["type"] == "psubscribe":
                self._ready.set()

    def _hear(self, client: Redis, item: dict[str, Any]) -> None:
        if item["type"] != "pmessage":
            return
        name, data = item["channel"], item["data"]
        if name.startswith("__keyspace@"):
            if data not in ("expire", "pexpire", "expired", "del"):
                self._read_key(client, name.partition("__:")[2])
        elif name == self._prefix + "conform-sync":
            self._read_keys(client)
            self._synced.add(data)
            self._timeline.wake()
        else:
            self._announced(name, data)

    def _announced(self, channel: str, data: str) -> None:
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self._timeline.add("note", f"not a JSON object on {channel}: {data}")
            return
        self._take(Message(time.monotonic(), "notify", channel, body))

    def _read_keys(self, client: Redis) -> None:
        for key in client.scan_iter(match=self._prefix + "*", count=1000):
            self._read_key(client, key)

    def _read_key(self, client: Redis, key: str) -> None:
        from redis.exceptions import ResponseError

        with contextlib.suppress(ResponseError):  # a key of another type
            if key.startswith(self._prefix + "events:"):
                self._read_stream(client, key)
                return
            fields: Any = client.hgetall(key)
            if fields:
                ttl: Any = client.pttl(key)
                body = read_fields(fields)
                self._take(Message(time.monotonic(), "stored", key, body, "", _seconds(ttl)))

    def _read_stream(self, client: Redis, key: str) -> None:
        last = self._stream_ids.get(key)
        entries: Any = client.xrange(key, min=f"({last}" if last else "-")
        ttl: Any = client.pttl(key) if entries else None
        for entry, fields in entries:
            self._stream_ids[key] = entry
            body = read_fields(fields)
            self._take(Message(time.monotonic(), "stored", key, body, entry, _seconds(ttl)))

    def _take(self, message: Message) -> None:
        known = (message.channel, message.key, message.entry, *message.identity)
        if message.channel == "stored" and known in self._seen:
            return  # only its time to live has changed
        self._seen.add(known)
        with self._lock:
            if len(self._messages) < _MAX_MESSAGES:
                self._messages.append(message)
        if message.identity in self._told:  # seen on the other way before
            self._timeline.wake()
            return
        self._told.add(message.identity)
        words = f"{message.type} {message.seq or ''}".strip()
        self._timeline.add("message", words, message, at_s=message.at_s)
        self._take_state(message)

    def _take_state(self, message: Message) -> None:
        """Tell a change of state, unless the message is older than one that was seen."""
        state, order = message.body.get("state"), (str(message.body.get("timestamp")), message.seq)
        if message.type != "heartbeat" or not isinstance(state, str) or order < self._newest:
            return
        self._newest = order
        if state != self._state:
            self._state = state
            self._timeline.add("state", state, message, at_s=message.at_s)


def _seconds(milliseconds: Any) -> float | None:
    return milliseconds / 1000 if isinstance(milliseconds, int) and milliseconds >= 0 else None


def _tells_changes(client: Redis) -> bool:
    """Have the server tell of changes; False if it does not."""
    from redis.exceptions import RedisError

    wanted = "KA"
    with contextlib.suppress(RedisError):
        found: Any = client.config_get("notify-keyspace-events")
        if not set(wanted) - set(found.get("notify-keyspace-events", "")):
            return True
        client.config_set("notify-keyspace-events", wanted)
        return True
    return False
