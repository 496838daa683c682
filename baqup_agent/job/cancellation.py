"""The token by which a job learns that it must stop."""

from __future__ import annotations

import threading

from baqup_agent.errors import BaqupError, JobCancelled


class CancellationToken:
    """Set once, by the driver, when a signal or a deadline ends the work.

    Cancellation is cooperative: what the SDK offers (writing an artifact, progress, children,
    retries) checks the token by itself, and long loops of an author's own call `check`.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason: BaqupError | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the job must stop."""
        return self._event.is_set()

    def cancel(self, reason: BaqupError) -> None:
        """Ask the job to stop; the first reason stands."""
        if self.reason is None:
            self.reason = reason
        self._event.set()

    def check(self) -> None:
        """Do nothing while the job may go on.

        Raises:
            JobCancelled: the job must stop.
        """
        if self._event.is_set():
            raise JobCancelled(str(self.reason))

    def sleep(self, seconds: float) -> None:
        """Wait, but not longer than the job may go on.

        Raises:
            JobCancelled: the job must stop.
        """
        self._event.wait(seconds)
        self.check()
