"""From the text of an environment variable to a value of its schema's type (Contract §2)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


class Uncoercible(ValueError):
    """The text is no value of the wanted type; its message tells what would be."""


def coerce(text: str, schema: Mapping[str, Any]) -> Any:
    """Turn ``text`` into a value of ``schema``'s type.

    Raises:
        Uncoercible: it is not one; the message says what is expected and never the text.
    """
    return _COERCIONS.get(schema.get("type", "string"), str)(text)


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise Uncoercible("expected true or false")
    return text == "true"


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise Uncoercible("expected a whole number such as 123")
    return int(text)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise Uncoercible("expected a number such as 3.14")
    return float(text)


def _array(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        return _json_array(text)
    separator = "|" if "|" in text and "," not in text else ","
    return [item.strip() for item in text.split(separator) if item.strip()]


def _json_array(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Uncoercible('expected a JSON array such as ["a", "b"], or a,b or a|b') from None
    if not isinstance(value, list):
        raise Uncoercible('expected a JSON array such as ["a", "b"]')
    return value


_COERCIONS: Mapping[str, Callable[[str], Any]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "array": _array,
    "string": str,
}
