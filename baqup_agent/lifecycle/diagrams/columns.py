"""Text by the columns that a terminal takes for it, which are not its characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator


def columns(text: str) -> int:
    """How many columns a terminal takes for a line."""
    return sum(map(_width, text))


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def padded(text: str, width: int) -> str:
    """The text with spaces up to a width."""
    return text + " " * max(width - columns(text), 0)


def cut(text: str, width: int) -> str:
    """The text, its end left out where it is too long."""
    if columns(text) <= width:
        return text
    while columns(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def wrapped(text: str, width: int, indent: str = "") -> Iterator[str]:
    """Break a text between words, or within one that is too long by itself.

    Args:
        text: one line.
        width: the most columns of a line.
        indent: stands before every line but the first.
    """
    line = ""
    for word in _words(text, width - len(indent)):
        joined = f"{line} {word}" if line.strip() else line + word
        if columns(joined) > width and line.strip():
            yield line
            line = indent + word
        else:
            line = joined
    if line.strip():
        yield line


def _words(text: str, width: int) -> Iterator[str]:
    blanks = len(text) - len(text.lstrip(" "))
    for i, word in enumerate(text.split()):
        rest = " " * blanks + word if i == 0 else word
        while columns(rest) > width:
            piece = rest
            while columns(piece) > width:
                piece = piece[:-1]
            yield piece
            rest = rest[len(piece) :]
        yield rest
