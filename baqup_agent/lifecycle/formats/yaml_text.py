"""YAML: read from its events, so that no tag, anchor or reference is ever acted on; and written.

Plain words have the meaning of YAML 1.2: ``on``, ``off``, ``yes`` and ``no`` are texts, as the
name of a trigger may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.formats.limits import MAX_NESTING
from baqup_agent.lifecycle.formats.problems import LifecycleFormatError, Path, shortened
from baqup_agent.lifecycle.formats.stored import from_json, to_json
from baqup_agent.lifecycle.formats.texts import (
    Place,
    Text,
    check_size,
    malformed,
    nested_too_deeply,
)

_INTEGER = re.compile(r"[-+]?[0-9]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?\.(inf|Inf|INF))|\.(nan|NaN|NAN)")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def from_yaml(text: str, *, resolve: bool = False) -> Lifecycle:
    """Build the lifecycle that a YAML text tells; see `from_json`.

    Raises:
        LifecycleFormatError: the text is malformed, or PyYAML is not installed.
    """
    read = parse(text)
    try:
        return from_json(read.data, resolve=resolve)
    except LifecycleFormatError as error:
        raise LifecycleFormatError(error.faults, locate=read.locate) from error


def to_yaml(lifecycle: Lifecycle) -> str:
    """Return the stored form of a lifecycle as YAML; see `to_json`.

    Raises:
        LifecycleFormatError: it cannot be stored, or PyYAML is not installed.
    """
    yaml = _yaml()

    class Dumper(yaml.SafeDumper):  # type: ignore[misc,name-defined]
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the library's signature
            return True

    def text(dumper: Any, value: str) -> Any:
        # What this module would read as a number or a word of YAML is quoted, and so are line
        # breaks, of which YAML has more than one kind and keeps but one.
        style = None if plain(value) == value and value.isprintable() else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    document = to_json(lifecycle)
    return str(yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100))


def parse(text: str) -> Text:
    """Read a YAML text.

    Raises:
        LifecycleFormatError: it is malformed, too long or too deep, names a member twice, uses
            anchors or tags, or PyYAML is not installed.
    """
    check_size(text)
    yaml = _yaml()
    # The compiled parser is several times as quick, and not part of every build.
    stream = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    reader = _Reader(yaml, stream)
    try:
        data = reader.document()
    except yaml.reader.ReaderError as error:
        raise malformed(f"no YAML: character {error.position + 1} is not allowed") from error
    except yaml.MarkedYAMLError as error:
        reason = " ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark or error.context_mark
        at = None if mark is None else (mark.line + 1, mark.column + 1)
        raise malformed(f"no YAML: {reason}", at) from error
    return Text(data, reader.locate)


def plain(word: str) -> Any:
    """Return what an unquoted word means."""
    if word in _WORDS:
        return _WORDS[word]
    if _INTEGER.fullmatch(word):
        return int(word)
    if _FLOAT.fullmatch(word):
        return float(word)
    if _INFINITE.fullmatch(word):
        return float(word.lower().replace(".", ""))
    return word


class _Reader:
    """Makes data from events, and keeps the place of each member."""

    def __init__(self, yaml: ModuleType, events: Iterator[Any]) -> None:
        self._yaml = yaml
        self._events = events
        self._places: dict[Path, Place] = {}

    def locate(self, path: Path) -> Place | None:
        while path not in self._places and path:
            path = path[:-1]
        return self._places.get(path)

    def document(self) -> Any:
        next(self._events)  # the stream begins
        if isinstance(next(self._events), self._yaml.StreamEndEvent):
            raise malformed("the file is empty; write at least 'version' and 'states'")
        data = self._value(next(self._events), (), 0)
        next(self._events)  # the document ends
        event = next(self._events)
        if not isinstance(event, self._yaml.StreamEndEvent):
            raise malformed("a second document begins; keep one to a file", _place(event))
        return data

    def _value(self, event: Any, path: Path, depth: int) -> Any:
        self._places[path] = _place(event)
        if getattr(event, "anchor", None) is not None:
            raise malformed("anchors and aliases are not read; write the value out", _place(event))
        if getattr(event, "tag", None) is not None:
            raise malformed("tags are not read; remove it", _place(event))
        if depth > MAX_NESTING:
            raise nested_too_deeply(_place(event))
        if isinstance(event, self._yaml.MappingStartEvent):
            return self._mapping(path, depth)
        if isinstance(event, self._yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return plain(event.value) if event.implicit[0] else event.value

    def _mapping(self, path: Path, depth: int) -> dict[Any, Any]:
        row: dict[Any, Any] = {}
        while not isinstance(event := next(self._events), self._yaml.MappingEndEvent):
            if not isinstance(event, self._yaml.ScalarEvent):
                raise malformed("a key must be a name", _place(event))
            key = self._value(event, (*path, event.value), depth)
            if key in row:
                raise malformed(f"{shortened(key)} is named twice; remove one", _place(event))
            row[key] = self._value(next(self._events), (*path, event.value), depth + 1)
        return row

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        rows: list[Any] = []
        while not isinstance(event := next(self._events), self._yaml.SequenceEndEvent):
            rows.append(self._value(event, (*path, len(rows)), depth + 1))
        return rows


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _yaml() -> ModuleType:
    try:
        import yaml
    except ImportError as error:
        raise malformed(
            "YAML is read and written by PyYAML, which is not installed; "
            "pip install 'baqup-agent[yaml]', or use JSON"
        ) from error
    return yaml
