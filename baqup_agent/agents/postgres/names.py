"""Names of artifacts, from which a restore learns the names of the databases again.

A database may be called nearly anything; the name of its artifact is a plain one. The manifest's
metadata is not relied on for this, since a secret that is the database's name too is redacted
there.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

#: The artifact with roles and tablespaces, before compression appends its suffix.
GLOBALS = "globals.sql"

#: The component of that artifact; with a space, so that it is seldom a database's name.
GLOBALS_COMPONENT = "cluster globals"

_DUMP = ".dump"
_OF_DATABASE = re.compile(rf"(.+){re.escape(_DUMP)}(?:\.[a-z0-9]+)*")
_OF_GLOBALS = re.compile(rf"{re.escape(GLOBALS)}(?:\.[a-z0-9]+)*")


def artifact_name(database: str) -> str:
    """Return the name of a database's artifact, without the suffix of its compression."""
    quoted = quote(database, safe="", encoding="utf-8", errors="surrogateescape")
    if quoted.startswith("."):
        quoted = f"%2E{quoted[1:]}"
    return quoted + _DUMP


def database_of(filename: str) -> str | None:
    """Return the database whose artifact has this full name; None if it is no database's."""
    match = _OF_DATABASE.fullmatch(filename)
    if match is None:
        return None
    return unquote(match[1], encoding="utf-8", errors="surrogateescape")


def holds_globals(filename: str) -> bool:
    """Whether an artifact is the one with roles and tablespaces."""
    return _OF_GLOBALS.fullmatch(filename) is not None


def identifier(name: str) -> str:
    """Return a name as SQL writes it, quoted."""
    return '"' + name.replace('"', '""') + '"'
