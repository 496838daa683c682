"""What an agent says on the bus, as it is seen there (Contract §3)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from attrs import frozen

#: Members of messages that are no texts, and how a text of them is read.
_NUMBERS = {
    "seq",
    "percent_complete",
    "bytes_processed",
    "files_processed",
    "estimated_remaining_seconds",
    "exit_code",
    "count",
}
_OBJECTS = {
    "intent",
    "files",
    "metrics",
    "warnings_summary",
    "error",
    "summary",
    "components",
    "sample_paths",
    "context",
}


@frozen
class Message:
    """One message.

    Attributes:
        at_s: when it was seen, on the monotonic clock, seconds.
        channel: ``notify`` if it was announced, ``stored`` if it was read from its key.
        key: where it was.
        entry: the id of an entry of a stream; empty otherwise.
        body: its members; what a hash holds as text is read as the contract's types.
        ttl_s: seconds that the key still had to live, of a stored one; None for ever.
    """

    at_s: float
    channel: str
    key: str
    body: dict[str, Any]
    entry: str = ""
    ttl_s: float | None = None

    @property
    def type(self) -> str:
        """``heartbeat``, ``progress``, ``status`` or ``event``."""
        return str(self.body.get("type"))

    @property
    def seq(self) -> int:
        """Its number within its agent; 0 if it has none."""
        number = self.body.get("seq")
        return number if isinstance(number, int) else 0

    @property
    def identity(self) -> tuple[str, str, Any]:
        """What tells it from others: the same message seen on two ways has the same."""
        number = self.body.get("seq", self.body.get("timestamp"))
        return (self.type, str(self.body.get("agent_id")), number)


def read_fields(fields: dict[str, str]) -> dict[str, Any]:
    """Read the fields of a hash or a stream's entry; what cannot be read stays a text."""
    return {name: _value(name, text) for name, text in fields.items()}


def parse_text(text: str | None) -> Any:
    """Return the JSON document that a text is; None if it is none."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def part(document: object, name: str) -> dict[str, Any]:
    """Return a member of a document that is an object; an empty one if it is not there."""
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def moment(text: object) -> datetime | None:
    """Return a timestamp as a time; None if it is none, or tells no distance from UTC."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return None if found.tzinfo is None else found


def _value(name: str, text: str) -> Any:
    if name not in _NUMBERS | _OBJECTS:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if name in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
        return text
    return value
