"""The legend below a picture: what its signs mean."""

from __future__ import annotations

from collections.abc import Iterator

from baqup_agent.lifecycle.diagrams.colours import (
    BORDER,
    DEPTHS,
    FILL,
    INK,
    PAPER,
    PLAIN,
    SOFT,
    STROKE,
)
from baqup_agent.lifecycle.diagrams.elements import circle, line_of_text, rect
from baqup_agent.lifecycle.diagrams.fonts import text_width
from baqup_agent.lifecycle.diagrams.layout import MARKER
from baqup_agent.lifecycle.diagrams.measures import FACT
from baqup_agent.lifecycle.diagrams.overlay import Mark

#: From one row to the next, px.
ROW = 22.0


def legend_rows(
    entries: list[tuple[str, str]], width: float
) -> Iterator[list[tuple[float, str, str]]]:
    """The entries as rows no wider than ``width``, each with its place in the row, px."""
    row: list[tuple[float, str, str]] = []
    x = 0.0
    for sign, words in entries:
        wide = (26.0 if sign else 0.0) + text_width(words, FACT) + 22
        if row and x + wide > width:
            yield row
            row, x = [], 0.0
        row.append((x, sign, words))
        x += wide
    if row:
        yield row


def drawn_legend(
    rows: list[list[tuple[float, str, str]]], left: float, top: float
) -> Iterator[str]:
    """The rows as elements."""
    for i, row in enumerate(rows):
        y = top + ROW * i
        for offset, sign, words in row:
            x = left + offset
            yield from _sign(sign, x, y)
            yield line_of_text(x + (26 if sign else 0), y + 4, words, FACT, SOFT)


def _sign(sign: str, x: float, y: float) -> Iterator[str]:
    if sign == "initial":
        yield circle(x + 10, y, MARKER / 2, INK)
    elif sign == "final":
        yield rect(x, y - 7, 20, 14, 5, PAPER, BORDER, 1.4)
        yield rect(x + 2.5, y - 4.5, 15, 9, 3, "none", BORDER, 1)
    elif sign == "box":
        yield rect(x, y - 7, 20, 14, 5, DEPTHS[1], BORDER, 1.4)
        yield rect(x + 4, y - 1, 12, 6, 2, PLAIN, BORDER, 1)
    elif sign:
        mark = Mark(sign)
        yield rect(x, y - 7, 20, 14, 5, FILL[mark], STROKE[mark], 1.8)
