"""What the publisher needs of a way to the bus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from baqup_agent.bus.topology import Wire


class Transport(Protocol):
    """Carries messages to one bus; used by one thread at a time.

    A send that raised may have taken effect all the same, so sending a message again has to be
    harmless: an event that is there already is not written twice, and a heartbeat, progress or
    status never replaces a newer one.
    """

    @property
    def display(self) -> str:
        """Where the bus is, for logs; without credentials."""
        ...

    def connect(self) -> None:
        """Reach the bus; may be called again after a failure.

        Raises:
            BusUnavailable: it is out of reach for now.
            BusRefused: it never will be reached with this configuration.
        """

    def send(self, message: Wire) -> bool:
        """Deliver one message; it has arrived once this returns.

        Returns:
            Whether it counts; False if the bus holds a newer one in its place.

        Raises:
            BusUnavailable: it may be sent again later.
            BusRefused: the credentials do not allow it.
            MessageRejected: the bus will never take this message.
        """
        ...

    def append(self, events: Sequence[Wire], base_ms: int = 0) -> int:
        """Deliver events of one job in their order.

        After a failure any number of the first of them may have arrived.

        Args:
            events: at least one.
            base_ms: lowest time of their ids, milliseconds since 1970; see `top_ms`.

        Returns:
            How many have arrived, from the first on. The others lie below what the job's stream
            holds, and need ids above `top_ms`.

        Raises:
            BusUnavailable: they may be sent again later.
            BusRefused: the credentials do not allow it.
            MessageRejected: the bus will never take one of them.
        """
        ...

    def top_ms(self, job_id: str) -> int:
        """Return the time of the newest event id of a job, milliseconds since 1970; 0 for none.

        Events whose ids lie above it are recognised when they are sent again, whatever an earlier
        process with another clock has written.

        Raises:
            BusUnavailable: the bus did not tell.
            BusRefused: the credentials do not allow to ask.
        """
        ...

    def newest(self, job_id: str) -> str:
        """Return the timestamp of the newest status or progress of a job; empty for none.

        Raises:
            BusUnavailable: the bus did not tell.
            BusRefused: the credentials do not allow to ask.
        """
        ...

    def close(self) -> None:
        """Let go of connections and files; harmless when repeated."""
