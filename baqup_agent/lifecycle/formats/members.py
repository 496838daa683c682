"""Reads members of a document by kind, and notes each that is of another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from baqup_agent.lifecycle.declaration import SignalPolicy
from baqup_agent.lifecycle.formats.named import is_reference
from baqup_agent.lifecycle.formats.problems import Path, Problem, hint, shortened

#: Stands where a name could not be read.
_NOWHERE = "unreadable:unreadable"

#: Problems after which reading ends: a file of another kind would have thousands.
_ENOUGH = 100

_T = TypeVar("_T")


class Enough(Exception):
    """Ends the reading of a document; why stands among the problems."""


class Members:
    """Gives a value of the right kind for any member; ``problems`` tells which were not.

    Attributes:
        problems: what was noted, in the order of reading.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, path: Path, text: str) -> None:
        """Note a problem.

        Raises:
            Enough: there are many already.
        """
        self.problems.append(Problem(path, text))
        if len(self.problems) >= _ENOUGH:
            raise Enough

    def record(self, value: Any, path: Path, known: tuple[str, ...]) -> Mapping[str, Any]:
        """An object of known members; empty if it is none."""
        row = self.mapping(value, path)
        for name in row:
            if name not in known:
                text = f"unknown member {shortened(name)}; {hint(name, known)}"
                self.add((*path, name), text)
        return row

    def mapping(self, value: Any, path: Path) -> Mapping[str, Any]:
        """An object of any members; empty if it is none."""
        if not isinstance(value, dict):
            return self._wrong(path, "expected an object", value, {})
        bad = [key for key in value if not isinstance(key, str)]
        for key in bad:
            text = f"expected a name as key, not {shortened(key)}; quote it"
            self.add(path, text)
        return {key: each for key, each in value.items() if isinstance(key, str)} if bad else value

    def rows(self, value: Any, path: Path) -> list[Any]:
        """A list; empty if it is none."""
        return value if isinstance(value, list) else self._wrong(path, "expected a list", value, [])

    def text(self, value: Any, path: Path, default: str | None = None) -> str:
        """A text; one without a default may not be empty."""
        if not isinstance(value, str) or not (value or default is not None):
            return self._wrong(path, "expected a text", value, "")
        if not _is_writable(value):
            self.add(path, "the text has half of a surrogate pair; write the whole character")
        return value

    def duration(self, row: Mapping[str, Any], name: str, path: Path) -> float | None:
        """A number of seconds above 0; None where it is left out."""
        if name not in row:
            return None
        value = row[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and value > 0 and _is_finite(value):
            return float(value) if isinstance(value, float) else int(value)
        return self._wrong((*path, name), "expected a number above 0", value, None)

    def policy(self, row: Mapping[str, Any], path: Path) -> SignalPolicy | None:
        """What a request to stop means; None where it is left out."""
        words = [policy.value for policy in SignalPolicy]
        value = row.get("on_signal")
        if "on_signal" not in row or value in words:
            return None if value is None else SignalPolicy(value)
        rule = f"expected one of {', '.join(words)}"
        return self._wrong((*path, "on_signal"), rule, value, None)

    def reference(self, value: Any, path: Path) -> str:
        """The name of a callable."""
        if is_reference(value):
            return str(value)
        rule = "expected a name such as 'package.module:function'"
        return self._wrong(path, rule, value, _NOWHERE)

    def _wrong(self, path: Path, rule: str, value: Any, default: _T) -> _T:
        self.add(path, f"{rule}, not {shortened(value)}")
        return default


def _is_writable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False  # a whole number beyond every float
