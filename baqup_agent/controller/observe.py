"""The controller's view of the bus: what an agent says about one job (Contract §3).

What comes over the bus was written by another program. A message counts only if it is one of the
contract's four kinds and about this job; anything else is counted as unreadable and told. The
members are taken as they come: whoever uses one checks its type.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, Protocol

from baqup_agent.bus.topology import PLACES
from baqup_agent.bus.url import FileUrl, parse_bus_url

#: One message as an agent wrote it: members by name.
Message = Mapping[str, Any]


class Observer(Protocol):
    """Watches one job; used from one thread.

    Attributes:
        unreadable: how many messages could not be understood.
    """

    unreadable: int

    def start(self) -> None:
        """Begin to watch; what is on the bus by now belongs to an earlier attempt."""

    def poll(self) -> list[Message]:
        """Return what is new, without waiting."""
        ...

    def finish(self) -> Iterator[Message]:
        """Yield all that is left, once the agent has ended."""
        ...

    def close(self) -> None:
        """Stop watching."""

    def notes(self) -> list[str]:
        """Return what went wrong with the watching itself since last asked."""
        ...


def open_observer(url: str, *, key_prefix: str, job_id: str) -> Observer:
    """Return the observer for a bus.

    Raises:
        BusRefused: the URL is malformed or names no bus that is known here.
    """
    parsed = parse_bus_url(url)
    if isinstance(parsed, FileUrl):
        from baqup_agent.controller.observe_file import FileObserver

        return FileObserver(parsed.directory / f"{job_id}.jsonl", job_id)
    from baqup_agent.controller.observe_redis import RedisObserver

    return RedisObserver(parsed, key_prefix=key_prefix, job_id=job_id)


def decode_message(raw: bytes, job_id: str) -> Message | None:
    """Return the message that a JSON text holds; None if it is none about this job."""
    try:
        message = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return message if is_message(message, job_id) else None


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")


def is_message(value: object, job_id: str) -> bool:
    """Tell whether a value is a message of the contract about this job."""
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    return isinstance(kind, str) and kind in PLACES and value.get("job_id") == job_id
