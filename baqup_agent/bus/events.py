"""Events, with repetitions counted instead of sent one by one (Contract §3).

The first occurrence of a code is published at once. Those that follow within a second are only
counted; about once a second, and at the end, one event tells the sum. Its ``count`` is cumulative,
so the latest event of a code says everything about it. A million occurrences cost no memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from baqup_agent.bus.messages import SAMPLE_PATHS_MAX, check_code, severity_rank
from baqup_agent.clock import Clock, SystemClock
from baqup_agent.contract import EVENT_CODES, LogLevel

#: Least seconds between two events of one code.
EVENT_GAP_S = 1.0


class EventBus(Protocol):
    """What an event log needs of the bus."""

    def event(
        self,
        code: str,
        *,
        severity: str,
        message: str,
        first_occurrence: datetime,
        last_occurrence: datetime,
        count: int,
        sample_paths: list[str],
    ) -> object:
        """Publish one event."""

    def on_tick(self, tick: Callable[[], None]) -> None:
        """Call ``tick`` about once a second."""


class _Tally:
    """What is known of one code."""

    __slots__ = (
        "count",
        "first",
        "last",
        "message",
        "paths",
        "published",
        "published_at_s",
        "severity",
        "warnings",
    )

    def __init__(self, severity: str, moment: datetime) -> None:
        self.severity = severity
        self.message = ""
        self.first = self.last = moment
        self.count = 0
        self.warnings = 0
        self.paths: list[str] = []
        self.published = 0
        self.published_at_s = float("-inf")

    def count_in(self, severity: str, message: str, path: str | None, moment: datetime) -> None:
        rank = severity_rank(severity)
        if rank > severity_rank(self.severity):
            self.severity = severity
        self.message = message
        self.last = max(self.last, moment)
        self.count += 1
        self.warnings += rank >= LogLevel.WARN
        if path is not None and len(self.paths) < SAMPLE_PATHS_MAX and path not in self.paths:
            self.paths.append(path)

    def due(self, now_s: float) -> bool:
        return self.published < self.count and now_s - self.published_at_s >= EVENT_GAP_S


class EventLog:
    """Takes down what happens and has the bus told, code by code.

    Args:
        bus: takes the events; its publisher calls `tick`.
        clock: tells and measures time.
    """

    def __init__(self, bus: EventBus, clock: Clock | None = None) -> None:
        self._bus = bus
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._tallies: dict[str, _Tally] = {}
        bus.on_tick(self.tick)

    def add(
        self,
        code: str,
        *,
        severity: str | None = None,
        message: str | None = None,
        path: str | None = None,
    ) -> None:
        """Take down one occurrence; takes a few microseconds and never waits for the bus.

        Args:
            code: upper-case words joined by underscores.
            severity: ``trace`` … ``fatal``; the contract's own for its codes, else ``info``. An
                event shows the gravest that its code has had.
            message: what happened; an event shows the latest. By default the code's meaning.
            path: what it happened to; an event shows the first few.

        Raises:
            InternalError: the code or the severity is malformed.
        """
        known = EVENT_CODES.get(code)
        severity = severity or (known.severity if known else "info")
        message = message or (known.meaning if known else code)
        severity_rank(severity)
        now_s, moment = self._clock.monotonic(), self._clock.now()
        with self._lock:
            tally = self._tallies.get(code)
            if tally is None:
                tally = self._tallies[check_code(code)] = _Tally(severity, moment)
            tally.count_in(severity, message, path, moment)
            if tally.due(now_s):
                self._publish(code, tally, now_s)

    def tick(self) -> None:
        """Publish the codes that have news and were last published a second ago or more."""
        now_s = self._clock.monotonic()
        with self._lock:
            for code, tally in self._tallies.items():
                if tally.due(now_s):
                    self._publish(code, tally, now_s)

    def flush(self) -> None:
        """Publish every code that has news, now."""
        now_s = self._clock.monotonic()
        with self._lock:
            for code, tally in self._tallies.items():
                if tally.published < tally.count:
                    self._publish(code, tally, now_s)

    def warnings_summary(self) -> dict[str, int]:
        """Return how often each code occurred with severity ``warn`` or graver."""
        with self._lock:
            return {code: t.warnings for code, t in sorted(self._tallies.items()) if t.warnings}

    def _publish(self, code: str, tally: _Tally, now_s: float) -> None:
        # Under the lock, so that counts reach the bus in ascending order.
        tally.published = tally.count
        tally.published_at_s = now_s
        self._bus.event(
            code,
            severity=tally.severity,
            message=tally.message,
            first_occurrence=tally.first,
            last_occurrence=tally.last,
            count=tally.count,
            sample_paths=tally.paths,
        )
