"""How messages are written into Redis structures, and read back (Contract §3).

Each top-level member becomes one field: a text as it is, any other scalar in its JSON form
(``true``, ``12``, ``0.5``), an object or array as compact JSON. A null member is left out, except
where the wire form states it, which is a status's ``error`` alone; it then reads ``null``. A
notification is the whole message as compact JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from baqup_agent.bus.stored import StoredEvent
from baqup_agent.bus.topology import PLACES, Wire
from baqup_agent.errors import DataError

#: Members whose fields hold JSON rather than plain text, by kind of message.
JSON_MEMBERS: dict[str, frozenset[str]] = {
    "heartbeat": frozenset({"seq", "intent"}),
    "progress": frozenset(
        {
            "seq",
            "percent_complete",
            "bytes_processed",
            "files_processed",
            "estimated_remaining_seconds",
        }
    ),
    "status": frozenset(
        {
            "seq",
            "exit_code",
            "files",
            "metrics",
            "warnings_summary",
            "error",
            "summary",
            "components",
        }
    ),
    "event": frozenset({"seq", "count", "sample_paths"}),
}


#: Made once: ``json.dumps`` with any option makes an encoder for every call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def to_json(value: Any) -> str:
    """Return compact JSON on one line, non-ASCII characters as they are."""
    if type(value) is StoredEvent:
        return value.text
    return _ENCODER.encode(value)


def to_fields(message: Wire) -> dict[str, str]:
    """Return the fields of the message's hash or stream entry, in the order of its members."""
    return {
        name: value if isinstance(value, str) else _field(value) for name, value in message.items()
    }


def entry_json(entry_id: str, message: Wire) -> str:
    """Return a stream entry, its id and then names and values, as a JSON array of texts."""
    fields = [
        _quoted_name(name) + encode_basestring(value if type(value) is str else _field(value))
        for name, value in message.items()
    ]
    return f'["{entry_id}",{",".join(fields)}]'


@lru_cache(maxsize=256)
def _quoted_name(name: str) -> str:
    return encode_basestring(name) + ","


def _field(value: Any) -> str:
    # Half of what is not text is a plain number, and the rest of it mostly a list of paths: both
    # are much quicker to write than by the encoder, which sets itself up for every call.
    if type(value) is int:
        return str(value)
    if type(value) is list and all(type(item) is str for item in value):
        return "[" + ",".join(map(encode_basestring, value)) + "]"
    return to_json(value)


def decode_hash(kind: str, fields: Mapping[Any, Any]) -> dict[str, Any]:
    """Read a hash or a stream entry back into the message it was written from.

    Args:
        kind: ``heartbeat``, ``progress``, ``status`` or ``event``.
        fields: field names and values, as text or as UTF-8 bytes.

    Returns:
        The message; members that the contract does not know stay texts.

    Raises:
        DataError: a field that should hold JSON does not, or the kind is unknown.
    """
    if kind not in PLACES:
        raise DataError(f"{kind!r} is no kind of message; one of {', '.join(PLACES)}")
    message: dict[str, Any] = {}
    for raw_name, raw_value in fields.items():
        name, value = _text(raw_name), _text(raw_value)
        message[name] = _parse(kind, name, value) if name in JSON_MEMBERS[kind] else value
    return message


def _parse(kind: str, name: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise DataError(
            f"field {name!r} of a {kind} holds {value[:80]!r}, which is no JSON; "
            "the agent that wrote it does not keep the contract"
        ) from error


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
