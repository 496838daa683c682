"""Opening a database that others work with, without leaving anything behind in its directory.

A reader of a database in WAL mode takes part in its locking through the files ``-wal`` and
``-shm``, and makes them where they are missing. Made by an agent that runs as somebody else they
would lock the application out. So a database is opened

- for writing where the file and its directory may be written, so that SQLite clears up by itself
  what it made (the connection itself is forbidden to change anything);
- for reading otherwise;
- as one that does not change where it is in WAL mode, nobody has it open, and it must not be
  written: then it is compared before and after, because the promise is the agent's and not others'.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from attrs import frozen

from baqup_agent.agents.sqlite.names import shown
from baqup_agent.errors import DataError, SourceUnavailable

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100

#: Where the header tells the journal's kind, and the value for WAL.
_READ_VERSION, _WAL = 19, 2

#: Seconds that SQLite itself waits for a lock; the rest is waited for with an ear to the job.
BUSY_S = 0.2


class Mode(StrEnum):
    """How a database is opened."""

    WRITABLE = "mode=rw"
    READ_ONLY = "mode=ro&readonly_shm=1"
    UNCHANGING = "mode=ro&immutable=1"


@frozen
class Stamp:
    """What tells a file from itself after a change."""

    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int
    log_bytes: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Look at a database and its write-ahead log; OSError if the database is gone."""
        facts = path.stat()
        return cls(
            facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, _log_bytes(path)
        )


def has_magic(path: Path) -> bool:
    """Whether a file begins as a database does; OSError if it cannot be read.

    Not to be called while this process has the database open: closing any descriptor of a file
    gives up the locks on it.
    """
    return _header(path).startswith(_MAGIC)


@frozen
class Database:
    """A database to be copied.

    Attributes:
        path: the file, links resolved.
        name: its path relative to the source.
        size_bytes: of the file when it was found.
    """

    path: Path
    name: str
    size_bytes: int

    @property
    def text(self) -> str:
        """The name as it is told."""
        return shown(self.name)


def mode_of(database: Database) -> Mode:
    """Return how a database is to be opened.

    Raises:
        DataError: the file is no database.
        SourceUnavailable: it cannot be read.
    """
    try:
        header = _header(database.path)
    except OSError as error:
        raise SourceUnavailable(
            f"{database.text!r} cannot be read: {error.strerror}; let the agent read it"
        ) from error
    if header and not header.startswith(_MAGIC):
        raise DataError(
            f"{database.text!r} is no SQLite database, or one that is encrypted as a whole; "
            "leave it out by BAQUP_SOURCE_EXCLUDE, or back it up as a file",
            code="NOT_A_DATABASE",
        )
    if os.access(database.path, os.W_OK) and os.access(database.path.parent, os.W_OK):
        return Mode.WRITABLE
    in_wal_mode = len(header) > _READ_VERSION and header[_READ_VERSION] == _WAL
    return Mode.UNCHANGING if in_wal_mode and not _log_bytes(database.path) else Mode.READ_ONLY


@contextmanager
def opened(path: Path, mode: Mode) -> Iterator[sqlite3.Connection]:
    """Connect to a database, without changing it; SQLite's errors come as they are."""
    with closing(connect(path, mode)) as connection:
        connection.execute("pragma query_only = on")
        connection.execute("pragma trusted_schema = off")  # a database may be anybody's
        yield connection


def connect(path: Path, mode: Mode, timeout_s: float = BUSY_S) -> sqlite3.Connection:
    """Connect to a database that exists; transactions are the caller's."""
    uri = f"file:{quote(os.fsencode(path))}?{mode}"
    return sqlite3.connect(
        uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
    )


def _header(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.read(_HEADER_BYTES)


def _log_bytes(path: Path) -> int:
    try:
        return os.stat(f"{os.fspath(path)}-wal").st_size  # noqa: PTH116  the name may be any bytes
    except OSError:
        return 0
