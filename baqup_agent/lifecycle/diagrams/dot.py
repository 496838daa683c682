"""A lifecycle in Graphviz's language, and a PNG through its ``dot`` where that is installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.diagrams.captions import (
    TIMES,
    facts,
    printable,
    short_name,
    trigger_text,
)
from baqup_agent.lifecycle.diagrams.colours import EDGE, FILL, INK, STROKE
from baqup_agent.lifecycle.diagrams.nesting import Arrow, Node, Picture, picture
from baqup_agent.lifecycle.diagrams.overlay import Mark, Overlay

#: Longest time that ``dot`` is given, seconds.
_PATIENCE_S = 60.0

_FONT = "Helvetica"


class GraphvizError(Exception):
    """Graphviz is not there, or cannot draw the picture."""


def png(source: str) -> bytes:
    """Return a PNG of a picture in Graphviz's language.

    Raises:
        GraphvizError: there is no ``dot`` program, or it failed.
    """
    program = shutil.which("dot")
    if program is None:
        raise GraphvizError(
            "png is drawn by Graphviz, and there is no 'dot' program here; install graphviz, or "
            "take svg, mermaid, text or dot, which need nothing"
        )
    try:
        done = subprocess.run(  # noqa: S603  a program of the user's own path, without a shell
            [program, "-Tpng", "-Gdpi=120"],
            input=source.encode(),
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GraphvizError(f"{program!r} cannot draw it: {error}; take svg instead") from error
    if done.returncode != 0 or not done.stdout:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise GraphvizError(f"{program!r} failed: {said or done.returncode}; take svg instead")
    return done.stdout


def dot(lifecycle: Lifecycle, title: str, run: Overlay | None = None) -> str:
    """Return the picture in Graphviz's language.

    Args:
        lifecycle: what is drawn.
        title: stands above the picture.
        run: is laid over it.
    """
    return "\n".join(_Writer(picture(lifecycle, run), run).lines(title)) + "\n"


class _Writer:
    """Writes one picture."""

    def __init__(self, drawn: Picture, run: Overlay | None) -> None:
        self._drawn = drawn
        self._run = run
        self._boxes = {node.name: node for node in drawn.nodes()}

    def lines(self, title: str) -> Iterator[str]:
        above = [title] if self._run is None else [title, self._run.ending, *self._run.notes]
        yield "digraph lifecycle {"
        yield f'  graph [label={_label(above)}, labelloc=t, compound=true, fontname="{_FONT}",'
        yield "         fontsize=12, rankdir=TB, nodesep=0.5, ranksep=0.6, bgcolor=white];"
        yield f'  node [shape=box, style="rounded,filled", fontname="{_FONT}", fontsize=11];'
        yield f'  edge [fontname="{_FONT}", fontsize=10];'
        yield f'  "initial" [shape=circle, label="", width=0.18, fillcolor="{INK}"];'
        for root in self._drawn.roots:
            yield from self._node(root, "  ")
        yield f"  {self._ends('initial', self._drawn.initial)};"
        for arrow in self._drawn.arrows:
            yield f"  {self._arrow(arrow)}"
        yield "}"

    def _node(self, node: Node, indent: str) -> Iterator[str]:
        mark = self._run.state_mark(node.name) if self._run else Mark.UNTOUCHED
        lines = [short_name(node.state), *facts(node.state)]
        if not node.children:
            stay = self._run.stay_text(node.name) if self._run else ""
            label = _label([*lines, stay] if stay else lines)
            rings = ", peripheries=2" if node.state.final else ""
            style = f'fillcolor="{FILL[mark]}", color="{STROKE[mark]}"{rings}'
            yield f"{indent}{_quoted(node.name)} [label={label}, {style}];"
            return
        yield f"{indent}subgraph {_quoted(f'cluster_{node.name}')} {{"
        yield f'{indent}  graph [label={_label(lines)}, style="rounded", color="{STROKE[mark]}"];'
        marker = f"initial of {node.name}"
        if node.first is not None:
            yield (
                f'{indent}  {_quoted(marker)} [shape=circle, label="", width=0.12, '
                f'fillcolor="{INK}"];'
            )
        for child in node.children:
            yield from self._node(child, indent + "  ")
        if node.first is not None:
            yield f"{indent}  {self._ends(marker, node.first)};"
        yield f"{indent}}}"

    def _ends(self, source: str, target: str, **more: str) -> str:
        """Both ends of an edge; one at a box is given to a node in it and cut off at its border."""
        if self._is_box(source):
            more["ltail"] = f"cluster_{source}"
            source = list(self._boxes[source].leaves())[-1].name
        if self._is_box(target):
            more["lhead"] = f"cluster_{target}"
            target = f"initial of {target}" if self._boxes[target].first else ""
        text = ", ".join(f"{key}={_quoted(value)}" for key, value in more.items())
        return f"{_quoted(source)} -> {_quoted(target)}" + (f" [{text}]" if text else "")

    def _is_box(self, name: str) -> bool:
        return name in self._boxes and bool(self._boxes[name].children)

    def _arrow(self, arrow: Arrow) -> str:
        taken = arrow.taken(self._run)
        mark = Mark.FAILED if arrow.failing else Mark.VISITED if taken else Mark.UNTOUCHED
        label = trigger_text(arrow.edges[0])
        if arrow.failing and self._run is not None:
            label = f"{label}: {self._run.failure_text}".rstrip(": ")
        elif taken > 1:
            label = f"{label} {TIMES}{taken}"
        width = "1" if mark is Mark.UNTOUCHED else "2.5"
        colour = EDGE[mark] if self._run else INK
        look = {"label": label, "color": colour, "fontcolor": colour, "penwidth": width}
        return self._ends(arrow.source, arrow.target, **look) + ";"


def _label(lines: list[str]) -> str:
    return _quoted("\n".join(lines))


def _quoted(text: str) -> str:
    """A string of Graphviz's language."""
    shown = "\n".join(map(printable, text.split("\n")))
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
