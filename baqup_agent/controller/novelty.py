"""Tells what is new on a bus from what was read before, or is stale (Contract §3).

A bus says the same thing more than once: a message is notified and stored, is read again after
every reconnection, is written again by an agent that got no answer. Of heartbeat, progress and
status the latest counts, by timestamp; a heartbeat also by its number, for its agent's clock may be
set back. Events are told apart by their place in the stream; only
where that is of no use, because the stream or file was made anew, by their producer's number.

What is remembered is one line for each owner and producer, and can be forgotten with them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from attrs import define, field

from baqup_agent.controller.messages import BusMessage, Heartbeat

#: Sorts messages of one writer: by time, then by number.
_Order = tuple[str, int]


class Topic(NamedTuple):
    """What of several messages the latest counts of; a heartbeat is its agent's, too."""

    kind: str
    job_id: str
    agent_id: str


@define
class Novelty:
    """Remembers what was told.

    Attributes:
        stale: how many messages were older than what was told before.
    """

    stale: int = 0
    _latest: dict[Topic, BusMessage] = field(factory=dict)
    _beats: dict[Topic, _Order] = field(factory=dict)
    _events: dict[tuple[str, str], _Order] = field(factory=dict)

    def admit_latest(self, message: BusMessage) -> bool:
        """Whether a heartbeat, progress or status is to be told; it is remembered if so."""
        topic = topic_of(message)
        known = self._latest.get(topic)
        if known is not None and not self._is_later(message, known, topic):
            return False
        self._latest[topic] = message
        if topic.agent_id:
            self._beats[topic] = _highest(_order(message), self._beats.get(topic))
        return True

    def admit_event(self, message: BusMessage, *, again: bool) -> bool:
        """Whether an event is to be told; it is remembered if so.

        Args:
            message: the event.
            again: its stream is being read anew, so it may have been told from its old place.
        """
        if again and self.has_told(message):
            return False
        producer = _producer(message)
        self._events[producer] = _highest(_order(message), self._events.get(producer))
        return True

    def has_told(self, message: BusMessage) -> bool:
        """Whether this event, or a later one of its producer, was told."""
        known = self._events.get(_producer(message))
        if known is None:
            return False
        if message.seq is not None and known[1]:
            return message.seq <= known[1]
        return _order(message) <= known

    def jobs(self) -> set[str]:
        """The jobs of which something is remembered."""
        return {topic.job_id for topic in self._latest} | {job_id for job_id, _ in self._events}

    def forget(self, job_ids: Collection[str]) -> None:
        """Forget all about these jobs."""
        self._latest = {t: m for t, m in self._latest.items() if t.job_id not in job_ids}
        self._beats = {t: o for t, o in self._beats.items() if t.job_id not in job_ids}
        self._events = {p: o for p, o in self._events.items() if p[0] not in job_ids}

    def _is_later(self, message: BusMessage, known: BusMessage, topic: Topic) -> bool:
        order, seq = self._beats.get(topic, _order(known))
        if topic.agent_id and message.seq and seq and message.seq > seq:
            return True
        if message.order == order:
            if message.agent_id == known.agent_id and message.seq and seq:
                return message.seq > seq
            return message.wire != known.wire
        if message.order < order:
            self.stale += 1
            return False
        return True


def topic_of(message: BusMessage) -> Topic:
    """What a message is the latest of."""
    agent_id = message.agent_id if isinstance(message, Heartbeat) else None
    return Topic(message.kind, message.job_id, agent_id or "")


def _producer(message: BusMessage) -> tuple[str, str]:
    return message.job_id, message.agent_id or ""


def _order(message: BusMessage) -> _Order:
    return message.order, message.seq or 0


def _highest(one: _Order, other: _Order | None) -> _Order:
    """The later time and the higher number, whichever message each is of."""
    return one if other is None else (max(one[0], other[0]), max(one[1], other[1]))
