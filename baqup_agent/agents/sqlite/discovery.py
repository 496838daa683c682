"""Finding the databases of a source."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from baqup_agent.agents.sqlite.access import Database, has_magic
from baqup_agent.agents.sqlite.names import COMPANIONS, chosen, matches, shown
from baqup_agent.agents.sqlite.settings import Source
from baqup_agent.errors import ConfigError, DataError, LimitExceeded, SourceUnavailable

if TYPE_CHECKING:
    from baqup_agent import Job

#: Names that promise a database: one that holds none is told as a failure, not passed over.
_SUFFIXES = (".sqlite", ".sqlite3", ".db", ".db3")


@frozen
class Found:
    """The databases of a source.

    Attributes:
        databases: in the order of their names.
        one_file: whether the source is itself a database, and no directory.
    """

    databases: tuple[Database, ...]
    one_file: bool


def find(job: Job[Any], source: Source) -> Found:
    """Return the databases of ``BAQUP_SOURCE_PATH``.

    In a directory those are the files that begin as a database does, and those whose names say
    so. Links are not followed: what they lead to inside the directory is found by its own name.

    Raises:
        SourceUnavailable: it does not exist or cannot be read.
        ConfigError: it is a directory without databases, or neither file nor directory.
        LimitExceeded: there are more, or deeper ones, than is allowed.
        DataError: there is a link, and links must not be.
    """
    try:
        path = source.path.resolve(strict=True)
        facts = path.stat()
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SourceUnavailable(
            f"BAQUP_SOURCE_PATH {str(source.path)!r} cannot be read: {reason}; "
            "name a database, or a directory of databases, that the agent may read",
            suggestions=["check that the volume is mounted and the path is right"],
        ) from error
    if stat.S_ISREG(facts.st_mode):
        return Found((Database(path, path.name, facts.st_size),), one_file=True)
    if not stat.S_ISDIR(facts.st_mode):
        raise ConfigError(
            f"BAQUP_SOURCE_PATH {str(path)!r} is neither a file nor a directory; name a database"
        )
    found = sorted(_Search(job, source, path).run(), key=lambda database: database.name)
    if not found:
        raise ConfigError(
            f"BAQUP_SOURCE_PATH {str(path)!r} holds no database that is asked for; name another "
            "directory, or correct BAQUP_SOURCE_DATABASES and BAQUP_SOURCE_EXCLUDE"
        )
    return Found(tuple(found), one_file=False)


class _Search:
    def __init__(self, job: Job[Any], source: Source, root: Path) -> None:
        limits: Mapping[str, Any] = job.config
        self._job = job
        self._source = source
        self._root = root
        self._most_files: int = limits["BAQUP_SOURCE_MAX_FILES"]
        self._most_levels: int = limits["BAQUP_SOURCE_MAX_DEPTH"]
        self._links: str = limits["BAQUP_SOURCE_FOLLOW_SYMLINKS"]
        self._count = 0

    def run(self) -> Iterator[Database]:
        """Yield each database, directory by directory."""
        pending = [(self._root, "", 1)]
        while pending:
            directory, prefix, level = pending.pop()
            self._job.touch()
            for entry in self._entries(directory, prefix):
                name = prefix + entry.name
                if matches(name, self._source.exclude or ()):
                    continue
                if entry.is_symlink():
                    self._pass_over(entry, name)
                elif entry.is_dir(follow_symlinks=False):
                    self._require(self._most_levels, level, "MAX_DEPTH", name)
                    pending.append((Path(entry.path), f"{name}/", level + 1))
                elif entry.is_file(follow_symlinks=False) and self._is_database(entry, name):
                    self._count += 1
                    self._require(self._most_files, self._count, "MAX_FILES", name)
                    yield Database(Path(entry.path), name, entry.stat().st_size)

    def _entries(self, directory: Path, prefix: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as entries:
                yield from entries
        except OSError as error:
            if not prefix:
                raise SourceUnavailable(
                    f"BAQUP_SOURCE_PATH {str(directory)!r} cannot be read: {error.strerror}; "
                    "let the agent read it"
                ) from error
            with self._job.component(shown(prefix)):
                raise SourceUnavailable(
                    f"the directory {shown(prefix)!r} cannot be read: {error.strerror}; "
                    "let the agent read it, or leave it out by BAQUP_SOURCE_EXCLUDE"
                ) from error

    def _is_database(self, entry: os.DirEntry[str], name: str) -> bool:
        if not chosen(name, self._source.databases) or name.endswith(COMPANIONS):
            return False
        if name.lower().endswith(_SUFFIXES):
            return True
        try:
            return has_magic(Path(entry.path))
        except OSError as error:
            self._job.warn("PERMISSION_DENIED", message=str(error.strerror), path=shown(name))
            return False

    def _pass_over(self, entry: os.DirEntry[str], name: str) -> None:
        if self._links == "fail":
            raise DataError(
                f"{shown(name)!r} is a symbolic link, and BAQUP_SOURCE_FOLLOW_SYMLINKS is 'fail'; "
                "choose another policy, or exclude it",
                code="SYMLINK_FORBIDDEN",
            )
        inside = Path(os.path.realpath(entry.path)).is_relative_to(self._root)
        self._job.event("SYMLINK_SKIPPED" if inside else "SYMLINK_EXTERNAL", path=shown(name))

    @staticmethod
    def _require(limit: int, count: int, variable: str, name: str) -> None:
        if limit and count > limit:
            raise LimitExceeded(
                f"BAQUP_SOURCE_{variable}={limit} is exceeded at {shown(name)!r}; "
                "raise it, or leave more out"
            )
