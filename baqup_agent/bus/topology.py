"""Where each kind of message lives on the bus: the table of Contract §3.

A key is the configured prefix, the kind's word, a colon and the owner: a heartbeat belongs to an
agent, everything else to a job. The file bus and the memory bus use the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from baqup_agent.contract import HEARTBEAT_TTL_S, MESSAGE_TTL_S

#: A message as it stands on the wire.
Wire = Mapping[str, Any]


class Place(NamedTuple):
    """Where messages of one kind are kept.

    Attributes:
        structure: ``hash`` (the latest message replaces the one before) or ``stream``.
        word: what the key says after the prefix.
        owner: the member that names the owner, ``agent_id`` or ``job_id``.
        ttl_s: seconds that the key outlives its last message.
    """

    structure: str
    word: str
    owner: str
    ttl_s: int


#: The kinds of message by their ``type``.
PLACES: dict[str, Place] = {
    "heartbeat": Place("hash", "heartbeat", "agent_id", HEARTBEAT_TTL_S),
    "progress": Place("hash", "progress", "job_id", MESSAGE_TTL_S),
    "status": Place("hash", "status", "job_id", MESSAGE_TTL_S),
    "event": Place("stream", "events", "job_id", MESSAGE_TTL_S),
}

#: What the channel of live notifications is called after the prefix.
NOTIFY_WORD = "notify"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

#: Characters of a timestamp up to its seconds.
_SECONDS = len("2026-01-15T03:00:00")


def topic(message: Wire) -> str:
    """Return the message's key without the prefix, for instance ``events:{job_id}``."""
    place = PLACES[message["type"]]
    return f"{place.word}:{message[place.owner]}"


def key(prefix: str, kind: str, owner: str) -> str:
    """Return the whole key of one kind for an owner (an agent's or a job's id)."""
    return f"{prefix}{PLACES[kind].word}:{owner}"


def entry_id(message: Wire, base_ms: int = 0) -> str:
    """Return the stream id of an event: the milliseconds of its timestamp, then its ``seq``.

    Timestamps of one producer never fall and ``seq`` always grows, so ids grow too; and since
    both stand in the message, an event that is sent again, even by a later process that found it
    on disk, has the same id and is recognised.

    Args:
        message: the event.
        base_ms: lowest time of an id, for a producer whose clock is behind what the stream holds.
    """
    return f"{max(milliseconds(message['timestamp']), base_ms)}-{message['seq']}"


def milliseconds(text: str) -> int:
    """Return the milliseconds since 1970 of a timestamp.

    Raises:
        ValueError: it is none.
    """
    # Events of one second share the slow part of reading a timestamp.
    return _whole_second_ms(text[:_SECONDS]) + int(text[_SECONDS + 1 : _SECONDS + 4])


@lru_cache(maxsize=64)
def _whole_second_ms(text: str) -> int:
    return (datetime.fromisoformat(f"{text}Z") - _EPOCH) // _MILLISECOND
