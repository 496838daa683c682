"""What an empty text stands for: mostly that a variable is not set (Contract §2).

A template that nobody filled in holds empty texts. Only a text that may be empty takes one for its
value; for all else the default applies, and what is required is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from baqup_agent.config.coercion import types_of

#: Formats that no empty text has, whatever else a schema says.
_NEVER_EMPTY = frozenset({"path", "uri", "hostname", "size", "duration", "uuid"})


def without_blanks(
    environ: Mapping[str, str], form_of: Callable[[str], Mapping[str, Any] | None]
) -> dict[str, str]:
    """Return what is really set.

    Args:
        environ: the variables by name.
        form_of: gives the schema of a variable, None for what nothing declares.
    """
    return {name: text for name, text in environ.items() if text or _is_value(form_of(name))}


def admits_empty(form: Mapping[str, Any]) -> bool:
    """Whether an empty text is a value of a variable, given the variable's schema."""
    if form.get("writeOnly") or form.get("format") in _NEVER_EMPTY:
        return False
    if "string" not in types_of(form) or form.get("minLength", 0) > 0:
        return False
    return "" in form.get("enum", ("",)) and _matches(form.get("pattern", ""))


def _is_value(form: Mapping[str, Any] | None) -> bool:
    return form is None or admits_empty(form)


def _matches(pattern: str) -> bool:
    try:
        return re.search(pattern, "") is not None
    except re.error:
        return True  # whoever reads the schema is told of it
