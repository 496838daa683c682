"""Checking a copy before anybody relies on it, and describing what is in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baqup_agent.agents.sqlite.access import Mode, opened
from baqup_agent.agents.sqlite.refusals import primary_code, translated
from baqup_agent.errors import DataError

if TYPE_CHECKING:
    from baqup_agent import Job

#: Problems of one database that are told.
_MOST_TOLD = 5

#: Broken references of one database that are counted.
_MOST_BROKEN = 1000

#: Instructions of SQLite's machine between two looks whether the job must stop.
_LOOK_EVERY = 100_000

#: What a check manages on a slow disk, for the time that the intent announces.
_SLOW_BYTES_PER_S = 20_000_000

_KINDS = ("table", "index", "view", "trigger")


def check_copy(job: Job[Any], path: Path, name: str, how: str) -> dict[str, Any]:
    """Check a copy that nobody else has open.

    Args:
        job: the job.
        path: the copy.
        name: the database, as text.
        how: ``full`` or ``quick``.

    Returns:
        What the manifest tells of it.

    Raises:
        DataError: it is damaged.
        JobCancelled: the job must stop.
    """
    expected_s = 5 + path.stat().st_size / _SLOW_BYTES_PER_S
    with (
        job.intent("integrity_check", expected_duration_s=expected_s, detail=name),
        translated(name),
        opened(path, Mode.UNCHANGING) as copy,
        _interruptible(job, copy),
    ):
        copy.execute("pragma cell_size_check = on")
        _require_intact(job, copy, name, how)
        _tell_broken_references(job, copy, name)
        return _described(copy)


@contextmanager
def _interruptible(job: Job[Any], copy: sqlite3.Connection) -> Iterator[None]:
    """End what SQLite does once the job must stop."""
    copy.set_progress_handler(lambda: int(job.cancellation.cancelled), _LOOK_EVERY)
    try:
        yield
    except sqlite3.OperationalError as error:
        if primary_code(error) == sqlite3.SQLITE_INTERRUPT:
            job.cancellation.check()
        raise


def _require_intact(job: Job[Any], copy: sqlite3.Connection, name: str, how: str) -> None:
    check = "integrity_check" if how == "full" else "quick_check"
    try:
        problems = _problems(copy, check)
    except sqlite3.OperationalError as error:
        # A table can need a function or an order that only the application knows.
        if primary_code(error) != sqlite3.SQLITE_ERROR:
            raise
        problems, unchecked = _problems_by_table(copy, check)
        tables = ", ".join(repr(table) for table in unchecked[:_MOST_TOLD])
        job.warn("CHECK_REDUCED", message=f"unchecked is {tables}: {error}", path=name)
    if problems:
        raise DataError(
            f"{name!r} is damaged: {'; '.join(problems)}; recover it with the command .recover of "
            "the sqlite3 shell, or restore a backup",
            code="SOURCE_CORRUPT",
        )


def _problems(copy: sqlite3.Connection, check: str, table: str | None = None) -> list[str]:
    quoted = str(_MOST_TOLD) if table is None else '"' + table.replace('"', '""') + '"'
    cursor = copy.execute(f"pragma {check}({quoted})")
    rows = [str(row[0]) for row in cursor.fetchmany(_MOST_TOLD)]
    return [] if rows == ["ok"] else [" ".join(row.split()) for row in rows]


def _problems_by_table(copy: sqlite3.Connection, check: str) -> tuple[list[str], list[str]]:
    """Check table by table; return what is wrong, and the tables that could not be checked."""
    problems: list[str] = []
    unchecked: list[str] = []
    for (table,) in copy.execute("select name from sqlite_schema where type = 'table'").fetchall():
        try:
            problems += _problems(copy, check, table)
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_ERROR:
                raise
            unchecked.append(table)
    return problems[:_MOST_TOLD], unchecked


def _tell_broken_references(job: Job[Any], copy: sqlite3.Connection, name: str) -> None:
    """Rows that refer to none are the application's business: the backup is true to them."""
    try:
        broken = copy.execute("pragma foreign_key_check").fetchmany(_MOST_BROKEN)
    except sqlite3.OperationalError as error:
        if primary_code(error) != sqlite3.SQLITE_ERROR:
            raise
        message = f"foreign keys cannot be checked: {error}"
    else:
        if not broken:
            return
        count = f"{len(broken)} or more" if len(broken) == _MOST_BROKEN else str(len(broken))
        tables = ", ".join(sorted({repr(row[0]) for row in broken})[:_MOST_TOLD])
        message = f"{count} rows refer to rows that are not there, in {tables}"
    job.warn("FOREIGN_KEY_VIOLATED", message=message, path=name)


def _described(copy: sqlite3.Connection) -> dict[str, Any]:
    def ask(name: str) -> Any:
        return copy.execute(f"pragma {name}").fetchone()[0]

    counted = dict(copy.execute("select type, count(*) from sqlite_schema group by type"))
    return {
        "page_size": ask("page_size"),
        "page_count": ask("page_count"),
        "free_pages": ask("freelist_count"),
        "encoding": ask("encoding"),
        "user_version": ask("user_version"),
        "application_id": ask("application_id"),
        "schema_objects": {kind: counted.get(kind, 0) for kind in _KINDS},
    }
