"""What is restored of roles and tablespaces: only what the target lacks."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

_ROLE = re.compile(rb'(CREATE ROLE|ALTER ROLE) ((?:"(?:[^"]|"")+")|[^ ;"]+)(;| WITH )')


def missing_globals(sql: bytes, roles: AbstractSet[str]) -> bytes:
    """Leave out what would change roles that are there already.

    The target's own roles, the one that restores among them, keep their passwords and rights. What
    pg_dumpall writes of a role's making stands on lines of its own.

    Args:
        sql: what pg_dumpall wrote.
        roles: the target's roles, as SQL writes their names.
    """
    kept = [line for line in sql.splitlines(keepends=True) if not _is_about(line, roles)]
    return b"".join(kept)


def _is_about(line: bytes, roles: AbstractSet[str]) -> bool:
    match = _ROLE.match(line)
    return match is not None and match[2].decode("utf-8", "surrogateescape") in roles
