"""What agent-sqlite reads from its environment beyond the contract's common variables."""

# ruff: noqa: RUF009  the calls make fields of attrs, they are no defaults

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from attrs import frozen

from baqup_agent import config

_ALL = ("all",)

# Both roles read these, and say the same of them.
_PATH_IS = "database or directory of databases to copy; published directory to restore"
_DATABASES_ARE = "patterns of databases in the directory or the backup, with * and ?, or all"


@frozen
class Source:
    """The database, or the directory of databases, that is copied.

    Attributes:
        path: where it is.
        databases: patterns of those to copy, relative to a directory; ``("all",)`` for all.
        exclude: patterns of those to leave out.
        lock_timeout: longest wait for others' locks.
        restarts: how often a copy may begin again, because others wrote, before they are kept out.
        check: how thoroughly a copy is checked.
    """

    path: Path = config.path(_PATH_IS)
    databases: tuple[str, ...] = config.array(_DATABASES_ARE, default=_ALL, min_items=1)
    exclude: tuple[str, ...] | None = config.array(
        "patterns of files and directories that are left out, with * and ?", default=None
    )
    lock_timeout: timedelta = config.duration("longest wait for others' locks", default="60s")
    restarts: int = config.integer(
        "how often a copy may begin again because others wrote, before they are made to wait",
        default=3,
        minimum=0,
    )
    check: str = config.enum(
        "how a copy is checked: full compares indexes with tables too",
        ("full", "quick"),
        default="full",
    )


@frozen
class Published:
    """The backup that is restored.

    Attributes:
        path: its directory.
        databases: patterns of the databases to restore; ``("all",)`` for all that it holds.
    """

    path: Path = config.path(_PATH_IS)
    databases: tuple[str, ...] = config.array(_DATABASES_ARE, default=_ALL, min_items=1)


@frozen
class Target:
    """Where databases are restored to.

    Attributes:
        path: a file for a database that was copied as one, else a directory.
        replace: whether databases that are there are replaced.
    """

    path: Path = config.path("file or directory to restore to")
    replace: bool = config.flag("replace databases that are there", default=False)


@frozen
class SnapshotSettings:
    """All that a snapshot reads."""

    source: Source = config.section(Source)


@frozen
class RestoreSettings:
    """All that a restore reads."""

    source: Published = config.section(Published)
    target: Target = config.section(Target)
