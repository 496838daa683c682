"""Watches one job on a Redis bus: notifications as they come, and at the end what is stored.

A notification is a hint that may be missed; the status, the progress and the events that are
stored under the job's keys are the truth (Contract §3). So the end of a run reads those, and
whatever no notification told of before is told then. What is stored when the watch begins belongs
to an earlier attempt at the same job and is left out.

Redis is spoken to by one thread of its own. A server that is away, slow or silent delays neither
the agent nor the person who watches; it makes notes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from baqup_agent.bus.encoding import decode_hash
from baqup_agent.bus.topology import NOTIFY_WORD, key
from baqup_agent.bus.url import RedisUrl
from baqup_agent.clock import SystemClock, timestamp
from baqup_agent.controller.observe import Message, decode_message, is_message
from baqup_agent.errors import DataError

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

#: Seconds that one exchange with the server may take.
_TIMEOUT_S = 1.0

#: Seconds that the agent's start waits for the subscription.
_SUBSCRIBE_S = 3.0

#: Seconds that the reading at the end may take altogether.
_FINISH_S = 5.0

#: Seconds between attempts to reach a server that is away.
_PAUSE_S = 0.5

#: Seconds that one look for a notification lasts.
_LOOK_S = 0.1

#: Characters of a timestamp up to its seconds.
_SECONDS = len("2026-01-15T03:00:00")

#: Entries of a stream: ids with fields.
_Page: TypeAlias = list[tuple[bytes, dict[bytes, bytes]]]

#: Events that are read at once at the end.
_PAGE = 1000


class RedisObserver:
    """Subscribes to the notifications and keeps those of one job.

    Args:
        url: the bus.
        key_prefix: what every key begins with.
        job_id: the job.
    """

    def __init__(self, url: RedisUrl, *, key_prefix: str, job_id: str) -> None:
        self.unreadable = 0
        self._url = url
        self._prefix = key_prefix
        self._job_id = job_id
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._notes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._seen: set[tuple[Any, ...]] = set()
        self._looked_before = False
        self._began = ""
        self._away = False
        self._ready = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bus-observer", daemon=True)

    def start(self) -> None:
        """Subscribe; return once that is done, or cannot be done quickly."""
        self._began = timestamp(SystemClock().now())
        self._thread.start()
        self._ready.wait(_SUBSCRIBE_S)

    def poll(self) -> list[Message]:
        """Return the messages that came since last time."""
        return _all_of(self._messages)

    def finish(self) -> Iterator[Message]:
        """Read what is stored about the job, and yield all that was not told before."""
        self._ending.set()
        self._thread.join(_FINISH_S)
        if self._thread.is_alive():
            self._notes.put("the bus did not answer in time: what it stores could not be read")
        yield from _all_of(self._messages)

    def close(self) -> None:
        """Stop watching."""
        self._ending.set()

    def notes(self) -> list[str]:
        """Return what went wrong with the bus."""
        return _all_of(self._notes)

    def _run(self) -> None:
        while not self._ending.is_set():
            if self._attempt(self._follow):
                break
            self._ready.set()  # the agent need not wait for a server that is away
            self._ending.wait(_PAUSE_S)
        if not self._attempt(self._read_stored):
            self._notes.put("what the bus stores about the job could not be read at the end")

    def _attempt(self, action: Callable[[Redis], None]) -> bool:
        from redis import RedisError  # slow, and needed for a Redis bus only

        try:
            with self._connect() as client:
                action(client)
        except (RedisError, OSError, ValueError) as error:
            if not self._away:
                # no text of the error: it may repeat the URL and with it a password
                self._notes.put(
                    f"the bus {self._url.display} cannot be watched: {type(error).__name__}"
                )
            self._away = True
            return False
        return True

    def _connect(self) -> Redis:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        return Redis.from_url(
            self._url.secret.reveal(),
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # one form of answers from every server
        )

    def _follow(self, client: Redis) -> None:
        with client.pubsub() as subscription:  # type: ignore[no-untyped-call]
            subscription.subscribe(f"{self._prefix}{NOTIFY_WORD}")
            self._pass_over_earlier(client)
            while not self._ending.is_set():
                self._look(subscription)

    def _look(self, subscription: PubSub) -> None:
        entry = subscription.get_message(timeout=_LOOK_S)
        if entry is None:
            return
        if entry["type"] == "subscribe":
            if self._away:
                self._notes.put("the bus can be watched again")
            self._away = False
            self._ready.set()
        elif entry["type"] == "message":
            self._notified(entry["data"])

    def _notified(self, raw: bytes) -> None:
        message = decode_message(raw, self._job_id)
        if message is not None:
            self._tell(message)
        elif self._job_id.encode() in raw:  # not of another job: one of ours that is broken
            self.unreadable += 1

    def _tell(self, message: Message) -> None:
        identity = _identity(message)
        if identity not in self._seen:
            self._seen.add(identity)
            self._messages.put(message)

    def _pass_over_earlier(self, client: Redis) -> None:
        """Count what an earlier attempt stored as told, at the first look at the server.

        By its time: when the server was away at first, our agent may have been there before us.
        """
        if not self._looked_before:
            earlier = (one for one in self._stored(client) if _is_before(one, self._began))
            self._seen.update(_identity(message) for message in earlier)
            self._looked_before = True

    def _read_stored(self, client: Redis) -> None:
        self._pass_over_earlier(client)
        for message in self._stored(client):
            self._tell(message)

    def _stored(self, client: Redis) -> Iterator[Message]:
        yield from self._stored_events(client)
        for kind in ("progress", "status"):
            fields = client.hgetall(key(self._prefix, kind, self._job_id))
            yield from self._decoded(kind, fields)

    def _stored_events(self, client: Redis) -> Iterator[Message]:
        stream, after = key(self._prefix, "event", self._job_id), "-"
        # redis-py types an answer for every configuration of a client; ours gives bytes
        while page := cast("_Page", client.xrange(stream, min=after, count=_PAGE)):
            for _, fields in page:
                yield from self._decoded("event", fields)
            after = f"({page[-1][0].decode()}"

    def _decoded(self, kind: str, fields: Mapping[Any, Any]) -> Iterator[Message]:
        if not fields:
            return
        try:
            message = decode_hash(kind, fields)
        except DataError:
            message = {}
        if is_message(message, self._job_id):
            yield message
        else:
            self.unreadable += 1


def _identity(message: Message) -> tuple[Any, ...]:
    """Tell a message from all others; a stored and a notified form of it have the same key."""
    names = ("type", "agent_id", "seq") if "seq" in message else ("type", "timestamp", "code")
    return tuple(str(message.get(name)) for name in names)


def _is_before(message: Message, moment: str) -> bool:
    """Compare a message's time with one of ours; to the second if it is written differently."""
    time = message.get("timestamp")
    if not isinstance(time, str):
        return False
    return time < moment if len(time) == len(moment) else time[:_SECONDS] < moment[:_SECONDS]


def _all_of(source: queue.SimpleQueue[Any]) -> list[Any]:
    found: list[Any] = []
    while True:
        try:
            found.append(source.get_nowait())
        except queue.Empty:
            return found
