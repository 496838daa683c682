"""What a reading thread hands to whoever uses its messages: bounded, in order, nothing dropped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from baqup_agent.controller.messages import BusMessage

#: Most bytes of messages that wait for their user; then the reading waits, and the bus keeps the
#: rest.
MAX_WAITING_BYTES = 32 * 1024 * 1024

#: What one waiting message costs beside its text, bytes.
_COST_BYTES = 2048


class Outlet:
    """Messages that wait to be taken.

    Args:
        max_bytes: most that waits; a single message may be longer.
    """

    def __init__(self, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._messages: deque[BusMessage] = deque()
        self._change = threading.Condition()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._closed

    def put(self, messages: Iterable[BusMessage]) -> None:
        """Append messages, waiting for room; once closed, let them go."""
        for message in messages:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._bytes < self._max_bytes)
                if self._closed:
                    return
                self._messages.append(message)
                self._bytes += message.size_bytes + _COST_BYTES
                self._change.notify_all()

    def take(self, timeout_s: float = 0.0) -> list[BusMessage]:
        """Return all that waits; if nothing does, wait for something for ``timeout_s`` seconds."""
        with self._change:
            self._change.wait_for(lambda: self._closed or self._messages, timeout_s)
            taken, self._messages = list(self._messages), deque()
            self._bytes = 0
            self._change.notify_all()
        return taken

    def close(self) -> None:
        """Let go of both sides."""
        with self._change:
            self._closed = True
            self._change.notify_all()
