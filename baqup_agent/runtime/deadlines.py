"""Ends a stay in a state that lasts too long, whatever the driver is doing (Contract §1).

Expiry has two steps. First the driver is told, by an event. If the run is still in the same state
when the overrun is over too, because the driver itself is stuck (a sync on a dead disk, say), the
watchdog's own thread leaves the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from attrs import frozen

from baqup_agent.clock import Clock


@frozen
class Limit:
    """How long one state may last.

    Attributes:
        state: its name.
        seconds: the longest stay; None where only leaving the process is bounded.
        overrun_s: seconds after which the process is left, counted from the expiry.
    """

    state: str
    seconds: float
    overrun_s: float


class Watchdog:
    """The thread that keeps the time.

    Args:
        on_expired: told of the state whose time is over.
        on_overrun: told when the overrun is over too.
        clock: the time; waiting itself is done on a condition, in steps of the clock.
    """

    def __init__(
        self, on_expired: Callable[[str], None], on_overrun: Callable[[str], None], clock: Clock
    ) -> None:
        self._on_expired = on_expired
        self._on_overrun = on_overrun
        self._clock = clock
        self._changed = threading.Condition()
        self._limit: Limit | None = None
        self._entered_s = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to keep the time."""
        self._thread.start()

    def enter(self, limit: Limit) -> None:
        """Note that a state was entered; its time begins now."""
        with self._changed:
            self._limit = limit
            self._entered_s = self._clock.monotonic()
            self._changed.notify()

    def stop(self) -> None:
        """Keep no more time."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def alive(self) -> bool:
        """Whether time is being kept."""
        return self._thread.is_alive()

    def _watch(self) -> None:
        while limit := self._sleep_until(lambda limit: limit.seconds):
            self._on_expired(limit.state)
            if late := self._sleep_until(lambda limit: limit.seconds + limit.overrun_s, limit):
                self._on_overrun(late.state)
                return

    def _sleep_until(
        self, due: Callable[[Limit], float], only: Limit | None = None
    ) -> Limit | None:
        """Wait until the current limit is ``due``; None once stopped or no longer in ``only``."""
        with self._changed:
            while not self._closed and (only is None or self._limit is only):
                if self._limit is None:
                    self._changed.wait()
                    continue
                left = self._entered_s + due(self._limit) - self._clock.monotonic()
                if left <= 0:
                    return self._limit
                self._changed.wait(left)
        return None
