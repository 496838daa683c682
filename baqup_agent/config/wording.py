"""The words in which an environment is judged: what was given, and what would be valid.

They are our own: what jsonschema says of a value repeats it, secrets included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baqup_agent.config.forms import bare

#: Longest part of a value or a list of words that a message shows, characters.
_SHOWN = 60

#: What the pattern of a format asks for.
_FORMATS = {
    "uuid": "expected a UUID such as 123e4567-e89b-12d3-a456-426614174000",
    "uri": "expected a URL such as redis://localhost:6379/0 or file:///var/lib/bus",
    "hostname": "expected a host name or address without a port, such as db.example.org",
    "size": "expected a size such as 512M or 2G",
    "duration": "expected a duration such as 90s or 1h30m",
}

_TYPES = {
    "boolean": "expected true or false",
    "integer": "expected a whole number such as 123",
    "number": "expected a number such as 3.14",
    "array": 'expected a,b or a|b or a JSON array such as ["a", "b"]',
    "object": "expected a JSON object",
    "string": "expected a text",
}


def shown(name: str, text: str, form: Mapping[str, Any]) -> str:
    """Return ``name=text`` for a message, shortened, and without the value where it is secret."""
    if form.get("writeOnly") or form.get("format") == "uri":
        return f"{name} (value not shown)"  # a URL may carry a password
    return f"{name}={shortened(text)}"


def shortened(text: str) -> str:
    """Return a text in quotes, its middle of a message at most; always printable."""
    if len(text) <= _SHOWN:
        return ascii_safe(repr(text))
    return f"{ascii_safe(repr(text[:_SHOWN] + '…'))} ({len(text)} characters)"


def ascii_safe(text: str) -> str:
    """Return the text with everything escaped that cannot be encoded."""
    return text.encode("utf-8", "backslashreplace").decode()


def missing(name: str, purpose: str, why: str = "", meant: str | None = None) -> str:
    """Say that a variable is not set.

    Args:
        name: the variable.
        purpose: what it is for.
        why: on what grounds it is required, where it is not always.
        meant: a name that is set and was probably meant to be this one.
    """
    reason = f", and {why}" if why else ""
    hint = f"; did you mean it by {ascii_safe(meant)}?" if meant else ""
    return f"{name} is not set{reason}; set it: {purpose}{hint}"


def expected(keyword: str, form: Mapping[str, Any]) -> str:
    """Say what the rule ``keyword`` of a property asks for; never anything of the value."""
    phrase = _PHRASES.get(keyword)
    if phrase is None or (keyword in {"minLength", "maxLength"} and "format" in form):
        return _of_format(form) or f"must keep the schema's rule {keyword!r}"
    return phrase(form)


def _of_format(form: Mapping[str, Any]) -> str:
    if form.get("format") == "path":
        return "must not be empty"
    return _FORMATS.get(str(form.get("format")), "")


def _pattern(form: Mapping[str, Any]) -> str:
    pattern = form.get("pattern", "")
    return _of_format(form) or f"must match {bare(str(pattern))}"


def _type(form: Mapping[str, Any]) -> str:
    kinds = form.get("type", "string")
    names = [kinds] if isinstance(kinds, str) else kinds
    return " or ".join(_TYPES.get(str(name), str(name)) for name in names)


def _words(form: Mapping[str, Any]) -> str:
    words = [_word(value) for value in form["enum"]]
    if form.get("x-unsupported"):
        return f"this version supports only {', '.join(words)}"
    return f"expected one of {', '.join(words)}"


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else ascii_safe(str(value))


def _min_length(form: Mapping[str, Any]) -> str:
    least = form["minLength"]
    return "must not be empty" if least == 1 else f"must have at least {least} characters"


_PHRASES = {
    "type": _type,
    "enum": _words,
    "const": lambda form: f"must be {_word(form['const'])}",
    "minimum": lambda form: f"must be at least {form['minimum']}",
    "maximum": lambda form: f"must be at most {form['maximum']}",
    "exclusiveMinimum": lambda form: f"must be more than {form['exclusiveMinimum']}",
    "exclusiveMaximum": lambda form: f"must be less than {form['exclusiveMaximum']}",
    "multipleOf": lambda form: f"must be a multiple of {form['multipleOf']}",
    "minLength": _min_length,
    "maxLength": lambda form: f"must have at most {form['maxLength']} characters",
    "minItems": lambda form: f"must have at least {form['minItems']} items",
    "maxItems": lambda form: f"must have at most {form['maxItems']} items",
    "uniqueItems": lambda _: "must not repeat an item",
    "pattern": _pattern,
}
