"""A lifecycle as a Mermaid state diagram, written from the declaration."""

from __future__ import annotations

from collections.abc import Iterator

from baqup_agent.lifecycle.declaration import Lifecycle, State


def mermaid(lifecycle: Lifecycle, title: str) -> str:
    """Return the text of a ``stateDiagram-v2``.

    Args:
        lifecycle: what is drawn: states with deadlines and signal policies, triggers, markers.
        title: stands above the picture.
    """
    return "\n".join(_lines(lifecycle, title)) + "\n"


def _lines(lifecycle: Lifecycle, title: str) -> Iterator[str]:
    yield from ("---", f"title: {title}", "---", "stateDiagram-v2")
    yield f"    [*] --> {lifecycle.initial}"
    for edge in lifecycle.transitions:
        yield f"    {edge.source} --> {edge.target}: {edge.trigger}"
    for state in lifecycle.states:
        if state.final:
            yield f"    {state.name} --> [*]"
        else:
            yield f"    {state.name}: {_label(state)}"


def _label(state: State) -> str:
    return rf"{state.name}\nat most {state.deadline}\non a stop signal: {state.on_signal}"
