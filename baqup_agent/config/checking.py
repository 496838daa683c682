"""Whether a value keeps the rules of its variable: the meaning of the JSON Schema, without it.

A validator for JSON Schema takes longer to import than an agent may take to answer. What it would
say of a declared variable is decided here; tests hold the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from baqup_agent.config.forms import FORMS, PATTERNS
from baqup_agent.config.variables import Kind, Variable


class Broken(NamedTuple):
    """The first rule that a value breaks.

    Attributes:
        keyword: its name in JSON Schema.
        item: which item of an array breaks it; None for the value itself.
    """

    keyword: str
    item: int | None = None


def broken_rule(variable: Variable, value: Any) -> Broken | None:
    """Return the first rule of ``variable`` that a value of its type breaks, if any."""
    if variable.kind is Kind.ARRAY:
        return _broken_by_array(variable, value)
    return _broken_by_item(variable, value, _type_of(variable), None)


def _broken_by_array(variable: Variable, value: Any) -> Broken | None:
    if not isinstance(value, list):
        return Broken("type")
    for index, item in enumerate(value):
        if (broken := _broken_by_item(variable, item, "string", index)) is not None:
            return broken
    if variable.min_items is not None and len(value) < variable.min_items:
        return Broken("minItems")
    if variable.max_items is not None and len(value) > variable.max_items:
        return Broken("maxItems")
    return None


def _broken_by_item(variable: Variable, value: Any, kind: str, index: int | None) -> Broken | None:
    if not _TYPES[kind](value):
        return Broken("type", index)
    allowed = variable.supported or variable.choices
    if allowed and value not in allowed:
        return Broken("enum", index)
    if kind == "string":
        return _broken_by_text(variable, value, index)
    if variable.minimum is not None and value < variable.minimum:
        return Broken("minimum")
    if variable.maximum is not None and value > variable.maximum:
        return Broken("maximum")
    return None


def _broken_by_text(variable: Variable, value: str, index: int | None) -> Broken | None:
    least = max(variable.min_length or 0, FORMS[variable.kind].get("minLength", 0))
    if len(value) < least:
        return Broken("minLength", index)
    if variable.max_length is not None and len(value) > variable.max_length:
        return Broken("maxLength", index)
    body = variable.pattern or PATTERNS.get(variable.kind)
    if body is not None and not _compiled(body).fullmatch(value):
        return Broken("pattern", index)
    return None


@lru_cache(maxsize=256)
def _compiled(body: str) -> re.Pattern[str]:
    return re.compile(body)


def _type_of(variable: Variable) -> str:
    kind: str = FORMS[variable.kind]["type"]
    return kind


_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}
