"""What can go wrong with a transport, as the publisher tells it apart, and an outage's record.

A third outcome, `baqup_agent.errors.BusRefused`, is the configuration's fault: it ends a run that
is still initializing, and counts as an outage afterwards.
"""

from __future__ import annotations

from baqup_agent.clock import Clock
from baqup_agent.observability.sink import LogSink


class BusUnavailable(Exception):
    """The bus cannot be reached or cannot take a write now; the same message may be sent again."""


class MessageRejected(Exception):
    """The bus is well but will never take this message; sending it again is pointless."""


class Outage:
    """Counts failures in a row, and has one line logged at each end of an outage.

    Args:
        bus: what logs call the bus.
        log: told of the outage.
        clock: measures how long it lasts.

    Attributes:
        failures: how many since the bus last took a message.
    """

    def __init__(self, bus: str, log: LogSink, clock: Clock) -> None:
        self.failures = 0
        self._bus = bus
        self._log = log
        self._clock = clock
        self._since_s: float | None = None

    def failed(self, error: Exception, *, told: bool = False) -> None:
        """Note a failure; the first one of an outage is told, unless it is ``told`` elsewhere."""
        self.failures += 1
        if self._since_s is None and not told:
            self._since_s = self._clock.monotonic()
            self._log.warn(
                "the bus is out of reach; the job goes on and messages wait",
                bus=self._bus,
                reason=str(error),
            )

    def over(self, dropped: int) -> None:
        """Note that the bus took a message, or that there is none to take.

        Args:
            dropped: messages given up so far, told at the end of an outage.
        """
        self.failures = 0
        if self._since_s is not None:
            lasted_s = round(self._clock.monotonic() - self._since_s, 3)
            self._since_s = None
            self._log.info("the bus is back", bus=self._bus, outage_s=lasted_s, dropped=dropped)
