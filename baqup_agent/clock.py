"""Time, as one object that is handed in, so that tests need not wait for it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

#: Characters of a timestamp up to its microseconds.
_MICROSECONDS = len("2026-01-15T03:00:00.000000")


class Clock(Protocol):
    """The two times of a run: one to measure with, one to report."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        ...

    def now(self) -> datetime:
        """The wall time, in UTC."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        return time.monotonic()

    def now(self) -> datetime:
        """The wall time, in UTC."""
        return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with six digits of microseconds and ``Z``.

    The fixed width makes the order of texts the order of times (Contract §3).
    """
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    text = moment.isoformat()
    if not moment.microsecond:  # then it has no digits of them; to ask for some is slower
        text = moment.isoformat(timespec="microseconds")
    return text[:_MICROSECONDS] + "Z"
