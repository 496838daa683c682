"""A laid out picture: boxes, labels and ways with their places."""

from __future__ import annotations

from attrs import evolve, field, frozen

from baqup_agent.lifecycle.diagrams.folding import Point
from baqup_agent.lifecycle.diagrams.nesting import Node
from baqup_agent.lifecycle.diagrams.strands import Strand


@frozen
class PlacedBox:
    """A box with its upper left corner and size: along, across."""

    node: Node
    at: Point
    size: Point


@frozen
class PlacedLabel:
    """A strand's label with its middle."""

    strand: Strand
    middle: Point


@frozen
class Scene:
    """A laid out picture, or the inside of a box.

    Attributes:
        size: along and across, px.
        boxes: outer before inner.
        markers: middles of the markers of what is entered first.
        ways: for each strand, and None for a marker's arrow, the points of its way.
        labels: the strands' labels.
        ports: where strands cross the border, across.
        entry: where the marker stands across; None without one.
    """

    size: Point
    boxes: tuple[PlacedBox, ...] = ()
    markers: tuple[Point, ...] = ()
    ways: tuple[tuple[Strand | None, tuple[Point, ...]], ...] = ()
    labels: tuple[PlacedLabel, ...] = ()
    ports: dict[Strand, float] = field(factory=dict)
    entry: float | None = None

    def moved(self, along: float, across: float) -> Scene:
        """The same, elsewhere."""

        def move(point: Point) -> Point:
            return point[0] + along, point[1] + across

        return evolve(
            self,
            boxes=tuple(evolve(box, at=move(box.at)) for box in self.boxes),
            markers=tuple(map(move, self.markers)),
            ways=tuple((strand, tuple(map(move, way))) for strand, way in self.ways),
            labels=tuple(evolve(label, middle=move(label.middle)) for label in self.labels),
            ports={strand: place + across for strand, place in self.ports.items()},
            entry=None if self.entry is None else self.entry + across,
        )
