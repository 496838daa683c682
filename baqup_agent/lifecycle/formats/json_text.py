"""JSON with the places of its members; the standard parser reads, a small scan finds places."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from baqup_agent.lifecycle.formats.limits import MAX_NESTING
from baqup_agent.lifecycle.formats.problems import Path, shortened
from baqup_agent.lifecycle.formats.texts import (
    Place,
    Text,
    check_size,
    malformed,
    nested_too_deeply,
    place_of,
)

#: A text within quotes, or a bracket outside of them.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')

_SPACE = re.compile(r"[ \t\n\r]*")

_DECODER = json.JSONDecoder()


def parse(text: str) -> Text:
    """Read a JSON text.

    Raises:
        LifecycleFormatError: it is malformed, too long or too deep, or names a member twice.
    """
    check_size(text)
    _check_nesting(text)
    twice: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            seen: set[str] = set()
            twice.extend(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return row

    try:
        data = json.loads(text, object_pairs_hook=members)
    except json.JSONDecodeError as error:
        raise malformed(f"no JSON: {error.msg}", (error.lineno, error.colno)) from error
    except ValueError as error:  # a number of thousands of digits
        raise malformed("no JSON: a number has too many digits; write fewer") from error
    if twice:
        raise malformed(f"{shortened(twice[0])} is named twice in one object; remove one")
    return Text(data, _Places(text).locate)


def _check_nesting(text: str) -> None:
    depth = 0
    for found in _BRACKETS.finditer(text):
        mark = found[0]
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        if depth > MAX_NESTING:
            raise nested_too_deeply(place_of(text, found.start()))


class _Places:
    """Finds members in a text; each object or list is scanned once at most."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._scanned: dict[int, dict[str | int, int]] = {}

    def locate(self, path: Path) -> Place:
        """The place of a member, or of the nearest one around it that exists."""
        at = _skip(self._text, 0)
        for step in path:
            inside = self._inside(at)
            if step not in inside:
                break
            at = inside[step]
        return place_of(self._text, at)

    def _inside(self, at: int) -> dict[str | int, int]:
        if self._text[at] not in "[{":
            return {}
        if at not in self._scanned:
            self._scanned[at] = dict(_members(self._text, at))
        return self._scanned[at]


def _members(text: str, at: int) -> Iterator[tuple[str | int, int]]:
    """Each key or index of the object or list that begins at ``at``, and where its value does."""
    is_object = text[at] == "{"
    end, index = _skip(text, at + 1), 0
    while text[end] not in "]}":
        key: str | int = index
        if is_object:
            key, end = scanstring(text, end + 1)
            end = _skip(text, _skip(text, end) + 1)
        yield key, end
        _, end = _DECODER.raw_decode(text, end)
        end = _skip(text, end)
        if text[end] == ",":
            end, index = _skip(text, end + 1), index + 1


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
