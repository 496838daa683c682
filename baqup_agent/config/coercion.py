"""From the text of an environment variable to a value of its schema's type (Contract §2)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

# Texts, which `re` compiles when they are first used: `--info` never does.
_INTEGER = r"[+-]?[0-9]{1,18}"
_NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"


class Uncoercible(ValueError):
    """The text is no value of the wanted type; its message tells what would be."""


def coerce(text: str, schema: Mapping[str, Any]) -> Any:
    """Turn ``text`` into a value of ``schema``'s type.

    Where the schema allows several types, the first that the text fits is taken, a plain text
    last; where it names none, its ``enum``, ``const`` or ``default`` tells.

    Raises:
        Uncoercible: it is not one; the message says what is expected and never the text.
    """
    types = types_of(schema)
    for name in sorted(types, key=_ORDER.index)[:-1]:
        try:
            return _COERCIONS[name](text)
        except Uncoercible:
            continue
    return _COERCIONS[max(types, key=_ORDER.index)](text)


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the types that a schema allows; its samples tell where it names none."""
    given = schema.get("type")
    names = [given] if isinstance(given, str) else given
    if names is None:
        samples = [
            *schema.get("enum", ()),
            *(schema[k] for k in ("const", "default") if k in schema),
        ]
        names = {_JSON_TYPES.get(type(sample), "string") for sample in samples}
    return [name for name in names if name in _COERCIONS] or ["string"]


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise Uncoercible("expected true or false")
    return text == "true"


def _integer(text: str) -> int:
    if not re.fullmatch(_INTEGER, text):
        raise Uncoercible("expected a whole number such as 123")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(_NUMBER, text) or not math.isfinite(float(text)):
        raise Uncoercible("expected a number such as 3.14")
    return float(text)


def _array(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        value: list[Any] = _json(
            text, list, 'expected a JSON array such as ["a", "b"], or a,b or a|b'
        )
        return value
    separator = "|" if "|" in text and "," not in text else ","
    return [item.strip() for item in text.split(separator) if item.strip()]


def _object(text: str) -> dict[str, Any]:
    value: dict[str, Any] = _json(text, dict, 'expected a JSON object such as {"a": 1}')
    return value


def _json(text: str, kind: type, otherwise: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Uncoercible(otherwise) from None
    if not isinstance(value, kind):
        raise Uncoercible(otherwise)
    return value


def _no_number(word: str) -> Any:
    raise ValueError(word)  # NaN and Infinity are no JSON


_COERCIONS: Mapping[str, Callable[[str], Any]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "array": _array,
    "object": _object,
    "string": str,
}
_ORDER = list(_COERCIONS)
_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
