"""What stands in the boxes of an SVG picture, and how large that makes them."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from baqup_agent.lifecycle.diagrams.captions import (
    TIMES,
    deadline_lines,
    expected_text,
    policy_text,
    printable,
    short_name,
    trigger_text,
)
from baqup_agent.lifecycle.diagrams.fonts import text_width, wrapped
from baqup_agent.lifecycle.diagrams.nesting import Node, Picture
from baqup_agent.lifecycle.diagrams.overlay import Mark, Overlay
from baqup_agent.lifecycle.diagrams.strands import Strand, mark_of

#: Sizes of type, px.
TITLE, FACT, LABEL = 14.0, 11.0, 11.5

#: From one line to the next, px.
TITLE_STEP, FACT_STEP, LABEL_STEP = 19.0, 15.0, 15.0

#: From a box's border to what is in it, px.
PADDING = 12.0

#: Widest description, px.
_DESCRIPTION = 190.0


@frozen
class Size:
    """An extent, px."""

    along: float
    across: float

    @property
    def as_point(self) -> tuple[float, float]:
        """Along, across."""
        return self.along, self.across


@frozen
class Frame:
    """A box around others: where its inside begins (along, across), and its whole size."""

    inset: tuple[float, float]
    size: Size


@frozen
class Written:
    """One line in a box: its text, its kind (title, fact, soft, stay or edge) and mark."""

    text: str
    kind: str
    mark: Mark = Mark.UNTOUCHED


@frozen
class Measures:
    """The sizes of one picture's parts.

    Attributes:
        strands: the lines of the picture.
        drawn: the picture.
        run: what is laid over it.
    """

    strands: tuple[Strand, ...]
    drawn: Picture
    run: Overlay | None

    def written(self, node: Node) -> tuple[Written, ...]:
        """The lines in a box, or above what is in it."""
        state = node.state
        width = _DESCRIPTION * (1.6 if node.children else 1.0)
        lines = [Written(printable(short_name(state)), "title")]
        lines += [Written(t, "soft") for t in wrapped(printable(state.description), width, FACT)]
        limits = deadline_lines(state)
        if state.leaf is not None:  # what an expired deadline leads to is its phase's
            limits = limits[:1]
        elif node.children and limits:
            limits = (", ".join(limits),)
        others = (policy_text(state), expected_text(state))
        lines += [Written(t, "fact") for t in (*limits, *others) if t]
        for arrow in self.drawn.arrows:
            if arrow.stays and arrow.source == node.name:
                taken = arrow.taken(self.run)
                count = f" {TIMES}{taken}" if taken > 1 else ""
                text = f"↺ {trigger_text(arrow.edges[0])}{count}"
                lines.append(Written(text, "edge", mark_of(arrow, self.run)))
        stay = self.run.stay_text(node.name) if self.run else ""
        if stay:
            lines.append(Written(stay, "stay"))
        return tuple(lines)

    def leaf(self, node: Node) -> Size:
        """The size of a leaf's box."""
        width, height = self._text(self.written(node))
        rings = 6.0 if node.state.final else 0.0
        return Size(height + 2 * PADDING - 4 + rings, max(width, 90.0) + 2 * PADDING + rings)

    def frame(self, node: Node, inside: Size) -> Frame:
        """The box around an inside."""
        width, head = self._text(self.written(node))
        margin = PADDING + 6
        wide = max(inside.across + 2 * margin, width + 2 * PADDING)
        high = head + inside.along + PADDING + margin + 10
        return Frame((head + PADDING + 10, (wide - inside.across) / 2), Size(high, wide))

    def label(self, strand: Strand) -> Size:
        """The room of an arrow's label."""
        width = max(text_width(line, LABEL) for line in strand.lines) + 8
        return Size(LABEL_STEP * len(strand.lines) + 3, width)

    @staticmethod
    def _text(lines: Sequence[Written]) -> tuple[float, float]:
        width = max(
            text_width(line.text, TITLE, bold=True)
            if line.kind == "title"
            else text_width(line.text, FACT, bold=line.kind == "stay")
            for line in lines
        )
        return width, TITLE_STEP + FACT_STEP * (len(lines) - 1)
