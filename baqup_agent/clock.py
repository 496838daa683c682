"""Time, as one object that is handed in, so that tests need not wait for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

#: Characters of a timestamp up to its microseconds.
_MICROSECONDS = len("2026-01-15T03:00:00.000000")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000


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


def microseconds(moment: datetime) -> int:
    """Return a moment as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(time_us: int) -> datetime:
    """Return the moment that is so many microseconds after 1970 began, in UTC."""
    return _EPOCH + timedelta(microseconds=time_us)


def reader_ns(clock: Clock) -> Callable[[], int]:
    """Return what reads the wall time of a clock as nanoseconds since 1970.

    For the machine's clock it takes a fifth of the time that `Clock.now` does.
    """
    if type(clock) is SystemClock:
        return time.time_ns
    return lambda: microseconds(clock.now()) * 1000


class TimestampWriter:
    """Writes timestamps as `timestamp` does, quicker: times of one second share their beginning.

    Not safe for threads by itself.
    """

    def __init__(self) -> None:
        # Microseconds are counted from a second before, so that their number has seven digits, of
        # which the last six are those of the timestamp: an int is quicker to write than to pad.
        self._before_us = sys.maxsize
        self._beginning = ""

    def write(self, time_us: int) -> str:
        """Return the timestamp of a moment, microseconds since 1970."""
        since_us = time_us - self._before_us
        if not _SECOND_US <= since_us < 2 * _SECOND_US:
            rest_us = time_us % _SECOND_US
            self._beginning = timestamp(moment_of(time_us))[: -len("000000Z")]
            self._before_us = time_us - rest_us - _SECOND_US
            since_us = _SECOND_US + rest_us
        return f"{self._beginning}{str(since_us)[1:]}Z"
