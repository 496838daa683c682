"""Asking a run to stop, from wherever that is asked."""

from __future__ import annotations

import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequests:
    """Requests to stop a run; may be made from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[str] = queue.SimpleQueue()

    def request(self, cause: str = "a request") -> None:
        """Ask for the run to be stopped; ``cause`` is what the view will say."""
        self._requests.put(cause)

    def take(self) -> str | None:
        """Return the cause of the next request, if there is one."""
        try:
            return self._requests.get_nowait()
        except queue.Empty:
            return None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Turn SIGINT, SIGTERM and SIGHUP into requests; main thread only.

        A signal that is ignored, as SIGHUP is under nohup, stays ignored.
        """
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.getsignal(number) for number in numbers}
        taken = [number for number in numbers if before[number] is not signal.SIG_IGN]
        for number in taken:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number in taken:
                signal.signal(number, before[number])

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  a handler's
        self.request(signal.Signals(number).name)
