"""What wants to be called now and then in the publisher's thread."""

from __future__ import annotations

from collections.abc import Callable

from baqup_agent.clock import Clock
from baqup_agent.errors import describe
from baqup_agent.observability.sink import LogSink

#: Seconds between two calls.
TICK_S = 1.0


class Ticks:
    """Calls each of its functions about once a second, as long as `run` is called often.

    Args:
        log: told of a function that raised; it is called again all the same.
        clock: measures time.
    """

    def __init__(self, log: LogSink, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._functions: list[Callable[[], None]] = []
        self._due_s = float("-inf")

    def add(self, function: Callable[[], None]) -> None:
        """Have ``function`` called from now on."""
        self._functions.append(function)

    def run(self) -> None:
        """Call all functions, if it is time."""
        now_s = self._clock.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + TICK_S
        for function in self._functions:
            try:
                function()
            except Exception as error:  # noqa: BLE001  the publisher's thread must go on
                self._log.error("a tick of the bus failed", reason=describe(error))
