"""The words in which an environment is judged: what was given, and what would be valid.

They are our own: what jsonschema says of a value repeats it, secrets included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baqup_agent.config.forms import bare

#: Longest part of a value or a list of words that a message shows, characters.
_SHOWN = 60

_EMPTY = "must not be empty; give it a value"

#: Least likeness of a word and the one that was meant, from 0 to 1.
_ALIKE = 0.7

#: What an example of a URL has behind its scheme.
_URL, _URLS = "//host.example.org", {"file": "///some/path", "redis": "//localhost:6379/0"}

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


def counted(number: float, what: str) -> str:
    """Return a number with what it counts, for example ``1 item``; alone if it counts nothing."""
    if not what:
        return str(number)
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def missing(
    name: str,
    form: Mapping[str, Any],
    why: str = "",
    meant: str | None = None,
    *,
    blank: bool = False,
) -> str:
    """Say that a variable is not set.

    Args:
        name: the variable.
        form: its schema, which says what it may be and what it is for.
        why: on what grounds it is required, where it is not always.
        meant: a name that is set and was probably meant to be this one.
        blank: whether it is there, but empty.
    """
    reason = f", and {why}" if why else ""
    hint = f"; did you mean it by {ascii_safe(meant)}?" if meant else ""
    fault = "is empty" if blank else "is not set"
    purpose = form.get("description")
    told = f" (description: {purpose})" if purpose else ""
    return f"{name} {fault}{reason}; set it{_aim(form)}{told}{hint}"


def _aim(form: Mapping[str, Any]) -> str:
    """What a variable is to be set to, where its kind says that much."""
    if form.get("writeOnly"):
        return ""
    if form.get("format") == "path":
        exists = form.get("x-exists")
        return f" to the path of a {exists}" if exists in {"file", "directory"} else " to a path"
    told = _words(form) if "enum" in form else _of_format(form) or _type(form)
    aim = told.removeprefix("expected ")
    return "" if aim in {told, "a text"} else f" to {aim}"


def expected(keyword: str, form: Mapping[str, Any], value: Any = None) -> str:
    """Say what the rule ``keyword`` of a property asks for; never anything of the value.

    Args:
        keyword: the rule that is broken.
        form: the property.
        value: what breaks it; an allowed word that resembles it is named.
    """
    if keyword == "enum":
        return f"{_words(form)}{_meant(form, value)}"
    phrase = _PHRASES.get(keyword)
    if phrase is None or (keyword in {"minLength", "maxLength"} and "format" in form):
        return _of_format(form) or f"must keep the schema's rule {keyword!r}"
    return phrase(form)


def _of_format(form: Mapping[str, Any]) -> str:
    if form.get("format") == "path":
        return _EMPTY
    if form.get("format") == "uri" and form.get("x-schemes"):
        urls = " or ".join(f"{scheme}:{_URLS.get(scheme, _URL)}" for scheme in form["x-schemes"])
        return f"expected a URL such as {urls}"
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


def _meant(form: Mapping[str, Any], value: Any) -> str:
    """A guess at the word that was meant; nothing of what is secret is guessed at."""
    if not isinstance(value, str) or form.get("writeOnly") or form.get("x-unsupported"):
        return ""
    from difflib import get_close_matches  # only mistakes need it

    words = {str(word).lower(): str(word) for word in form["enum"]}
    close = get_close_matches(value.lower(), words, n=1, cutoff=_ALIKE)
    return f"; did you mean {ascii_safe(words[close[0]])!r}?" if close else ""


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else ascii_safe(str(value))


def _min_length(form: Mapping[str, Any]) -> str:
    least = form["minLength"]
    return _EMPTY if least == 1 else f"must have at least {least} characters"


_PHRASES = {
    "type": _type,
    "const": lambda form: f"must be {_word(form['const'])}",
    "minimum": lambda form: f"must be at least {form['minimum']}",
    "maximum": lambda form: f"must be at most {form['maximum']}",
    "exclusiveMinimum": lambda form: f"must be more than {form['exclusiveMinimum']}",
    "exclusiveMaximum": lambda form: f"must be less than {form['exclusiveMaximum']}",
    "multipleOf": lambda form: f"must be a multiple of {form['multipleOf']}",
    "minLength": _min_length,
    "maxLength": lambda form: f"must have at most {counted(form['maxLength'], 'character')}",
    "minItems": lambda form: f"must have at least {counted(form['minItems'], 'item')}",
    "maxItems": lambda form: f"must have at most {counted(form['maxItems'], 'item')}",
    "uniqueItems": lambda _: "must not repeat an item",
    "pattern": _pattern,
}
