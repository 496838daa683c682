"""Reading the members of a JSON object that came from outside (Contract §4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from baqup_agent.errors import VerificationFailed

#: RFC 3339 in UTC with ``Z`` and at most nine digits of a second.
_TIMESTAMP = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]{1,9})?Z"
)

#: Characters of a value that an error shows.
_SHOWN = 60


class Members:
    """The members of one object; each is read with the rule that it must keep.

    Args:
        wire: what the JSON held.
        where: the object's place in the document, for instance ``artifacts[0]``; empty at the top.
        defaults: members that need not be there.

    Raises:
        VerificationFailed: the value is no object.
    """

    def __init__(
        self, wire: object, where: str = "", defaults: Mapping[str, Any] | None = None
    ) -> None:
        self._where = where
        if not isinstance(wire, Mapping):
            raise VerificationFailed(f"{where or 'it'} is {shown(wire)}; it must be an object")
        self._wire: Mapping[str, Any] = {**(defaults or {}), **wire}

    def __contains__(self, key: str) -> bool:
        return key in self._wire

    def place(self, key: str) -> str:
        """Return the full name of a member, for instance ``artifacts[0].filename``."""
        return f"{self._where}.{key}" if self._where else key

    def value(self, key: str) -> Any:
        """Return a member that must be there."""
        if key not in self._wire:
            raise VerificationFailed(f"{self.place(key)} is missing; it is required")
        return self._wire[key]

    def inner(self, key: str) -> Members | None:
        """Return an object's own members; None if it is not there."""
        return Members(self.value(key), self.place(key)) if key in self else None

    def require(self, key: str, rule: str, *, holds: bool) -> None:
        """Fail, naming the member, its value and the rule, unless the rule holds."""
        if not holds:
            raise VerificationFailed(
                f"{self.place(key)} is {shown(self._wire[key])}; it must be {rule}"
            )

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = self.value(key)
        self.require(key, "a text that is not empty", holds=isinstance(value, str) and value != "")
        return str(value)

    def match(self, key: str, pattern: re.Pattern[str], rule: str) -> str:
        """Return a text of which the whole matches the pattern."""
        value = self.value(key)
        self.require(key, rule, holds=isinstance(value, str) and bool(pattern.fullmatch(value)))
        return str(value)

    def timestamp(self, key: str) -> str:
        """Return a moment, as the text that it is."""
        return self.match(key, _TIMESTAMP, "a time in UTC such as 2026-01-15T03:04:41.218043Z")

    def one_of(self, key: str, allowed: Iterable[str]) -> str:
        """Return a text that is one of those allowed."""
        value = self.value(key)
        words = [str(word) for word in allowed]
        self.require(
            key, f"one of {', '.join(words)}", holds=isinstance(value, str) and value in words
        )
        return str(value)

    def count(self, key: str) -> int:
        """Return a whole number of at least 0; JSON writes one as ``5`` or as ``5.0``."""
        value = self.value(key)
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        holds = whole and not isinstance(value, bool) and value >= 0
        self.require(key, "a whole number of at least 0", holds=holds)
        return int(value)

    def flag(self, key: str) -> bool:
        """Return a boolean."""
        value = self.value(key)
        self.require(key, "true or false", holds=isinstance(value, bool))
        return bool(value)

    def object(self, key: str) -> dict[str, Any]:
        """Return an object, whatever its members."""
        value = self.value(key)
        self.require(key, "an object", holds=isinstance(value, dict))
        return dict(value)

    def only(self, *keys: str) -> None:
        """Fail on a member beside those named."""
        for key in self._wire:
            if key not in keys:
                raise VerificationFailed(
                    f"{self.place(key)} is unknown; allowed there: {', '.join(keys)}"
                )


def shown(value: object) -> str:
    """Return the value on one line, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
