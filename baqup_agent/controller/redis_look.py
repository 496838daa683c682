"""What a Redis bus holds, looked at and told in order: the part of the reader that knows the keys.

Hashes are taken from their notifications or read; streams are read by `Streams`. What both say of a
job is merged by its timestamps before it is told.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from baqup_agent.bus.topology import PLACES, key
from baqup_agent.contract import HEARTBEAT_TTL_S
from baqup_agent.controller.complaints import Complaints
from baqup_agent.controller.messages import (
    BusMessage,
    Event,
    Heartbeat,
    Malformed,
    read_hash,
    read_json,
)
from baqup_agent.controller.novelty import Novelty
from baqup_agent.controller.redis_access import RedisAccess
from baqup_agent.controller.redis_streams import Page, Streams

#: Keys that are asked for in one exchange.
_KEYS_AT_ONCE = 100

#: Most rounds in which more is read before what was read is told.
_MOST_ROUNDS = 20

#: The kinds of key by their word, for instance ``events``.
_KINDS = {place.word: kind for kind, place in PLACES.items()}


class RedisLook:
    """Turns keys and notifications into messages; used from one thread.

    Args:
        prefix: what every key begins with.
        job_id: the job; None takes all.
        tell: is handed the messages, in order.
        complaints: is told what cannot be understood.
    """

    def __init__(
        self,
        prefix: str,
        job_id: str | None,
        tell: Callable[[Iterable[BusMessage]], None],
        complaints: Complaints,
    ) -> None:
        self._prefix = prefix
        self._job_id = job_id
        self._tell = tell
        self._complaints = complaints
        self._novelty = Novelty()
        self._streams = Streams(prefix, self._novelty, complaints)
        self._agents: dict[str, str] = {}
        self._dirty: dict[str, None] = {}
        self._held: dict[str, list[BusMessage]] = {}
        self._missing: set[str] = set()
        self._leave_out = ""

    def leave_out(self, before: str) -> None:
        """Leave out what the first look finds of before this time, in the form of `order_of`."""
        self._leave_out = before

    def notified(self, raw: bytes) -> None:
        """Take in one notification; `settle` acts on it."""
        if self._job_id is not None and self._job_id.encode() not in raw:
            return
        try:
            message = read_json(raw)
        except Malformed as error:
            self._complaints.refuse("a notification", str(error))
            return
        if self._is_foreign(message):
            return
        if not isinstance(message, Event):
            self._hold(message)
        elif not self._novelty.has_told(message):
            self._dirty[message.job_id] = None

    @property
    def unsettled(self) -> bool:
        """Whether there are streams to read, or messages to tell."""
        return bool(self._dirty or self._held)

    def settle(self, bus: RedisAccess, drain: Callable[[], object] = lambda: None) -> None:
        """Read the streams that were spoken of, and tell what is new.

        Args:
            bus: the server.
            drain: takes in the notifications that have come meanwhile.
        """
        for _ in range(_MOST_ROUNDS):
            if not self._dirty:
                break
            jobs = list(self._dirty)[:_KEYS_AT_ONCE]
            pages = self._streams.look(bus, jobs)
            for job_id in jobs:
                del self._dirty[job_id]
            drain()  # marks again what has grown meanwhile
            for page in pages:
                self._take_page(page)
        for job_id in [job_id for job_id in self._held if job_id not in self._dirty]:
            self._tell(self._held.pop(job_id))

    def everything(self, bus: RedisAccess, *, rescan: bool = True) -> None:
        """Look at all keys.

        Args:
            bus: the server.
            rescan: search for heartbeats, too, if it is about one job; for all jobs, the keys are
                always searched for.
        """
        keys = self._keys(bus, rescan=rescan)
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            self._take_hashes(bus, keys[start : start + _KEYS_AT_ONCE])
        while self.unsettled:
            self.settle(bus)
        self._leave_out = ""

    def _keys(self, bus: RedisAccess, *, rescan: bool) -> list[tuple[str, str]]:
        """The hashes to look at, as kind and owner; streams are marked to be read."""
        if self._job_id is not None:
            self._dirty[self._job_id] = None
            found = [("progress", self._job_id), ("status", self._job_id)]
            agents = self._agents_found(bus) if rescan else list(self._agents)
            return [("heartbeat", agent) for agent in agents] + found
        found = list(self._scan(bus, ""))
        self._dirty |= {owner: None for kind, owner in found if kind == "event"}
        beating = {owner for kind, owner in found if kind == "heartbeat"}
        self._agents = {one: job_id for one, job_id in self._agents.items() if one in beating}
        self._forget({owner for kind, owner in found if kind != "heartbeat"})
        return [one for one in found if one[0] != "event"]

    def _agents_found(self, bus: RedisAccess) -> list[str]:
        from redis import ResponseError

        try:
            return [agent_id for _, agent_id in self._scan(bus, "heartbeat:")]
        except ResponseError:  # an agent's own credentials need not allow a scan
            return list(self._agents)

    def _scan(self, bus: RedisAccess, word: str) -> Iterator[tuple[str, str]]:
        pattern = re.sub(r"([\[\]*?\\^])", r"\\\1", self._prefix + word) + "*"
        seen: set[tuple[str, str]] = set()  # a scan may return a key more than once
        for raw in bus.search(pattern):
            text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
            name, colon, owner = text.removeprefix(self._prefix).partition(":")
            one = (_KINDS.get(name, ""), owner)
            if colon and all(one) and one not in seen:
                seen.add(one)
                yield one

    def _forget(self, present: set[str]) -> None:
        """Forget jobs of which twice in a row nothing was there: their keys have expired."""
        present = present | set(self._agents.values())
        gone = (self._novelty.jobs() | self._streams.jobs()) - present
        expired, self._missing = gone & self._missing, gone
        self._novelty.forget(expired)
        self._streams.forget(expired)

    def _take_hashes(self, bus: RedisAccess, keys: list[tuple[str, str]]) -> None:
        places = [key(self._prefix, kind, owner) for kind, owner in keys]
        answers = bus.ask([(name, place) for place in places for name in ("HGETALL", "PTTL")])
        for number, (kind, owner) in enumerate(keys):
            fields = self._complaints.answer(places[number], kind, answers[2 * number])
            self._take_hash(kind, owner, fields, answers[2 * number + 1])

    def _take_hash(self, kind: str, owner: str, fields: Any, pttl_ms: Any) -> None:
        if kind == "heartbeat" and not fields:
            self._agents.pop(owner, None)  # its key has expired
        if not fields:
            return
        known = {"age_s": _age_s(pttl_ms)} if kind == "heartbeat" else {}
        try:
            message = read_hash(kind, fields, **known)
        except Malformed as error:
            where, seen = key(self._prefix, kind, owner), hash(frozenset(fields.items()))
            self._complaints.refuse_stored(where, kind, str(error), seen)
            return
        if self._is_foreign(message):
            return
        if self._is_earlier(message):
            self._novelty.admit_latest(message)
        else:
            self._hold(message)
        if message.job_id in self._held:
            # A search need not find the stream that grew while it went on; what happened before
            # this message is read before it is told.
            self._dirty[message.job_id] = None

    def _hold(self, message: BusMessage) -> None:
        """Keep a message of a hash until it is told, if it is new."""
        if not self._novelty.admit_latest(message):
            return
        if isinstance(message, Heartbeat) and message.agent_id:
            self._agents[message.agent_id] = message.job_id
        self._complaints.inspect(message)
        self._held.setdefault(message.job_id, []).append(message)

    def _take_page(self, page: Page) -> None:
        events, more = self._streams.take(page)
        if more:
            self._dirty[page.job_id] = None
        fresh = [event for event in events if not self._is_earlier(event)]
        for event in fresh:
            self._complaints.inspect(event)
        self._tell_merged(page.job_id, fresh, more=page.job_id in self._dirty)

    def _tell_merged(self, job_id: str, events: list[BusMessage], *, more: bool) -> None:
        """Tell events in their order, and between them what else was said, by its time."""
        held = self._held.pop(job_id, [])
        if more and held:
            # What is later than these events waits for those that follow.
            until = events[-1].order if events else ""
            self._held[job_id] = [message for message in held if message.order > until]
            held = [message for message in held if message.order <= until]
        self._tell(heapq.merge(held, events, key=lambda message: message.order))

    def _is_foreign(self, message: BusMessage) -> bool:
        return self._job_id is not None and message.job_id != self._job_id

    def _is_earlier(self, message: BusMessage) -> bool:
        return message.order < self._leave_out


def _age_s(pttl_ms: Any) -> float:
    """How long ago a heartbeat was stored: its key lives for a known time from then."""
    if not isinstance(pttl_ms, int) or pttl_ms < 0:
        return 0.0
    return max(0.0, HEARTBEAT_TTL_S - pttl_ms / 1000)
