"""What each kind of variable is in JSON Schema, and the texts that it admits (Contract §2).

Patterns are bodies that a whole text must match. They use nothing in which ECMAScript, the dialect
of JSON Schema, and Python differ; `anchored` makes the schema's form of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baqup_agent.config.variables import Kind

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_IPV6 = r"[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[0-9A-Za-z._-]+)?"

#: A number of bytes with or without a unit; never so long that it is no number any more.
SIZE = r"[0-9]{1,18}(?:[KMGT]i?B?|B)?"

#: The body that the text of a kind must match.
PATTERNS: Mapping[Kind, str] = {
    Kind.URI: r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+",
    Kind.HOSTNAME: rf"(?:{_NAME}|{_IPV6})",
    Kind.SIZE: rf"(?:auto|{SIZE})",
    Kind.DURATION: r"(?:[0-9]{1,9}|(?:[0-9]{1,6}(?:ms|s|m|h|d)){1,5})",
    Kind.UUID: r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}

#: The rest of what a kind is.
FORMS: Mapping[Kind, Mapping[str, Any]] = {
    Kind.STRING: {"type": "string"},
    Kind.INT: {"type": "integer"},
    Kind.FLOAT: {"type": "number"},
    Kind.BOOL: {"type": "boolean"},
    Kind.ENUM: {"type": "string"},
    Kind.ARRAY: {"type": "array"},
    Kind.PATH: {"type": "string", "format": "path", "minLength": 1},
    Kind.URI: {"type": "string", "format": "uri"},
    Kind.HOSTNAME: {"type": "string", "format": "hostname"},
    Kind.SIZE: {"type": "string", "format": "size"},
    Kind.DURATION: {"type": "string", "format": "duration"},
    Kind.UUID: {"type": "string", "format": "uuid"},
    Kind.SECRET: {"type": "string", "writeOnly": True, "minLength": 1},
}

_BEGIN, _END = "^(?:", r")$(?!\n)"


def anchored(body: str) -> str:
    r"""Return the pattern that holds for a whole text, in every dialect.

    Python's ``$`` admits a line break behind it, hence the ``(?!\n)``.
    """
    return f"{_BEGIN}{body}{_END}"


def bare(pattern: str) -> str:
    """Return the body of a pattern that `anchored` made; any other pattern as it is."""
    if pattern.startswith(_BEGIN) and pattern.endswith(_END):
        return pattern[len(_BEGIN) : -len(_END)]
    return pattern
