"""Patterns as in a ``.gitignore``, asked about one thing at a time.

git tells what a pattern says of a thing itself from what follows for all that is in it, and walks
from directory to directory. A pattern that is matched against whole paths at once mixes the two
up: ``dir/**`` would say something of ``dir``, which then is never entered for what ``!dir/keep``
takes back. So a pattern is asked about each thing by its own name only, and what follows for its
contents is left to those who ask.

In two points this goes by git's documentation and not by its code: ``?`` and ``[...]`` stand for
a character even where that has several bytes, and ``**`` is a plain ``*`` in ``a**``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

_is_plain = re.compile(r"[^*?\[\\]*").fullmatch
_Matches = Callable[[str], re.Match[str] | None]

_TOKEN = re.compile(
    r"""  \\(?P<literal>.)
        | (?P<inside>(?<![^/])\*\*+\Z)                 # dir/**
        | (?P<levels>(?<![^/])\*\*+/)                  # **/name, dir/**/name
        | (?P<stars>\*+)
        | (?P<any>\?)
        | \[(?P<negated>[!^]?+)(?P<set>(?>\[:\w+:\]|\\.|[^\\])+?)\]
        | (?P<broken>[\[\\])
        | (?P<plain>.)""",
    re.VERBOSE | re.DOTALL,
)
_SET_ITEM = re.compile(
    r"\[:(?P<named>\w+):\]|\\?(?P<low>(?<=\\).|[^\\])(?:-\\?(?P<high>(?<=\\).|[^\\]))?", re.DOTALL
)
_WILD = {"inside": ".+", "levels": "(?:.*/)?", "stars": "[^/]*", "any": "[^/]"}
_NAMED_SETS = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\ \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r"\ \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


class _Rule(NamedTuple):
    """What one pattern says.

    Attributes:
        glob: the pattern without its marks.
        regex: matches the whole path from the root, or the last name in it.
        picks: whether it picks; otherwise it takes back.
        directories: whether it is about directories only.
        by_name: whether it goes by the last name in a path.
    """

    glob: str
    regex: str
    picks: bool
    directories: bool
    by_name: bool


class Patterns:
    """A list of patterns, of which the last one that matches decides.

    Args:
        lines: the patterns; what a ``.gitignore`` takes for a comment is one here.

    Attributes:
        picks: whether there is a pattern that picks at all.

    Raises:
        ValueError: a pattern is malformed; the error's text is the pattern.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        rules = [rule for rule in map(_parse, lines) if rule is not None]
        self.picks = any(rule.picks for rule in rules)
        self._rules = [
            (_matcher(rule.regex), rule.picks, rule.directories, rule.by_name)
            for rule in reversed(rules)
        ]
        # Most things match no pattern at all, most patterns are a name or an ending, and to look
        # for those of them all takes less than one regular expression.
        names = {rule.glob: rule.regex for rule in rules if rule.by_name}
        self._equal = frozenset(glob for glob in names if _is_plain(glob))
        endings = {glob for glob in names if glob.startswith("*") and _is_plain(glob[1:])}
        self._endings = tuple(glob[1:] for glob in endings)
        self._names = _any_of(names[glob] for glob in names.keys() - self._equal - endings)
        self._paths = _any_of(rule.regex for rule in rules if not rule.by_name)

    def verdict(self, path: str, is_directory: bool) -> bool | None:  # noqa: FBT001  hot path
        """Return whether ``path``, itself, is picked or taken back; None if nothing is said."""
        name = path[path.rfind("/") + 1 :]
        if not (
            name in self._equal
            or name.endswith(self._endings)
            or (self._names is not None and self._names(name))
            or (self._paths is not None and self._paths(path))
        ):
            return None
        for matches, picks, directories, by_name in self._rules:
            if (is_directory or not directories) and matches(name if by_name else path):
                return picks
        return None


def _any_of(regexes: Iterable[str]) -> _Matches | None:
    joined = "|".join(regexes)
    return _matcher(joined) if joined else None


def _matcher(regex: str) -> _Matches:
    # A line break in a name is a character like any other.
    return re.compile(regex, re.DOTALL).fullmatch


def _parse(line: str) -> _Rule | None:
    """Return what a line says; None if it is empty, a comment, or can match nothing."""
    text = _without_final_spaces(line.rstrip("\r\n"))
    if not text or text.startswith("#"):
        return None
    picks = not text.startswith("!")
    glob = text.removeprefix("!")
    if not glob:
        raise ValueError(repr(line))
    directories = glob.endswith("/")
    glob = glob.removesuffix("/")
    by_name = "/" not in glob
    regex = _translate(glob.removeprefix("/"), line)
    return _Rule(glob, regex, picks, directories, by_name) if regex else None


def _without_final_spaces(line: str) -> str:
    """Cut off the spaces at the end, but not those that a backslash keeps."""
    kept = line.rstrip(" ")
    backslashes = len(kept) - len(kept.rstrip("\\"))
    return kept + " " if backslashes % 2 and kept != line else kept


def _translate(glob: str, line: str) -> str | None:
    """Return the regular expression of a pattern; None if it can match nothing."""
    parts: list[str] = []
    for token in _TOKEN.finditer(glob):
        kind, text = token.lastgroup, token.group()
        if kind == "set":
            parts.append(_translate_set(token["set"], negated=bool(token["negated"])))
        elif kind == "literal":
            parts.append(re.escape(token["literal"]))
        elif kind == "plain":
            parts.append(re.escape(text))
        elif text == "\\":
            raise ValueError(repr(line))
        elif text == "[":
            return None  # to git a bracket that is never closed fits no name
        else:
            parts.append(_WILD[str(kind)])
    return "".join(parts)


def _translate_set(items: str, *, negated: bool) -> str:
    """Return the regular expression of what stands between brackets; a slash never fits it."""
    parts: list[str] = []
    for item in _SET_ITEM.finditer(items):
        named, low, high = item["named"], item["low"], item["high"]
        if named is not None:
            if named not in _NAMED_SETS:
                return "(?!)"
            parts.append(_NAMED_SETS[named])
            continue
        parts.append(re.escape(low))
        if high is not None:
            # Of a range that runs backwards git takes the beginning, and its end for nothing.
            parts.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
    return f"(?!/)[{'^' if negated else ''}{''.join(parts)}]"
