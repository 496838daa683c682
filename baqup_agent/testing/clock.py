"""A clock that a test moves by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

#: Where a manual clock begins.
EPOCH = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)


class ManualClock:
    """Stands still until it is moved; both of its times advance together.

    Args:
        start: the wall time at the beginning.
    """

    def __init__(self, start: datetime = EPOCH) -> None:
        self._start = start
        self._elapsed_s = 0.0

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed_s

    def now(self) -> datetime:
        """The wall time, in UTC."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def advance(self, seconds: float) -> None:
        """Move both times forward.

        Raises:
            ValueError: ``seconds`` is negative; time does not go back.
        """
        if seconds < 0:
            raise ValueError(f"a clock cannot advance by {seconds} seconds; give 0 or more")
        self._elapsed_s += seconds
