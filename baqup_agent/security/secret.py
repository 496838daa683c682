"""A value that must not be seen (Contract §7)."""

from __future__ import annotations

import hmac
from typing import Any, NoReturn, final

REDACTED = "[REDACTED]"


@final
class Secret:
    """Holds a secret; every text form of it is ``[REDACTED]``.

    Args:
        value: the secret itself.

    Raises:
        TypeError: the value is no text.

    The value is reached by `reveal` alone. It cannot be copied, pickled, hashed or turned into
    JSON, so that it does not travel inside something else.

    `clear` overwrites the bytes that this object holds. That is all it can do: texts are immutable
    in Python, so the text that came in, each text that `reveal` gave out, and the environment that
    the process was started with stay in memory until that memory is used again, and the redactor
    of the run keeps the forms it has to look for.
    """

    __slots__ = ("_buffer",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"a secret is made of a str, not of a value of {type(value).__name__}")
        # Bytes of the environment that are no UTF-8 arrive as surrogates, and shall leave as such.
        self._buffer: bytearray | None = bytearray(value, "utf-8", "surrogatepass")

    def reveal(self) -> str:
        """Return the value.

        Raises:
            ValueError: the secret was cleared.
        """
        if self._buffer is None:
            raise ValueError("this secret was cleared after use")
        return self._buffer.decode("utf-8", "surrogatepass")

    def clear(self) -> None:
        """Overwrite the value and forget it; later `reveal` calls fail. Harmless when repeated."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            buffer[:] = bytes(len(buffer))  # in place: the length stays, so nothing is moved

    def __str__(self) -> str:
        return REDACTED

    __repr__ = __str__

    def __format__(self, format_spec: str) -> str:
        return REDACTED

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001  IPython's
        """Print as ``[REDACTED]`` in IPython and in the notes of hypothesis."""
        printer.text(REDACTED)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self._buffer is None or other._buffer is None:
            return self is other
        return hmac.compare_digest(self._buffer, other._buffer)  # as slow for any wrong value

    __hash__ = None  # type: ignore[assignment]  # a hash would give the value away

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled or copied; pass the object itself")

    __getstate__ = __reduce__  # the default one hands out the slots
