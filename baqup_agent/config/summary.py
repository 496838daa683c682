"""A variable in a few words for people: what it may be, and when it has to be there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from baqup_agent.config.declaration import default_of
from baqup_agent.config.variables import Kind, Variable
from baqup_agent.config.wording import counted


def kind_words(variable: Variable) -> str:
    """Say what a variable may be, for example ``int, 1 to 600``."""
    return ", ".join(_kind_words(variable))


def need_words(variable: Variable) -> str:
    """Say when a variable has to be set; empty where it never has to."""
    if variable.required:
        return "required"
    reasons = [f"for {role}" for role in variable.required_for]
    reasons += [f"if {name}={value_text(value)}" for name, value in variable.required_if]
    return f"required {' and '.join(reasons)}" if reasons else ""


def default_text(variable: Variable) -> str | None:
    """Return the default as it would stand in an environment; None where there is none."""
    default = default_of(variable)
    return None if default is None else value_text(default)


def value_text(value: Any) -> str:
    """Return a value as it would stand in an environment."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        plain = bool(value) and all(item and item == item.strip() for item in value)
        if plain and not any(mark in "".join(value) for mark in "[|,"):
            return ",".join(value)
        import json

        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _kind_words(variable: Variable) -> Iterator[str]:
    if variable.exists:
        yield (
            "path that must exist" if variable.exists == "any" else f"{variable.exists} that exists"
        )
    elif variable.kind is not Kind.ENUM:
        yield variable.kind.value
    if variable.supported:
        words = " | ".join(value_text(value) for value in variable.supported)
        yield f"this version supports only {words}"
    elif variable.choices or variable.schemes:
        yield " | ".join(variable.choices or variable.schemes)
    yield from _range("", variable.minimum, variable.maximum)
    yield from _length(variable)
    yield from _range("item", variable.min_items, variable.max_items)
    if variable.pattern is not None and variable.kind in {Kind.STRING, Kind.ARRAY}:
        yield f"matching {variable.pattern}"
    yield from (f"needs {name}" for name in variable.needs)


def _length(variable: Variable) -> Iterator[str]:
    least, most = variable.min_length, variable.max_length
    if least == 0 and need_words(variable):
        yield "may be empty"
    if least == 1:
        yield "not empty"
    yield from _range("character", None if least in {0, 1} else least, most)


def _range(what: str, least: float | None, most: float | None) -> Iterator[str]:
    if least is not None and most is not None:
        yield f"{least} to {counted(most, what)}"
    elif least is not None:
        yield f"at least {counted(least, what)}"
    elif most is not None:
        yield f"at most {counted(most, what)}"
