"""A lifecycle as an SVG picture, laid out here: no program is needed."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import pairwise, takewhile

from attrs import frozen

from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.diagrams.captions import printable
from baqup_agent.lifecycle.diagrams.colours import (
    DEPTHS,
    EDGE,
    FILL,
    FONTS,
    BORDER,
    INK,
    LINE,
    PAPER,
    PLAIN,
    SOFT,
    STROKE,
)
from baqup_agent.lifecycle.diagrams.folding import Point
from baqup_agent.lifecycle.diagrams.fonts import text_width
from baqup_agent.lifecycle.diagrams.layout import MARKER, PlacedBox, PlacedLabel, Scene, layout
from baqup_agent.lifecycle.diagrams.measures import (
    FACT,
    FACT_STEP,
    LABEL,
    LABEL_STEP,
    PADDING,
    TITLE,
    TITLE_STEP,
    Measures,
    Written,
)
from baqup_agent.lifecycle.diagrams.nesting import picture
from baqup_agent.lifecycle.diagrams.overlay import Mark, Overlay
from baqup_agent.lifecycle.diagrams.strands import Strand, strands

#: Around the picture, px.
_MARGIN = 24.0

_HEAD_STEP = 18.0

#: What is straight for the eye, px.
_STRAIGHT = 0.05

#: Radius of a line's corners, px.
_ROUND = 8.0


#: Most boxes that are laid out; more could neither be read nor laid out in a time to wait for.
MOST_BOXES = 250


class TooLargeError(ValueError):
    """A lifecycle has more states than can be laid out."""


def svg(lifecycle: Lifecycle, title: str, run: Overlay | None = None) -> str:
    """Return the picture as an SVG document.

    Args:
        lifecycle: what is drawn.
        title: stands above the picture.
        run: is laid over it.

    Raises:
        TooLargeError: there are more states than can be laid out.
    """
    if len(lifecycle.names) > MOST_BOXES:
        raise TooLargeError(
            f"{len(lifecycle.names)} states are more than an SVG picture can show, which is "
            f"{MOST_BOXES}; take text, mermaid or dot"
        )
    drawn = picture(lifecycle, run)
    lines = strands(drawn, run)
    measures = Measures(lines, drawn, run)
    scene = layout(drawn, lines, measures)
    return "\n".join(_Drawing(scene, measures, run).document(printable(title))) + "\n"


@frozen
class _Drawing:
    """Draws one scene."""

    scene: Scene
    measures: Measures
    run: Overlay | None

    def document(self, title: str) -> Iterator[str]:
        heads = [] if self.run is None else [self.run.ending, *self.run.notes]
        legend = list(self._legend())
        top = _MARGIN + 26 + _HEAD_STEP * len(heads)
        high, wide = self.scene.size
        texts = [text_width(title, 17, bold=True), *(text_width(head, 12) for head in heads)]
        width = max(wide, *texts, 420.0) + 2 * _MARGIN
        rows = list(_legend_rows(legend, width - 2 * _MARGIN))
        height = top + high + 26 + 22 * len(rows) + _MARGIN - 6
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}" '
            f'viewBox="0 0 {_n(width)} {_n(height)}" role="img" font-family="{FONTS}">'
        )
        yield f"<title>{escape(title)}</title>"
        yield f'<rect width="100%" height="100%" fill="{PAPER}"/>'
        yield _text(_MARGIN, _MARGIN + 14, title, 17, INK, bold=True)
        for i, head in enumerate(heads):
            failed = i == 0 and self.run is not None and self.run.failing is not None
            colour = STROKE[Mark.FAILED] if failed else SOFT
            yield _text(_MARGIN, _MARGIN + 34 + _HEAD_STEP * i, head, 12, colour)
        yield f'<g transform="translate({_n((width - wide) / 2)} {_n(top)})">'
        yield from self._scene()
        yield "</g>"
        yield from _drawn_legend(rows, top + high + 26)
        yield "</svg>"

    def _scene(self) -> Iterator[str]:
        for box in self.scene.boxes:
            yield from self._box(box)
        for marker in self.scene.markers:
            x, y = _xy(marker)
            yield f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(MARKER / 2)}" fill="{INK}"/>'
        marks = list(Mark)
        ways = sorted(
            self.scene.ways, key=lambda row: marks.index(row[0].mark) if row[0] else len(marks)
        )
        for strand, way in ways:
            yield from self._way(strand, way)
        for box in self.scene.boxes:
            yield from self._written(box)
        for label in self.scene.labels:
            yield from self._label(label)

    # Boxes.

    def _box(self, box: PlacedBox) -> Iterator[str]:
        (x, y), (w, h) = _xy(box.at), _xy(box.size)
        mark = self.run.state_mark(box.node.name) if self.run else Mark.UNTOUCHED
        depth = box.node.name.count(".")
        fill = DEPTHS[(depth + 1) % 2] if box.node.children else FILL[mark]
        if self.run is None and not box.node.children:
            fill = PLAIN
        stroke = STROKE[mark] if self.run else BORDER
        width = 2.4 if mark in (Mark.CURRENT, Mark.FAILED) else 1.4
        yield _rect(x, y, w, h, 10, fill, stroke, width)
        if box.node.state.final:
            yield _rect(x + 3.5, y + 3.5, w - 7, h - 7, 7, "none", stroke, 1)

    def _written(self, box: PlacedBox) -> Iterator[str]:
        x, y = _xy(box.at)
        rings = 3.0 if box.node.state.final else 0.0
        at = y + PADDING + TITLE - 3 + rings
        for line in self.measures.written(box.node):
            yield self._line(x + PADDING + rings, at, line)
            at += FACT_STEP if line.kind != "title" else TITLE_STEP - 2
        if self.run is not None and self.run.current == box.node.name:
            width = _xy(box.size)[0]
            words = "stands here"
            left = x + width - text_width(words, 10, bold=True) - 10
            yield _text(left, y - 4, words, 10, STROKE[Mark.CURRENT], bold=True, halo=True)

    def _line(self, x: float, y: float, line: Written) -> str:
        if line.kind == "title":
            return _text(x, y, line.text, TITLE, INK, bold=True)
        if line.kind == "stay":
            return _text(x, y, line.text, FACT, INK, bold=True)
        if line.kind == "edge":
            return _text(x, y, line.text, FACT, self._colour(line.mark))
        return _text(x, y, line.text, FACT, SOFT if line.kind == "soft" else INK)

    # Arrows.

    def _colour(self, mark: Mark) -> str:
        return EDGE[mark] if self.run else LINE

    def _way(self, strand: Strand | None, way: tuple[Point, ...]) -> Iterator[str]:
        mark = strand.mark if strand else Mark.UNTOUCHED
        colour = INK if strand is None else self._colour(mark)
        width = 2.4 if mark is not Mark.UNTOUCHED else 1.4
        yield (
            f'<path d="{self._path(way)}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        )
        yield _arrowhead(way, colour)

    def _path(self, way: tuple[Point, ...]) -> str:
        """A line through the points: straight, bent where it changes its place across."""
        points = [way[0], *(after for before, after in pairwise(way) if before != after)]
        parts = ["M" + _pair(_xy(points[0]))]
        for i, (before, after) in enumerate(pairwise(points), 1):
            if before[0] != after[0] and abs(before[1] - after[1]) > _STRAIGHT:
                half = (before[0] + after[0]) / 2
                bends = [(half, before[1]), (half, after[1]), after]
                parts.append("C" + " ".join(_pair(_xy(point)) for point in bends))
            elif i < len(points) - 1 and _is_corner(before, after, points[i + 1]):
                short, turned = _rounded(before, after, points[i + 1])
                parts.append(f"L{_pair(_xy(short))}Q{_pair(_xy(after))} ")
                parts.append(_pair(_xy(turned)))
            else:
                parts.append("L" + _pair(_xy(after)))
        return "".join(parts)

    def _label(self, label: PlacedLabel) -> Iterator[str]:
        x, y = _xy(label.middle)
        lines = label.strand.lines
        wide = max(text_width(line, LABEL) for line in lines) + 4
        high = LABEL_STEP * len(lines)
        ground = self._ground(label.strand)
        yield _rect(x - wide / 2, y - high / 2, wide, high, 3, ground, "none", 0, opacity=0.92)
        bold = label.strand.mark is not Mark.UNTOUCHED
        for i, line in enumerate(lines):
            at = y - high / 2 + LABEL_STEP * (i + 1) - 4
            colour = self._colour(label.strand.mark)
            yield _text(x, at, line, LABEL, colour, bold=bold, anchor="middle")

    def _ground(self, strand: Strand) -> str:
        """The colour behind a label: that of the innermost box around both ends."""
        source, target = strand.source.split("."), strand.target.split(".")
        both = zip(source[:-1], target[:-1], strict=False)
        return DEPTHS[len(list(takewhile(lambda pair: pair[0] == pair[1], both))) % 2]

    # Legend.

    def _legend(self) -> Iterator[tuple[str, str]]:
        yield "initial", "entered first"
        yield "final", "final"
        if any(node.children for node in self.measures.drawn.roots):
            yield "box", "refined state; an arrow from its border leaves from each leaf inside"
        if any(edge.guard for arrow in self.measures.drawn.arrows for edge in arrow.edges):
            yield "", "[name] guard"
        if any(arrow.stays for arrow in self.measures.drawn.arrows):
            yield "", "↺ stays"
        if self.run is not None:
            for mark, words in (
                (Mark.VISITED, "visited, with the time spent"),
                (Mark.CURRENT, "stands here"),
                (Mark.FAILED, "where it failed"),
            ):
                yield mark, words


def _xy(point: Point) -> Point:
    """Along is down the page, across is to the right."""
    return point[1], point[0]


def _arrowhead(way: tuple[Point, ...], colour: str) -> str:
    """The tip at a way's end, which always arrives along."""
    tip = way[-1]
    before = next((point for point in reversed(way) if point[0] != tip[0]), tip)
    back = -9.0 if before[0] < tip[0] else 9.0
    corners = [tip, (tip[0] + back, tip[1] - 4.2), (tip[0] + back * 0.72, tip[1])]
    corners.append((tip[0] + back, tip[1] + 4.2))
    return f'<path d="M{"L".join(_pair(_xy(point)) for point in corners)}z" fill="{colour}"/>'


def _is_corner(before: Point, at: Point, after: Point) -> bool:
    """Whether a line turns by a right angle, as on its way to another column."""
    return (before[0] == at[0]) != (at[0] == after[0])


def _rounded(before: Point, at: Point, after: Point) -> tuple[Point, Point]:
    """The points at which a corner's curve begins and ends."""

    def towards(other: Point) -> Point:
        length = abs(other[0] - at[0]) + abs(other[1] - at[1])
        share = min(_ROUND / length, 0.5) if length else 0.0
        return at[0] + (other[0] - at[0]) * share, at[1] + (other[1] - at[1]) * share

    return towards(before), towards(after)


def _legend_rows(
    entries: list[tuple[str, str]], width: float
) -> Iterator[list[tuple[float, str, str]]]:
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


def _drawn_legend(rows: list[list[tuple[float, str, str]]], top: float) -> Iterator[str]:
    for i, row in enumerate(rows):
        y = top + 22 * i
        for offset, sign, words in row:
            x = _MARGIN + offset
            yield from _sign(sign, x, y)
            yield _text(x + (26 if sign else 0), y + 4, words, FACT, SOFT)


def _sign(sign: str, x: float, y: float) -> Iterator[str]:
    if sign == "initial":
        yield f'<circle cx="{_n(x + 10)}" cy="{_n(y)}" r="{_n(MARKER / 2)}" fill="{INK}"/>'
    elif sign == "final":
        yield _rect(x, y - 7, 20, 14, 5, PAPER, BORDER, 1.4)
        yield _rect(x + 2.5, y - 4.5, 15, 9, 3, "none", BORDER, 1)
    elif sign == "box":
        yield _rect(x, y - 7, 20, 14, 5, DEPTHS[1], BORDER, 1.4)
        yield _rect(x + 4, y - 1, 12, 6, 2, PLAIN, BORDER, 1)
    elif sign:
        mark = Mark(sign)
        yield _rect(x, y - 7, 20, 14, 5, FILL[mark], STROKE[mark], 1.8)


def _rect(  # noqa: PLR0913  an SVG element's attributes
    x: float,
    y: float,
    w: float,
    h: float,
    r: float,
    fill: str,
    stroke: str,
    width: float,
    *,
    opacity: float = 1.0,
) -> str:
    more = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    return (
        f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" rx="{_n(r)}" '
        f'fill="{fill}"{more} stroke="{stroke}" stroke-width="{width:g}"/>'
    )


def _text(  # noqa: PLR0913  an SVG element's attributes
    x: float,
    y: float,
    words: str,
    size: float,
    colour: str,
    *,
    bold: bool = False,
    anchor: str = "start",
    halo: bool = False,
) -> str:
    weight = ' font-weight="600"' if bold else ""
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    around = f' stroke="{PAPER}" stroke-width="3" paint-order="stroke"' if halo else ""
    return (
        f'<text x="{_n(x)}" y="{_n(y)}" font-size="{size:g}" fill="{colour}"{weight}{where}'
        f"{around}>{escape(words)}</text>"
    )


def _n(value: float) -> str:
    """A number as short as can be, the same on every machine."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _pair(point: Point) -> str:
    return f"{_n(point[0])} {_n(point[1])}"
