"""Sizes and durations: from their texts to numbers, and back (Contract §2)."""

from __future__ import annotations

import re
from datetime import timedelta

from baqup_agent.config.forms import PATTERNS, SIZE
from baqup_agent.config.variables import Kind

_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)", re.ASCII)


def size_bytes(text: str) -> int:
    """Return the number of bytes that a text such as ``512M`` means; units are powers of 1024.

    Raises:
        ValueError: it is no size.
    """
    if not re.fullmatch(SIZE, text):
        raise ValueError(f"{text[:60]!r} is no size; expected one such as 512M or 2G")
    number = text.rstrip("KMGTiB")
    unit = text[len(number) :].rstrip("iB")
    return int(number) << (10 * _POWERS[unit])


def duration(text: str) -> timedelta:
    """Return the time that a text such as ``90s`` or ``1h30m`` means; a bare number is seconds.

    Raises:
        ValueError: it is no duration.
    """
    if not re.fullmatch(PATTERNS[Kind.DURATION], text):
        raise ValueError(f"{text[:60]!r} is no duration; expected one such as 90s or 1h30m")
    if text.isdigit():
        return timedelta(seconds=int(text))
    parts = _PART.findall(text)
    return sum((int(n) * timedelta(seconds=_SECONDS[unit]) for n, unit in parts), timedelta())


def duration_text(value: timedelta) -> str:
    """Return a duration as it stands in an environment, exact to the millisecond."""
    seconds, rest = divmod(value // timedelta(milliseconds=1), 1000)
    return f"{seconds}s{rest}ms" if rest else str(seconds)
