"""How far the work is: counters that never go back, published a few times a second."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from baqup_agent.clock import Clock

#: Shortest time between two published progress messages, seconds.
PUBLISH_EVERY_S = 0.25

#: Members that only grow.
_GROWING = ("percent_complete", "bytes_processed", "files_processed")


class Progress:
    """The latest progress of a job.

    Args:
        publish: takes the members of a progress message as keywords; called at most every
            `PUBLISH_EVERY_S` seconds, and by `flush`.
        clock: times the pauses between them.
    """

    def __init__(self, publish: Callable[..., object], clock: Clock) -> None:
        self._publish = publish
        self._clock = clock
        self._lock = threading.Lock()
        self._members: dict[str, Any] = {}
        self._published: dict[str, Any] = {}
        self._due_s = 0.0

    def update(self, **members: Any) -> None:
        """Take new values; None keeps the last one."""
        with self._lock:
            for name, value in members.items():
                if value is not None:
                    self._take(name, value)
            now = self._clock.monotonic()
            if now < self._due_s:
                return
            self._due_s = now + PUBLISH_EVERY_S
            self._send()

    def flush(self) -> None:
        """Publish what has not been published yet."""
        with self._lock:
            if self._members != self._published:
                self._send()

    @property
    def bytes_processed(self) -> int:
        """Bytes read from the source so far."""
        return int(self._members.get("bytes_processed", 0))

    @property
    def files_processed(self) -> int:
        """Files done so far."""
        return int(self._members.get("files_processed", 0))

    def _take(self, name: str, value: Any) -> None:
        if name in _GROWING:
            value = max(value, self._members.get(name, 0))
        if name == "percent_complete":
            value = min(max(float(value), 0.0), 100.0)
        self._members[name] = value

    def _send(self) -> None:
        self._published = dict(self._members)
        self._publish(**self._published)
