"""A lifecycle as an SVG picture, laid out here: no program is needed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from attrs import frozen

from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.diagrams.captions import printable
from baqup_agent.lifecycle.diagrams.colours import (
    BORDER,
    DEPTHS,
    EDGE,
    FILL,
    INK,
    LINE,
    PLAIN,
    SOFT,
    STROKE,
)
from baqup_agent.lifecycle.diagrams.elements import (
    arrowhead,
    circle,
    line_of_text,
    number,
    opening,
    path,
    rect,
    xy,
)
from baqup_agent.lifecycle.diagrams.folding import Point
from baqup_agent.lifecycle.diagrams.fonts import text_width
from baqup_agent.lifecycle.diagrams.layout import MARKER, layout
from baqup_agent.lifecycle.diagrams.legend import ROW, drawn_legend, legend_rows
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
from baqup_agent.lifecycle.diagrams.scene import PlacedBox, PlacedLabel, Scene
from baqup_agent.lifecycle.diagrams.strands import Strand, strands

#: Around the picture, px.
_MARGIN = 24.0

_HEAD_STEP = 18.0

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
        rows = list(legend_rows(legend, width - 2 * _MARGIN))
        height = top + high + 26 + ROW * len(rows) + _MARGIN - 6
        yield from opening(width, height, title)
        yield line_of_text(_MARGIN, _MARGIN + 14, title, 17, INK, bold=True)
        for i, head in enumerate(heads):
            failed = i == 0 and self.run is not None and self.run.failing is not None
            colour = STROKE[Mark.FAILED] if failed else SOFT
            yield line_of_text(_MARGIN, _MARGIN + 34 + _HEAD_STEP * i, head, 12, colour)
        yield f'<g transform="translate({number((width - wide) / 2)} {number(top)})">'
        yield from self._scene()
        yield "</g>"
        yield from drawn_legend(rows, _MARGIN, top + high + 26)
        yield "</svg>"

    def _scene(self) -> Iterator[str]:
        for box in self.scene.boxes:
            yield from self._box(box)
        for marker in self.scene.markers:
            yield circle(*xy(marker), MARKER / 2, INK)
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
        (x, y), (w, h) = xy(box.at), xy(box.size)
        mark = self.run.state_mark(box.node.name) if self.run else Mark.UNTOUCHED
        depth = box.node.name.count(".")
        fill = DEPTHS[(depth + 1) % 2] if box.node.children else FILL[mark]
        if self.run is None and not box.node.children:
            fill = PLAIN
        stroke = STROKE[mark] if self.run else BORDER
        width = 2.4 if mark in (Mark.CURRENT, Mark.FAILED) else 1.4
        yield rect(x, y, w, h, 10, fill, stroke, width)
        if box.node.state.final:
            yield rect(x + 3.5, y + 3.5, w - 7, h - 7, 7, "none", stroke, 1)

    def _written(self, box: PlacedBox) -> Iterator[str]:
        x, y = xy(box.at)
        rings = 3.0 if box.node.state.final else 0.0
        at = y + PADDING + TITLE - 3 + rings
        for line in self.measures.written(box.node):
            yield self._line(x + PADDING + rings, at, line)
            at += FACT_STEP if line.kind != "title" else TITLE_STEP - 2
        if self.run is not None and self.run.current == box.node.name:
            width = xy(box.size)[0]
            words = "stands here"
            left = x + width - text_width(words, 10, bold=True) - 10
            yield line_of_text(left, y - 4, words, 10, STROKE[Mark.CURRENT], bold=True, halo=True)

    def _line(self, x: float, y: float, line: Written) -> str:
        if line.kind == "title":
            return line_of_text(x, y, line.text, TITLE, INK, bold=True)
        if line.kind == "stay":
            return line_of_text(x, y, line.text, FACT, INK, bold=True)
        if line.kind == "edge":
            return line_of_text(x, y, line.text, FACT, self._colour(line.mark))
        return line_of_text(x, y, line.text, FACT, SOFT if line.kind == "soft" else INK)

    # Arrows.

    def _colour(self, mark: Mark) -> str:
        return EDGE[mark] if self.run else LINE

    def _way(self, strand: Strand | None, way: tuple[Point, ...]) -> Iterator[str]:
        mark = strand.mark if strand else Mark.UNTOUCHED
        colour = INK if strand is None else self._colour(mark)
        width = 2.4 if mark is not Mark.UNTOUCHED else 1.4
        yield (f'<path d="{path(way)}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        yield arrowhead(way, colour)

    def _label(self, label: PlacedLabel) -> Iterator[str]:
        x, y = xy(label.middle)
        lines = label.strand.lines
        wide = max(text_width(line, LABEL) for line in lines) + 4
        high = LABEL_STEP * len(lines)
        ground = self._ground(label.strand)
        yield rect(x - wide / 2, y - high / 2, wide, high, 3, ground, "none", 0, opacity=0.92)
        bold = label.strand.mark is not Mark.UNTOUCHED
        for i, line in enumerate(lines):
            at = y - high / 2 + LABEL_STEP * (i + 1) - 4
            colour = self._colour(label.strand.mark)
            yield line_of_text(x, at, line, LABEL, colour, bold=bold, anchor="middle")

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
            yield Mark.VISITED, "visited, with the time spent"
            yield Mark.CURRENT, "stands here"
            yield Mark.FAILED, "where it failed"
