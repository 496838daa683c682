"""What SQLite complains of, given its place in the error tree (Contract §5)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from baqup_agent.errors import BaqupError, DataError, InternalError, IOFailure, SourceUnavailable

#: The bits of an extended result code that are the primary one.
_PRIMARY = 0xFF


class Rule(NamedTuple):
    """How one primary result code is taken.

    Attributes:
        error: the class of the error.
        code: its code.
        remedy: what to do.
    """

    error: type[BaqupError]
    code: str
    remedy: str


_LOCKED = Rule(
    SourceUnavailable,
    "LOCK_TIMEOUT",
    "end the transaction that holds the lock, or raise BAQUP_SOURCE_LOCK_TIMEOUT",
)
_UNREADABLE = Rule(
    SourceUnavailable,
    "SOURCE_UNAVAILABLE",
    "let the agent read the file and, while it is in use in WAL mode, its -wal and -shm",
)

RULES: Mapping[int, Rule] = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,
    sqlite3.SQLITE_CANTOPEN: _UNREADABLE,
    sqlite3.SQLITE_PERM: _UNREADABLE,
    sqlite3.SQLITE_AUTH: _UNREADABLE,
    sqlite3.SQLITE_READONLY: Rule(
        SourceUnavailable,
        "RECOVERY_NEEDED",
        "a writer crashed and left a journal, which only somebody who may write can roll back: "
        "let the application open the database once, or let the agent write there",
    ),
    sqlite3.SQLITE_NOTADB: Rule(
        DataError,
        "NOT_A_DATABASE",
        "it is no SQLite database, or encrypted as a whole",
    ),
    sqlite3.SQLITE_CORRUPT: Rule(
        DataError,
        "SOURCE_CORRUPT",
        "recover it with the command .recover of the sqlite3 shell, or restore a backup",
    ),
    sqlite3.SQLITE_IOERR: Rule(IOFailure, "IO_ERROR", "check the disk and the system's log"),
    sqlite3.SQLITE_FULL: Rule(
        IOFailure,
        "DISK_FULL",
        "give the staging area room for a copy of the largest database beside the artifacts",
    ),
    sqlite3.SQLITE_TOOBIG: Rule(DataError, "DATA_INVALID", "it exceeds what SQLite can hold"),
}


def primary_code(error: sqlite3.Error) -> int:
    """Return the primary result code; 0 for an error that the library itself did not raise."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & _PRIMARY


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else's lock is in the way, and so may go away."""
    return primary_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def refusal(error: sqlite3.Error, name: str) -> BaqupError:
    """Return our error for one of SQLite's.

    Args:
        error: what it raised.
        name: the database, as text.
    """
    rule = RULES.get(primary_code(error))
    if rule is None:
        return InternalError(f"{name!r}: SQLite says {error}", code="SQLITE_ERROR")
    return rule.error(f"{name!r}: {error}; {rule.remedy}", code=rule.code)


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn what SQLite raises in the block into errors of ours.

    Args:
        name: the database, as text.

    Raises:
        BaqupError: SQLite raised something.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise refusal(error, name) from error
