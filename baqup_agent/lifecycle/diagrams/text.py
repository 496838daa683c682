"""A lifecycle as text for a terminal: nested boxes, each with the edges that leave it."""

from __future__ import annotations

from collections.abc import Iterator

from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.diagrams.captions import (
    TIMES,
    facts,
    printable,
    short_name,
    trigger_text,
)
from baqup_agent.lifecycle.diagrams.columns import columns, cut, padded, wrapped
from baqup_agent.lifecycle.diagrams.nesting import Arrow, Node, Picture, picture
from baqup_agent.lifecycle.diagrams.overlay import Mark, Overlay

#: Width of the text, columns.
WIDTH = 80

#: The least room inside a box; deeper nesting widens the picture.
_LEAST = 30

_SIGNS = {Mark.UNTOUCHED: "", Mark.VISITED: "✓ ", Mark.CURRENT: "▶ ", Mark.FAILED: "✗ "}
_COLOURS = {Mark.UNTOUCHED: "", Mark.VISITED: "32", Mark.CURRENT: "1;33", Mark.FAILED: "1;31"}


def text(
    lifecycle: Lifecycle, title: str, run: Overlay | None = None, *, colour: bool = False
) -> str:
    """Return the picture as lines of text.

    Args:
        lifecycle: what is drawn.
        title: stands above the picture.
        run: is laid over it.
        colour: whether a run is also painted with a terminal's colours.
    """
    drawn = picture(lifecycle, run)
    return "\n".join(_Writer(drawn, run, colour=colour).lines(title)) + "\n"


class _Writer:
    """Writes one picture."""

    def __init__(self, drawn: Picture, run: Overlay | None, *, colour: bool) -> None:
        self._drawn = drawn
        self._run = run
        self._colour = colour
        self._arrows: dict[str, list[Arrow]] = {}
        for arrow in drawn.arrows:
            self._arrows.setdefault(arrow.source, []).append(arrow)

    def lines(self, title: str) -> Iterator[str]:
        yield from wrapped(printable(title), WIDTH)
        if self._run is not None:
            for line in ("run: " + self._run.ending, *self._run.notes):
                yield from wrapped(line, WIDTH)
        yield ""
        yield f"● ──▶ {self._drawn.initial}"
        for root in self._drawn.roots:
            yield from self._box(root, WIDTH, root.name)
        yield from self._legend()

    def _legend(self) -> Iterator[str]:
        yield "● entered first  ◎ final  [name] guard  ↺ stays  edges of a box leave all inside"
        if self._run is not None:
            yield "✓ visited or taken   ▶ stands here   ✗ where it failed"

    def _box(self, node: Node, width: int, title: str) -> Iterator[str]:
        mark = self._run.state_mark(node.name) if self._run else Mark.UNTOUCHED
        stay = self._run.stay_text(node.name) if self._run else ""
        room = max(width - 4, _LEAST)
        sign = _SIGNS[mark] + ("◎ " if node.state.final else "")
        yield self._paint(
            _border("╭", f" {sign}{title} ", stay and f" {stay} ", "╮", room + 4), mark
        )
        for line in self._inside(node, room):
            yield f"│ {line} │"
        yield f"╰{'─' * (room + 2)}╯"

    def _inside(self, node: Node, room: int) -> Iterator[str]:
        for fact in facts(node.state):
            for line in wrapped(fact, room, "  "):
                yield padded(line, room)
        for arrow in self._arrows.get(node.name, ()):
            yield from self._edge(arrow, room)
        for child in node.children:
            first = "● " if child.name == node.first else ""
            yield from self._box(child, room, first + short_name(child.state))

    def _edge(self, arrow: Arrow, room: int) -> Iterator[str]:
        taken = arrow.taken(self._run)
        mark = Mark.FAILED if arrow.failing else Mark.VISITED if taken else Mark.UNTOUCHED
        head = f"{trigger_text(arrow.edges[0])} "
        tail = "↺" if arrow.stays else f"──▶ {self._target(arrow)}"
        if taken > 1:
            tail += f" {TIMES}{taken}"
        if arrow.failing and self._run is not None and self._run.failure_text:
            tail += f"  {self._run.failure_text}"
        sign = _SIGNS[mark] or "  "
        for line in wrapped(sign + head + tail, room, "      "):
            yield self._paint(padded(line, room), mark)

    def _target(self, arrow: Arrow) -> str:
        """A target's name, without what both ends lie in."""
        source, target = arrow.source.split("."), arrow.target.split(".")
        while len(source) > 1 and len(target) > 1 and source[0] == target[0]:
            del source[0], target[0]
        return ".".join(target)

    def _paint(self, line: str, mark: Mark) -> str:
        code = _COLOURS[mark]
        return f"\x1b[{code}m{line}\x1b[0m" if self._colour and code else line


def _border(left: str, title: str, note: str, right: str, width: int) -> str:
    title = cut(title, width - 4 - columns(note))
    line = "─" * max(width - 3 - columns(title) - columns(note), 1)
    return f"{left}─{title}{line}{note}{right}"
