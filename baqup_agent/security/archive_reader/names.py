"""The rules for a member's name, and for the name that a hard link stands for."""

from __future__ import annotations

from baqup_agent.errors import DataError, PathEscape
from baqup_agent.security.member import printable


def checked(name: bytes) -> bytes:
    """Return a name with its ``.`` and empty components dropped.

    Raises:
        PathEscape: it is absolute, or it has a component ``..``.
        DataError: it is empty or has a zero byte.
    """
    if name.startswith(b"/") and name.strip(b"/"):
        raise _escape(name)
    short = name.rstrip(b"/")
    if not short or b"\0" in short:
        raise DataError(f"{printable(name)!r} is no name: it is empty or has a zero byte")
    if short.startswith(b"./"):
        short = short[2:]
    if b"/." not in short and b"//" not in short and short[0] not in b"./":
        return short
    parts = [part for part in short.split(b"/") if part not in {b"", b"."}]
    if b".." in parts:
        raise _escape(name)
    return b"/".join(parts)


def _escape(name: bytes) -> PathEscape:
    return PathEscape(
        f"member {printable(name)!r} leaves the target; names are relative and without '..'"
    )
