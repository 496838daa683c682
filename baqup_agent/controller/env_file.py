r"""Files of ``KEY=VALUE`` lines, as people keep them beside a job.

The grammar, which is what shells and compose files have in common:

* an empty line and one that begins with ``#`` say nothing;
* ``export`` before the key is allowed;
* a bare value ends at the line's end or before a ``#`` that follows a blank;
* ``'…'`` is taken literally; in ``"…"`` the escapes ``\\ \" \n \r \t \$`` are known;
* a key stands once.

Nothing is expanded: ``$HOME`` stays as it is.
"""

from __future__ import annotations

import re
from pathlib import Path

from baqup_agent.errors import ConfigError

_LINE = re.compile(r"(?:export\s+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)", re.DOTALL)
_SINGLE = re.compile(r"'(?P<text>[^']*)'\s*(?:#.*)?")
_DOUBLE = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$"}


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a file.

    Raises:
        ConfigError: the file cannot be read, or lines of it are malformed; it names each with
            its number, and shows no value, because a value may be a secret.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(
            f"the env file {path} cannot be read: {error.strerror}; check the path and its mode"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from error
    return parse_env(text, name=str(path))


def parse_env(text: str, *, name: str) -> dict[str, str]:
    """Return the variables of a text; ``name`` stands for it in errors."""
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            pair = _parse_line(line.strip())
        except _Malformed as error:
            problems.append(f"{name}:{number}: {error}")
            continue
        if pair is None:
            continue
        key, value = pair
        if key in lines:
            problems.append(f"{name}:{number}: {key} is in line {lines[key]} too; keep one of them")
        values[key], lines[key] = value, number
    if problems:
        raise ConfigError(*problems)
    return values


def parse_pair(text: str) -> tuple[str, str]:
    """Split ``KEY=VALUE`` as it is given on a command line; the value is taken as it stands.

    Raises:
        ConfigError: there is no ``=``, or the key is no name of a variable.
    """
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
        raise ConfigError(f"--env {key!r}: expected KEY=VALUE, KEY of letters, digits and _")
    return key, value


class _Malformed(ValueError):
    """A line that the grammar does not know."""


def _parse_line(line: str) -> tuple[str, str] | None:
    if not line or line.startswith("#"):
        return None
    match = _LINE.fullmatch(line)
    if match is None:
        raise _Malformed("expected KEY=VALUE, KEY of letters, digits and _, or a # comment")
    value = _value(match["value"])
    if "\0" in value:
        raise _Malformed(f"the value of {match['key']} holds a NUL byte, which no variable can")
    return match["key"], value


def _value(text: str) -> str:
    if not text.startswith(("'", '"')):
        return _COMMENT.sub("", text)
    match = (_SINGLE if text[0] == "'" else _DOUBLE).fullmatch(text)
    if match is None:
        raise _Malformed(f"the value is not closed by {text[0]} at its end; quote it as a whole")
    return match["text"] if text[0] == "'" else _ESCAPE.sub(_unescape, match["text"])


def _unescape(match: re.Match[str]) -> str:
    try:
        return _ESCAPES[match[1]]
    except KeyError:
        raise _Malformed(rf"the escape \{match[1]} is unknown; a backslash is written \\") from None
