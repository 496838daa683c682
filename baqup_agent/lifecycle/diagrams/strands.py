"""Arrows of the same ends, drawn as one line with several labels."""

from __future__ import annotations

from attrs import field, frozen

from baqup_agent.lifecycle.diagrams.captions import TIMES, trigger_text
from baqup_agent.lifecycle.diagrams.nesting import Arrow, Picture
from baqup_agent.lifecycle.diagrams.overlay import Mark, Overlay


@frozen
class Strand:
    """One line of a picture.

    Attributes:
        number: tells it from others.
        source: name of the box it starts at.
        target: name of the box it leads to.
        lines: its label.
        mark: what a run made of it.
        weight: how much it wants to be straight.
    """

    number: int
    source: str = field(eq=False)
    target: str = field(eq=False)
    lines: tuple[str, ...] = field(eq=False)
    mark: Mark = field(eq=False)
    weight: float = field(eq=False)


def label_of(arrow: Arrow, run: Overlay | None) -> tuple[str, ...]:
    """The lines that stand at an arrow."""
    text = trigger_text(arrow.edges[0])
    if arrow.failing and run is not None:
        return (text, run.failure_text) if run.failure_text else (text,)
    taken = arrow.taken(run)
    return (f"{text} {TIMES}{taken}",) if taken > 1 else (text,)


def mark_of(arrow: Arrow, run: Overlay | None) -> Mark:
    """What a run made of an arrow."""
    if arrow.failing:
        return Mark.FAILED
    return Mark.VISITED if arrow.taken(run) else Mark.UNTOUCHED


def strands(drawn: Picture, run: Overlay | None) -> tuple[Strand, ...]:
    """The lines of a picture; arrows that stay where they are have none."""
    groups: dict[tuple[str, str, Mark], list[Arrow]] = {}
    for arrow in drawn.arrows:
        if not arrow.stays:
            groups.setdefault((arrow.source, arrow.target, mark_of(arrow, run)), []).append(arrow)
    return tuple(
        Strand(
            number,
            source,
            target,
            tuple(line for arrow in arrows for line in label_of(arrow, run)),
            mark,
            1.0 if all(arrow.edges[0].trigger == "fail" for arrow in arrows) else 4.0,
        )
        for number, ((source, target, mark), arrows) in enumerate(groups.items())
    )
