"""An image's labels held against what the agent says of itself (Contract §8)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from baqup_agent.runtime.labels import PREFIX

#: Longest part of a value that a line shows, characters.
_SHOWN = 60

_SCHEMA = PREFIX + "schema"
_ROLES = PREFIX + "roles"


@frozen
class Difference:
    """One thing in which the labels and the agent disagree.

    Attributes:
        place: the label; for the schema with the path in it.
        problem: what the labels say and what the agent says, or what is missing.
        remedy: what to do.
    """

    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}; {self.remedy}"


def compare(found: Mapping[str, str], expected: Mapping[str, str]) -> tuple[Difference, ...]:
    """Return every difference between an image's labels and those its agent must have.

    The schema is compared as JSON and the roles as a set: neither layout nor order counts.

    Args:
        found: the image's labels; those of others are left alone.
        expected: what `labels_of` gives for the agent.
    """
    ours = {name: text for name, text in found.items() if name.startswith(PREFIX)}
    differences = [
        difference
        for name, text in expected.items()
        for difference in _of_label(name, ours.get(name), text)
    ]
    unknown = sorted(set(ours) - set(expected))
    return (*differences, *(_unknown(name) for name in unknown))


def _of_label(name: str, found: str | None, expected: str) -> Iterator[Difference]:
    if found is None:
        yield Difference(name, "is missing", f"add {_assignment(name, expected)}")
    elif name == _SCHEMA:
        yield from _of_schema(found, expected)
    elif not _equal(name, found, expected):
        said = f"the image says {_short(found)}, the agent {_short(expected)}"
        yield Difference(name, said, f"set {_assignment(name, expected)}")


def _equal(name: str, found: str, expected: str) -> bool:
    if name == _ROLES:
        return sorted(found.split(",")) == sorted(expected.split(","))
    return found == expected


def _unknown(name: str) -> Difference:
    if name == _SCHEMA:
        return Difference(name, "is there, but the agent tells no schema", "let it know --schema")
    return Difference(name, "is no label of an agent", "remove it")


def _of_schema(found: str, expected: str) -> Iterator[Difference]:
    remedy = "write the labels anew"
    try:
        image = json.loads(found)
    except (ValueError, RecursionError):
        yield Difference(_SCHEMA, f"is no JSON: {_short(found)}", remedy)
        return
    for path, problem in _paths(image, json.loads(expected), ""):
        yield Difference(f"{_SCHEMA}{path}", problem, remedy)


def _paths(image: Any, agent: Any, path: str) -> Iterator[tuple[str, str]]:
    """The innermost places in which two JSON values differ."""
    if isinstance(image, dict) and isinstance(agent, dict):
        for key in sorted({*image, *agent}):
            place = f"{path}/{key}"
            if key not in agent:
                yield place, "only the image has it"
            elif key not in image:
                yield place, "only the agent has it"
            else:
                yield from _paths(image[key], agent[key], place)
    elif json.dumps(image, sort_keys=True) != json.dumps(agent, sort_keys=True):
        yield path, f"the image says {_short(_json(image))}, the agent {_short(_json(agent))}"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _assignment(name: str, text: str) -> str:
    return name if name == _SCHEMA else f"{name}={_short(text)}"


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
