"""What the publisher needs of a way to the bus."""

from __future__ import annotations

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

    def send(self, message: Wire) -> None:
        """Deliver one message; it has arrived once this returns.

        Raises:
            BusUnavailable: it may be sent again later.
            BusRefused: the credentials do not allow it.
            MessageRejected: the bus will never take this message.
        """

    def close(self) -> None:
        """Let go of connections and files; harmless when repeated."""
