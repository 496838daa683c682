"""Ends a stay in a state that lasts too long, whatever the driver is doing (Contract §1).

Expiry has two steps. First the driver is told, by an event. If the stay goes on and the overrun is
over too, because the driver itself is stuck (a sync on a dead disk, say), the watchdog's own thread
leaves the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from attrs import frozen

from baqup_agent.clock import Clock


@frozen(eq=False)
class Limit:
    """How long one stay in one state may last; another stay there is another limit.

    Attributes:
        state: the state's name.
        due_s: when the stay is over, on the monotonic clock.
        overrun_s: seconds after that until the process is left.
    """

    state: str
    due_s: float
    overrun_s: float


class Watchdog:
    """The thread that keeps the time of all stays that last.

    Args:
        on_expired: told of a stay whose time is over, once.
        on_overrun: told when its overrun is over too; the watchdog ends with that.
        clock: the time.
    """

    def __init__(
        self,
        on_expired: Callable[[Limit], None],
        on_overrun: Callable[[Limit], None],
        clock: Clock,
    ) -> None:
        self._on_expired = on_expired
        self._on_overrun = on_overrun
        self._clock = clock
        self._changed = threading.Condition()
        self._limits: tuple[Limit, ...] = ()
        self._expired: set[Limit] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether time is being kept."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to keep the time."""
        self._thread.start()

    def keep(self, limits: Sequence[Limit]) -> None:
        """Keep these limits from now on; one that was kept before goes on as it was."""
        with self._changed:
            self._limits = tuple(limits)
            self._expired &= set(self._limits)
            self._changed.notify()

    def stop(self) -> None:
        """Keep no more time."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _watch(self) -> None:
        while (due := self._next()) is not None:
            limit, overrun = due
            if overrun:
                self._on_overrun(limit)
                return
            self._on_expired(limit)

    def _next(self) -> tuple[Limit, bool] | None:
        """Wait for the next limit to expire, or to overrun; None once stopped."""
        with self._changed:
            while not self._closed:
                moments = [self._moment(limit) for limit in self._limits]
                if not moments:
                    self._changed.wait()
                    continue
                due_s, limit, overrun = min(moments, key=lambda moment: moment[0])
                left_s = due_s - self._clock.monotonic()
                if left_s <= 0:
                    self._expired.add(limit)
                    return limit, overrun
                self._changed.wait(left_s)
        return None

    def _moment(self, limit: Limit) -> tuple[float, Limit, bool]:
        overrun = limit in self._expired
        return limit.due_s + (limit.overrun_s if overrun else 0.0), limit, overrun
