"""A lifecycle as a Mermaid state diagram, written from the declaration.

Mermaid cannot colour a single edge of a state diagram: a run is told at the edges' labels, and by
the colours of the states.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from baqup_agent.lifecycle.declaration import Lifecycle, State
from baqup_agent.lifecycle.diagrams.captions import (
    TIMES,
    expected_text,
    facts,
    printable,
    short_name,
    trigger_text,
)
from baqup_agent.lifecycle.diagrams.nesting import Arrow, Node, Picture, picture
from baqup_agent.lifecycle.diagrams.overlay import Mark, Overlay

#: What Mermaid reads as syntax, in or around a label.
_SPECIAL = re.compile(r"[^\w .,()\[\]/\u00d7✓✗→…-]|--+")

_CLASSES = {
    Mark.VISITED: "fill:#e3f4ec,stroke:#1f7a54,color:#12352a",
    Mark.CURRENT: "fill:#fff1d6,stroke:#b26a00,color:#3d2600,stroke-width:3px",
    Mark.FAILED: "fill:#fde7e7,stroke:#c02626,color:#5a1010,stroke-width:3px",
}


def mermaid(lifecycle: Lifecycle, title: str, run: Overlay | None = None) -> str:
    """Return the text of a ``stateDiagram-v2``.

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
        self._ids = _identifiers(drawn)

    def lines(self, title: str) -> Iterator[str]:
        told = [title] if self._run is None else [title, self._run.ending, *self._run.notes]
        yield from ("---", f"title: {_yaml('; '.join(told))}", "---", "stateDiagram-v2")
        for root in self._drawn.roots:
            yield from self._node(root, "    ")
        yield f"    [*] --> {self._ids[self._drawn.initial]}"
        for arrow in self._drawn.arrows:
            yield f"    {self._arrow(arrow)}"
        for root in self._drawn.roots:
            if root.state.final:
                yield f"    {self._ids[root.name]} --> [*]"
        if self._run is not None:
            yield from self._marks(self._run)

    def _node(self, node: Node, indent: str) -> Iterator[str]:
        name = self._ids[node.name]
        if not node.children:
            lines = [short_name(node.state), *facts(node.state)]
            if self._run is not None:
                lines += filter(None, [self._run.stay_text(node.name)])
            label = "<br/>".join(escaped(line) for line in lines)
            yield f"{indent}{name}: {label}"
            return
        yield f'{indent}state "{escaped(_heading(node.state))}" as {name} {{'
        if node.first is not None:
            yield f"{indent}    [*] --> {self._ids[node.first]}"
        for child in node.children:
            yield from self._node(child, indent + "    ")
        yield f"{indent}}}"

    def _arrow(self, arrow: Arrow) -> str:
        label = trigger_text(arrow.edges[0])
        taken = arrow.taken(self._run)
        if arrow.failing and self._run is not None:
            label = f"✗ {label}: {self._run.failure_text}".rstrip(": ")
        elif taken:
            label = f"✓ {label}" if taken == 1 else f"✓ {label} {TIMES}{taken}"
        source, target = self._ids[arrow.source], self._ids[arrow.target]
        return f"{source} --> {target}: {escaped(label)}"

    def _marks(self, run: Overlay) -> Iterator[str]:
        for mark, style in _CLASSES.items():
            yield f"    classDef {mark} {style}"
        for node in self._drawn.nodes():
            mark = run.state_mark(node.name)
            # Mermaid paints a class over all of a box, the states in it included.
            if mark is not Mark.UNTOUCHED and not node.children:
                yield f"    class {self._ids[node.name]} {mark}"


def _heading(state: State) -> str:
    """What stands above a box's inside: Mermaid leaves room for one line, and not a long one."""
    parts = [short_name(state)]
    if state.deadline is not None:
        parts.append(f"{state.deadline} else exit {int(state.deadline.exit_code)}")
    if state.on_signal is not None:
        parts.append(f"signal: {state.on_signal}")
    return ", ".join(part for part in (*parts, expected_text(state)) if part)


def escaped(text: str) -> str:
    """Write what Mermaid would read as syntax as its entity codes."""
    return _SPECIAL.sub(lambda match: "".join(f"#{ord(char)};" for char in match[0]), text)


def _yaml(text: str) -> str:
    return json.dumps(printable(text), ensure_ascii=False)


def _identifiers(drawn: Picture) -> dict[str, str]:
    """A distinct identifier for each box; a state's name may have a dot or be a keyword."""
    found: dict[str, str] = {}
    used: set[str] = set()
    for node in drawn.nodes():
        name = re.sub(r"[^0-9A-Za-z_]", "_", node.name)
        # Mermaid names its own markers after the box that they are in: `running_start`.
        while name in used or name.endswith(("_start", "_end")):
            name += "_"
        used.add(name)
        found[node.name] = name
    return found
