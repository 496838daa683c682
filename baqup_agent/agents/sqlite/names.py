"""Names of artifacts, from which a restore learns where its databases belong.

A database's path below the source may be nearly anything; its artifact's name is a plain one.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

_MARK = ".sqlite"
_OF_DATABASE = re.compile(rf"(.+){re.escape(_MARK)}(?:\.[a-z0-9]+)*")

#: The word for everything in ``BAQUP_SOURCE_DATABASES``.
ALL = ("all",)

#: Names that SQLite itself derives from a database's.
COMPANIONS = ("-journal", "-wal", "-shm")


def artifact_name(name: str) -> str:
    """Return the artifact's name of a database, without what compression appends.

    Args:
        name: the database's path relative to the source.
    """
    quoted = quote(name, safe="", encoding="utf-8", errors="surrogateescape")
    if quoted.startswith("."):
        quoted = f"%2E{quoted[1:]}"
    return quoted + _MARK


def database_of(filename: str) -> str | None:
    """Return the path of the database whose artifact has this full name.

    None if it is no database's, or leads elsewhere than below the target: names are foreign.
    """
    match = _OF_DATABASE.fullmatch(filename)
    if match is None:
        return None
    name = unquote(match[1], encoding="utf-8", errors="surrogateescape")
    parts = name.split("/")
    if "\0" in name or any(part in {"", ".", ".."} for part in parts):
        return None
    return name


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path, its last part, or a directory that it lies in fits one of the patterns."""
    path = PurePosixPath(name)
    places = {name, path.name, *(str(parent) for parent in path.parents if str(parent) != ".")}
    return any(fnmatchcase(place, pattern) for place in places for pattern in patterns)


def chosen(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a database is asked for."""
    return patterns == ALL or matches(name, patterns)


def shown(name: str) -> str:
    """Return a path as text that may be printed and sent; odd bytes are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
