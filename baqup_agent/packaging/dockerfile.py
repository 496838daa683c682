"""The labels that a Dockerfile gives its image, by the rules of the builder.

What is followed: comments, line continuation, the ``escape`` directive, single and double quotes,
several pairs in one ``LABEL``, and stages: the image is the last one, and it inherits the labels
of a stage that it is built ``FROM``. Labels of a foreign base image are not in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from baqup_agent.errors import ConfigError

_DIRECTIVE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*", re.IGNORECASE)
_ANY_DIRECTIVE = re.compile(r"#\s*[a-z]+\s*=.*", re.IGNORECASE)
_FROM = re.compile(r"(?:--\S+\s+)*(?P<base>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*", re.IGNORECASE)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(?P<word>[A-Za-z_][A-Za-z0-9_]*)\1")


@frozen
class Instruction:
    """One instruction of a Dockerfile.

    Attributes:
        first: the number of its first line, from 1.
        last: the number of its last line.
        keyword: in capitals.
        rest: what follows, with continued lines joined.
    """

    first: int
    last: int
    keyword: str
    rest: str


def labels_in(text: str, *, name: str) -> dict[str, str]:
    """Return the labels of the image that a Dockerfile makes.

    Args:
        text: the Dockerfile.
        name: what errors call it.

    Raises:
        ConfigError: it has no stage, or a ``LABEL`` cannot be read or names a build variable.
    """
    escape = _escape_of(text)
    stages: dict[str, dict[str, str]] = {}
    labels: dict[str, str] | None = None
    for each in instructions_of(text):
        if each.keyword == "FROM":
            labels = _stage(each.rest, stages)
        elif each.keyword == "LABEL" and labels is not None:
            try:
                labels.update(_pairs(each.rest, escape))
            except ValueError as error:
                raise ConfigError(f"{name}:{each.first}: LABEL {error}") from error
    if labels is None:
        raise ConfigError(f"{name} has no FROM line; give a Dockerfile, or labels as JSON")
    return labels


def _stage(rest: str, stages: dict[str, dict[str, str]]) -> dict[str, str]:
    match = _FROM.fullmatch(rest)
    if match is None:
        return {}
    labels = dict(stages.get(match["base"].lower(), {}))
    stages[(match["name"] or str(len(stages))).lower()] = labels
    return labels


def _escape_of(text: str) -> str:
    """The escape character: directives stand before anything else, one a line."""
    for line in text.split("\n"):
        if match := _DIRECTIVE.fullmatch(line.strip()):
            return match[1]
        if not _ANY_DIRECTIVE.fullmatch(line.strip()):
            break
    return "\\"


def instructions_of(text: str) -> Iterator[Instruction]:
    """Yield the instructions of a Dockerfile in order."""
    escape = _escape_of(text)
    lines = iter(enumerate(text.split("\n"), 1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        whole, last = line, number
        while (stripped := whole.rstrip()).endswith(escape):
            last, following = next(_continuing(lines), (last, ""))
            whole = stripped[: -len(escape)] + following
        keyword, rest = (*whole.split(maxsplit=1), "")[:2]
        yield Instruction(number, last, keyword.upper(), rest.strip())
        if keyword.upper() in {"RUN", "COPY", "ADD"}:
            _skip_heredocs(rest, lines)


def _continuing(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The next lines, without comments and empty ones, which do not end an instruction."""
    return (
        (number, line)
        for number, line in lines
        if line.strip() and not line.lstrip().startswith("#")
    )


def _skip_heredocs(rest: str, lines: Iterator[tuple[int, str]]) -> None:
    for match in _HEREDOC.finditer(rest):
        for _, line in lines:
            if line.strip() == match["word"]:
                break


def _pairs(rest: str, escape: str) -> Iterator[tuple[str, str]]:
    words = list(_words(rest, escape))
    if words and "=" not in words[0]:  # the old form: LABEL name the rest is its value
        name, text = (*rest.split(maxsplit=1), "")[:2]
        yield _plain(name, escape), _plain(text.strip(), escape)
        return
    for word in words:
        if "=" not in word:
            raise ValueError(f"has {word!r}, which is no NAME=VALUE; quote the value")
        name, _, text = word.partition("=")
        yield _plain(name, escape), _plain(text, escape)


def _words(rest: str, escape: str) -> Iterator[str]:
    """Split at blanks outside quotes; quotes and escapes stay in, for `_plain` to undo."""
    word, quote, position = "", "", 0
    while position < len(rest):
        char = rest[position]
        if char == escape and quote != "'":
            word += rest[position : position + 2]
            position += 2
            continue
        if char.isspace() and not quote:
            if word:
                yield word
            word = ""
        else:
            quote = _quote_after(quote, char)
            word += char
        position += 1
    if quote:
        raise ValueError(f"has a {quote} without its end; close the quote")
    if word:
        yield word


def _quote_after(quote: str, char: str) -> str:
    if quote:
        return "" if char == quote else quote
    return char if char in "'\"" else ""


def _plain(word: str, escape: str) -> str:
    """Undo quotes and escapes as the builder does."""
    plain, quote, position = "", "", 0
    while position < len(word):
        char = word[position]
        if char == escape and quote != "'":
            following = word[position + 1 : position + 2]
            # Between double quotes only these lose the escape; outside, everything does.
            plain += following if not quote or following in {'"', "$", escape} else char + following
            position += 2
            continue
        if char == "$" and quote != "'":
            raise ValueError(
                "uses a build variable, whose value the file does not tell; build the image and "
                "check that, or write the value in full"
            )
        after = _quote_after(quote, char)
        if after == quote:
            plain += char
        quote = after
        position += 1
    return plain
