"""Tells a job's progress while a program of PostgreSQL does the work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import define, field

from baqup_agent import JobCancelled

if TYPE_CHECKING:
    from baqup_agent import Job

#: Seconds between two looks.
LOOK_EVERY_S = 0.25


@define
class Progress:
    """How far the whole job is, summed up over databases.

    A dump has fewer bytes than the database on the disk, whose indexes it leaves out, so the
    share of a database that is being worked on is an estimate; that of the others is not.

    Attributes:
        job: is told.
        expected_bytes: what all databases come to.
    """

    job: Job[Any]
    expected_bytes: int
    _done: int = field(default=0, init=False)
    _done_expected: int = field(default=0, init=False)
    _databases: int = field(default=0, init=False)
    _began_s: float = field(factory=time.monotonic, init=False)

    @contextmanager
    def database(self, name: str, expected_bytes: int, count: Callable[[], int]) -> Iterator[None]:
        """Tell the progress of one database for the length of the block, however it ends.

        Args:
            name: the database.
            expected_bytes: its share of what is expected.
            count: gives the bytes done of it; called from a thread of its own.
        """
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(LOOK_EVERY_S):
                try:
                    self._tell(name, expected_bytes, count())
                except JobCancelled:
                    return  # the one that does the work hears of it too

        watcher = threading.Thread(target=look, name="postgres-progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            self._done += count()
            self._done_expected += expected_bytes
            self._databases += 1
        self._tell(name, 0, 0)

    def finish(self) -> None:
        """Tell that all is done."""
        self.job.progress(
            percent_complete=100, bytes_processed=self._done, files_processed=self._databases
        )

    def _tell(self, name: str, expected_bytes: int, done: int) -> None:
        share = self._share(expected_bytes, done)
        spent_s = time.monotonic() - self._began_s
        self.job.progress(
            percent_complete=None if share is None else round(share * 100, 1),
            bytes_processed=self._done + done,
            files_processed=self._databases,
            current_file=name,
            estimated_remaining_seconds=(
                round(spent_s * (1 - share) / share, 1) if share else None
            ),
        )

    def _share(self, expected_bytes: int, done: int) -> float | None:
        if not self.expected_bytes:
            return None
        known = self._done_expected + min(done, expected_bytes)
        return min(known / self.expected_bytes, 0.99)
