"""A transport whose messages are cleaned of secrets before they leave (Contract §7)."""

from __future__ import annotations

from attrs import frozen

from baqup_agent.bus.topology import Wire
from baqup_agent.bus.transport import Transport
from baqup_agent.observability.redaction import Redactor


@frozen
class RedactedTransport:
    """Hands messages on to another transport, cleaned.

    Attributes:
        transport: the way to the bus.
        redactor: knows the secrets.
    """

    transport: Transport
    redactor: Redactor

    @property
    def display(self) -> str:
        """Where the bus is."""
        return self.transport.display

    def connect(self) -> None:
        """Reach the bus."""
        self.transport.connect()

    def send(self, message: Wire) -> None:
        """Deliver one message without the secrets in it."""
        self.transport.send(self.redactor.message(message))

    def close(self) -> None:
        """Let go of connections and files."""
        self.transport.close()
