"""Values made fit for the wire: what every JSON reader accepts, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any


def plain_text(text: str) -> str:
    r"""Return ``text`` as Unicode that UTF-8 can carry.

    A file name that is no UTF-8 reaches Python with its odd bytes as lone surrogates. They are
    written out as escapes: ``caf\udce9`` becomes the six characters ``caf\xe9``.
    """
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain_number(number: float | None) -> float | None:
    """Return ``number``, or None for what JSON has no word for (NaN, infinities)."""
    return number if number is None or math.isfinite(number) else None


def plain_value(value: Any) -> Any:
    """Return a copy of ``value`` made of dicts, lists, text, numbers, booleans and None.

    Anything else is replaced by its text form, so that a path becomes its text and a secret
    ``[REDACTED]``.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return plain_number(float(value))
    if isinstance(value, Mapping):
        return {plain_text(str(name)): plain_value(member) for name, member in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray):
        return [plain_value(member) for member in value]
    return plain_text(str(value))
