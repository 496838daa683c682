"""A log record as one line: JSON, logfmt, or text for people (Contract §6).

No form ever contains a raw line break, nor anything else that does not print: a terminal is not
steered, and a reader that splits lines at any of Unicode's separators gets whole records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO, Any

#: A record ready to be written: the members of Contract §6, ``context`` last.
Line = Mapping[str, Any]

#: Colours of the levels, as a terminal's SGR parameters.
_COLOURS = {"trace": "2", "debug": "36", "info": "32", "warn": "33", "error": "31", "fatal": "1;31"}

#: What a key of logfmt cannot hold.
_NO_KEY = re.compile(r'[\s="\\]')

#: The members of a record that a member of its context must not be taken for.
_TAKEN = frozenset({"timestamp", "level", "job_id", "agent_id", "component", "message"})


def renderer(form: str, stream: IO[str]) -> Callable[[Line], str]:
    """Return what writes records in ``json``, ``text`` or ``logfmt`` for a stream.

    Raises:
        ValueError: there is no such form.
    """
    if form == "text":
        return partial(as_text, colour=is_colourful(stream))
    try:
        return {"json": as_json, "logfmt": as_logfmt}[form]
    except KeyError:
        raise ValueError(f"{form!r} is no log format; one of json, text, logfmt") from None


def is_colourful(stream: IO[str]) -> bool:
    """Whether a stream is a terminal that shows colours, and ``NO_COLOR`` does not forbid them."""
    try:
        if not stream.isatty():
            return False
    except ValueError:  # it was closed
        return False
    from rich.console import Console  # knows terminals and NO_COLOR; slow to import

    console = Console(file=stream)
    return console.color_system is not None and not console.no_color


def as_json(line: Line) -> str:
    """Write a record as JSON in pure ASCII."""
    return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


def as_text(line: Line, *, colour: bool = False) -> str:
    """Write a record for people; tracebacks stay in their line, with escaped line breaks."""
    level = f"{line['level']:<5}"
    if colour:
        level = f"\x1b[{_COLOURS[line['level']]}m{level}\x1b[0m"
    message = line["message"]
    message = message if message.isprintable() else _quoted(message)[1:-1]
    members = "".join(f" {pair}" for pair in _pairs(line["context"]))
    return f"{line['timestamp']} {level} {_printable(line['component'])}: {message}{members}"


def as_logfmt(line: Line) -> str:
    """Write a record as ``key=value`` pairs; values in JSON's quotes where they need any.

    Members of the context stand behind the record's own; one of the same name is preceded by
    ``context.``, and what a key cannot hold becomes ``_``.
    """
    own = {name: value for name, value in line.items() if name != "context"}
    context = {
        f"context.{name}" if name in _TAKEN else name: value
        for name, value in line["context"].items()
    }
    return " ".join((*_pairs(own), *_pairs(context)))


def _pairs(members: Mapping[str, Any]) -> list[str]:
    return [f"{_key(name)}={_plain_or_quoted(value)}" for name, value in members.items()]


def _key(name: str) -> str:
    return _NO_KEY.sub("_", name if name.isprintable() else _quoted(name)[1:-1]) or "_"


def _plain_or_quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    plain = text.isprintable() and not any(mark in text for mark in ' "=\\')
    return text if plain and text else _quoted(text)


def _printable(text: str) -> str:
    return text if text.isprintable() else _quoted(text)[1:-1]


def _quoted(text: str) -> str:
    readable = json.dumps(text, ensure_ascii=False)
    return readable if readable.isprintable() else json.dumps(text)
