"""A value that must not be seen (Contract §7)."""

from __future__ import annotations

import hmac
from typing import NoReturn

REDACTED = "[REDACTED]"


class Secret:
    """Holds a secret; every text form of it is ``[REDACTED]``.

    Args:
        value: the secret itself.

    The value is reached by `reveal` alone. `clear` forgets it: the text is no longer reachable
    through this object, though Python cannot promise that no copy of a string is left in memory.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value: str | None = value

    def reveal(self) -> str:
        """Return the value.

        Raises:
            ValueError: the secret was cleared.
        """
        if self._value is None:
            raise ValueError("this secret was cleared after use")
        return self._value

    def clear(self) -> None:
        """Forget the value; later `reveal` calls fail."""
        self._value = None

    def __str__(self) -> str:
        return REDACTED

    __repr__ = __str__

    def __format__(self, format_spec: str) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self._value is None or other._value is None:
            return self is other
        return hmac.compare_digest(_bytes(self._value), _bytes(other._value))

    __hash__ = None  # type: ignore[assignment]  # a hash would give the value away

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled or copied; pass the object itself")


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")
