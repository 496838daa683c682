"""Copying a database that others write to, by SQLite's online backup (Contract §1).

===================  ==========================================================================
journal              how
===================  ==========================================================================
WAL                  in steps, within one read transaction: writers go on, and the copy is of the
                     moment at which it began; the log cannot shrink meanwhile
rollback             in steps, with no lock between them: writers take turns, but each write makes
                     the copy begin again; after ``BAQUP_SOURCE_RESTARTS`` of that, within one
                     read transaction, for whose length writers wait (or give up, by their choice)
any, unchanging      see `Mode.UNCHANGING`: in one go, and void if the file changed meanwhile
===================  ==========================================================================
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen

from baqup_agent.agents.sqlite.access import Database, Mode, Stamp, mode_of, opened
from baqup_agent.agents.sqlite.refusals import is_busy, translated
from baqup_agent.errors import SourceUnavailable

if TYPE_CHECKING:
    from baqup_agent import Job

T = TypeVar("T")

#: Bytes that are copied in one step, during which rollback writers are locked out.
STEP_BYTES = 4 << 20

#: Seconds between two attempts at a lock.
_PAUSE_S = 0.05

#: What copying manages on a slow disk, for the time that the intent announces.
_SLOW_BYTES_PER_S = 20_000_000

#: Takes the bytes copied and the bytes in all.
Listener = Callable[[int, int], object]


@frozen
class Copied:
    """How a database was copied.

    Attributes:
        journal: the source's journal mode.
        restarts: how often the copy began again because others wrote.
        locked: whether writers had to wait for the copy.
    """

    journal: str
    restarts: int
    locked: bool


class _Overtaken(Exception):
    """Others wrote more often than is allowed."""


class Copying:
    """Copies one database.

    Args:
        job: the job.
        database: what to copy.
        target: the file to write; it must not exist.
        lock_timeout_s: longest wait for a lock, seconds.
        restarts: how often to begin again before writers are made to wait.
        listener: told of each step.
    """

    def __init__(
        self,
        job: Job[Any],
        database: Database,
        target: Path,
        lock_timeout_s: float,
        restarts: int,
        listener: Listener,
    ) -> None:
        self._job = job
        self._database = database
        self._target = target
        self._lock_timeout_s = lock_timeout_s
        self._most_restarts = restarts
        self._listener = listener
        self._restarts = 0

    def run(self) -> Copied:
        """Copy all of it.

        Raises:
            DataError: the file is no database, or is damaged.
            SourceUnavailable: it cannot be read, or was locked for too long.
            IOFailure: the copy could not be written.
        """
        mode = mode_of(self._database)
        expected_s = 5 + self._database.size_bytes / _SLOW_BYTES_PER_S
        with (
            self._job.intent(
                "copy_database", expected_duration_s=expected_s, detail=self._database.text
            ),
            translated(self._database.text),
        ):
            if mode is Mode.UNCHANGING:
                return self._copy_unchanging()
            with opened(self._database.path, mode) as source:
                return self._copy(source)

    def _copy_unchanging(self) -> Copied:
        while True:
            before = self._stamp()
            with opened(self._database.path, Mode.UNCHANGING) as source:
                self._backup(source)
            if self._stamp() == before:
                return Copied("wal", self._restarts, locked=False)
            self._restarts += 1
            if self._restarts > self._most_restarts:
                raise SourceUnavailable(
                    f"{self._database.text!r} changed while it was read, {self._restarts} times; "
                    "let the agent write in its directory, where it can take part in the locking",
                    code="SOURCE_CHANGED",
                )

    def _copy(self, source: sqlite3.Connection) -> Copied:
        journal = self._ask(source, "pragma journal_mode")
        if journal == "wal":
            return self._copy_at_once(source, journal, locked=False)
        try:
            self._backup(source, self._most_restarts)
        except _Overtaken:
            self._job.event(
                "WRITERS_BLOCKED",
                message=f"copied at once after {self._restarts} restarts; writers had to wait",
                path=self._database.text,
            )
            return self._copy_at_once(source, journal, locked=True)
        return Copied(journal, self._restarts, locked=False)

    def _copy_at_once(self, source: sqlite3.Connection, journal: str, *, locked: bool) -> Copied:
        """Copy within one read transaction; within it a backup never begins again."""
        self._retried(lambda: self._begin(source))
        self._backup(source)
        return Copied(journal, self._restarts, locked)

    @staticmethod
    def _begin(source: sqlite3.Connection) -> None:
        source.execute("begin")
        try:
            source.execute("select count(*) from sqlite_schema").fetchall()
        except sqlite3.Error:
            source.execute("rollback")
            raise

    def _ask(self, source: sqlite3.Connection, sql: str) -> str:
        return str(self._retried(lambda: source.execute(sql).fetchall()[0][0]))

    def _backup(self, source: sqlite3.Connection, most_restarts: int | None = None) -> None:
        page_bytes = int(self._ask(source, "pragma page_size"))
        steps = _Steps(page_bytes, self._lock_timeout_s, most_restarts, self._listener)
        self._target.unlink(missing_ok=True)
        with closing(sqlite3.connect(self._target, isolation_level=None)) as target:
            target.execute("pragma journal_mode = off")  # a copy that is not complete is void
            target.execute("pragma synchronous = off")
            pages = max(1, STEP_BYTES // page_bytes)
            try:
                source.backup(target, pages=pages, progress=steps.done, sleep=_PAUSE_S)
            finally:
                self._restarts += steps.restarts

    def _retried(self, ask: Callable[[], T]) -> T:
        """Call something until no lock is in its way any more."""
        deadline_s = time.monotonic() + self._lock_timeout_s
        while True:
            try:
                return ask()
            except sqlite3.Error as error:
                if not is_busy(error) or time.monotonic() > deadline_s:
                    raise
            self._job.cancellation.sleep(_PAUSE_S)

    def _stamp(self) -> Stamp:
        try:
            return Stamp.of(self._database.path)
        except OSError as error:
            raise SourceUnavailable(
                f"{self._database.text!r} cannot be read any more: {error.strerror}"
            ) from error


class _Steps:
    """Told of each step of a backup; what it raises ends the backup.

    Args:
        page_bytes: bytes of a page.
        lock_timeout_s: longest time without a step, seconds.
        most_restarts: how often the backup may begin again; None for as often as it likes.
        listener: told of the bytes.
    """

    def __init__(
        self,
        page_bytes: int,
        lock_timeout_s: float,
        most_restarts: int | None,
        listener: Listener,
    ) -> None:
        self.restarts = 0
        self._page_bytes = page_bytes
        self._lock_timeout_s = lock_timeout_s
        self._most_restarts = most_restarts
        self._listener = listener
        self._left: int | None = None
        self._stepped_s = time.monotonic()

    def done(self, result: int, left: int, total: int) -> None:
        """Judge one step.

        Args:
            result: SQLite's code.
            left: pages still to be copied.
            total: pages in all.
        """
        if result in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            self._listener(0, 0)
            if time.monotonic() - self._stepped_s > self._lock_timeout_s:
                raise SourceUnavailable(
                    f"the database is locked for longer than {self._lock_timeout_s:g} s; end the "
                    "transaction that holds the lock, or raise BAQUP_SOURCE_LOCK_TIMEOUT",
                    code="LOCK_TIMEOUT",
                )
            return
        self._stepped_s = time.monotonic()
        # A step that brought nothing nearer was the first one of a new beginning.
        if self._left is not None and left >= self._left:
            self.restarts += 1
            if self._most_restarts is not None and self.restarts > self._most_restarts:
                raise _Overtaken
        self._left = left
        self._listener((total - left) * self._page_bytes, total * self._page_bytes)
