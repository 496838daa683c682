"""Where everything of a picture stands: nested boxes in layers, and the arrows' ways.

Each box is laid out by itself, from the inside out. An arrow between boxes of different depth is
cut at the borders that it crosses, and its pieces meet there. Labels have a place of their own in
the layers, as have the bends of long arrows, so that nothing can be drawn over a box.

``along`` is the direction in which arrows lead, ``across`` the other one, until `Scene` is drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from attrs import define, evolve, field

from baqup_agent.lifecycle.diagrams.folding import Point
from baqup_agent.lifecycle.diagrams.grid import Grid
from baqup_agent.lifecycle.diagrams.layers import (
    Tie,
    backward,
    ordered,
    placed,
    ranks,
    spread,
    within,
)
from baqup_agent.lifecycle.diagrams.measures import Measures, Size
from baqup_agent.lifecycle.diagrams.nesting import Node, Picture, is_within
from baqup_agent.lifecycle.diagrams.scene import PlacedBox, PlacedLabel, Scene
from baqup_agent.lifecycle.diagrams.strands import Strand

#: Between neighbours in a layer, px.
_GAP = 22.0

#: Between the ends of two arrows at one side of a box, px.
_END_GAP = 16.0

#: From a box's corner to the nearest end of an arrow, px.
_CORNER = 14.0

#: Diameter of the marker of what is entered first, px.
MARKER = 12.0

#: Room that the bend of an arrow takes across, px.
_BEND = 10.0

_MARKER = "*"


def layout(drawn: Picture, strands: Sequence[Strand], measures: Measures) -> Scene:
    """Lay a picture out.

    Args:
        drawn: the boxes.
        strands: the arrows between them, none of which stays.
        measures: the sizes of boxes and labels.
    """
    level = _Level(drawn.roots, drawn.initial, strands, {}, measures)
    return level.scene()


@define
class _Link:
    """A strand's piece between two items of one level, on its way through the layers."""

    strand: Strand | None
    source: str
    target: str
    labelled: bool
    turned: bool = False
    stations: list[str] = field(factory=list)

    @property
    def ends(self) -> tuple[str, str]:
        return (self.target, self.source) if self.turned else (self.source, self.target)


class _Level:
    """The inside of one box, or the whole.

    Args:
        children: the boxes.
        first: name of the child, or of what is in it, that a marker points to.
        strands: those with an end in here.
        ports: for those that cross the border, whether they do at the far side.
        measures: the sizes.
    """

    def __init__(
        self,
        children: tuple[Node, ...],
        first: str | None,
        strands: Sequence[Strand],
        ports: dict[Strand, bool],
        measures: Measures,
    ) -> None:
        self._children = {child.name: child for child in children}
        self._measures = measures
        self._ports = ports
        self._names = list(self._children)
        self._insides: dict[str, Scene] = {}
        self._sizes: dict[str, Size] = {}
        links = (self._link(strand) for strand in strands)
        self._links = [link for link in links if link.source != link.target]
        if first is not None:
            self._names.insert(0, _MARKER)
            self._links.insert(0, _Link(None, _MARKER, self._child(first) or "", labelled=False))

    def scene(self) -> Scene:
        """Lay it out."""
        rank = self._rank()
        self._lay_out_children()
        layers = self._layers(rank)
        ties = list(self._ties())
        layers = ordered(layers, ties)
        across = {name: size.across for name, size in self._sizes.items()}
        middle = placed(layers, ties, across, _GAP)
        return self._assembled(layers, middle)

    # Names and ranks.

    def _child(self, name: str) -> str | None:
        return next((child for child in self._children if is_within(name, child)), None)

    def _link(self, strand: Strand) -> _Link:
        source = self._child(strand.source) or _port(strand)
        target = self._child(strand.target) or _port(strand)
        inside = not (source.startswith("|") or target.startswith("|"))
        return _Link(strand, source, target, labelled=inside and bool(strand.lines))

    def _rank(self) -> dict[str, int]:
        inner = [link for link in self._links if not _is_port(link)]
        arrows = [(link.source, link.target) for link in inner]
        back = backward(self._names, arrows, self._names[0])
        for link in inner:
            link.turned = (link.source, link.target) in back
        rank = ranks(self._names, [link.ends for link in inner])
        low, high = min(rank.values()), max(rank.values())
        for link in self._links:
            if _is_port(link) and link.strand is not None:
                port = _port(link.strand)
                far = self._ports[link.strand]
                rank[port] = high + 1 if far else low - 1
                self._sizes[port] = Size(0.0, _BEND)
                link.turned = (link.target == port) != far
        self._sizes[_MARKER] = Size(MARKER, MARKER)
        low = min(rank.values())
        return {name: value - low for name, value in rank.items()}

    # Children.

    def _lay_out_children(self) -> None:
        for name, child in self._children.items():
            if not child.children:
                self._sizes[name] = self._measures.leaf(child)
                continue
            own, ports = self._strands_of(child)
            inside = _Level(child.children, child.first, own, ports, self._measures).scene()
            frame = self._measures.frame(child, Size(*inside.size))
            inside = evolve(inside.moved(*frame.inset), size=frame.size.as_point)
            self._insides[name] = _to_border(inside, child, ports)
            self._sizes[name] = frame.size

    def _strands_of(self, child: Node) -> tuple[list[Strand], dict[Strand, bool]]:
        """The strands with an end inside of a child, and the sides where they cross its border."""
        own: list[Strand] = []
        ports: dict[Strand, bool] = {}
        for strand in self._measures.strands:
            starts = _starts_in(strand, child)
            ends = is_within(strand.target, child.name) and strand.target != child.name
            if not starts and not ends:
                continue
            own.append(strand)
            if starts != ends:
                link = next(link for link in self._links if link.strand == strand)
                ports[strand] = starts != link.turned
        return own, ports

    # Layers.

    def _layers(self, rank: dict[str, int]) -> list[list[str]]:
        """Items by layer: boxes in the even ones, labels and bends also between."""
        layers: list[list[str]] = [[] for _ in range(2 * max(rank.values()) + 1)]
        for name in (*self._names, *(name for name in rank if name.startswith("|"))):
            layers[2 * rank[name]].append(name)
        for number, link in enumerate(self._links):
            upper, lower = link.ends
            between = range(2 * rank[upper] + 1, 2 * rank[lower])
            labelled = (between[-1] if link.turned else between[0]) if link.labelled else None
            for layer in between:
                item = f"{number}@{layer}"
                layers[layer].append(item)
                link.stations.append(item)
                self._sizes[item] = Size(0.0, _BEND)
                if layer == labelled and link.strand is not None:
                    self._sizes[item] = self._measures.label(link.strand)
            link.stations = [upper, *link.stations, lower]
        return layers

    def _ties(self) -> Iterable[Tie]:
        for link in self._links:
            inner = len(link.stations) - 2
            own = link.strand.weight if link.strand else 6.0
            own *= (
                60.0 if inner <= 1 and own > 1 else 1.0
            )  # a chain of boxes is straight before a detour is
            for i, (a, b) in enumerate(pairwise(link.stations)):
                bends = (i > 0) + (i < inner)
                yield Tie(
                    a,
                    b,
                    own * (1, 2, 3)[bends],
                    self._fixed_end(a, link, lower=False) or 0.0,
                    self._fixed_end(b, link, lower=True) or 0.0,
                )

    def _fixed_end(self, name: str, link: _Link, *, lower: bool) -> float | None:
        """Where a link must end at a box, from its middle; None where that is free."""
        inside = self._insides.get(name)
        if inside is None:
            return 0.0 if name not in self._children else None
        half = inside.size[1] / 2
        if link.strand is not None and link.strand in inside.ports:
            return inside.ports[link.strand] - half
        arrives = lower != link.turned
        if arrives and not link.turned and inside.entry is not None:
            return inside.entry - half
        return None

    # Coordinates.

    def _assembled(self, layers: list[list[str]], middle: dict[str, float]) -> Scene:
        grid = Grid(
            layers,
            {name: size.along for name, size in self._sizes.items()},
            {name: size.across for name, size in self._sizes.items()},
            middle,
            [link.stations for link in self._links],
        )
        ends = self._end_places(middle)
        ends = {key: place + grid.shift(key[0]) for key, place in ends.items()}
        middle = {name: place + grid.shift(name) for name, place in middle.items()}
        near = {name: grid.near_side(name) for name in middle}
        scene = self._children_placed(near, middle)
        ways = [(s, way) for s, way in scene.ways if s not in self._crossing]
        pieces = [(s, way) for s, way in scene.ways if s in self._crossing]
        for number, link in enumerate(self._links):
            way = self._way(number, link, grid, middle, ends)
            own = [piece for strand, piece in pieces if strand == link.strand]
            ways.append((link.strand, _joined(own, way)))
        return evolve(
            scene,
            size=grid.size,
            ways=tuple(ways),
            labels=(*scene.labels, *self._labels(near, middle)),
            ports={
                link.strand: middle[_port(link.strand)]
                for link in self._links
                if link.strand is not None and _is_port(link)
            },
        )

    @property
    def _crossing(self) -> set[Strand | None]:
        """The strands that cross a child's border, whose pieces are to be joined here."""
        return {strand for inside in self._insides.values() for strand in inside.ports}

    def _children_placed(self, near: dict[str, float], middle: dict[str, float]) -> Scene:
        """The boxes with what is in them, and the marker."""
        boxes, insides = list[PlacedBox](), list[Scene]()
        for name, child in self._children.items():
            size = self._sizes[name]
            corner = (near[name], middle[name] - size.across / 2)
            boxes.append(PlacedBox(child, corner, size.as_point))
            if name in self._insides:
                insides.append(self._insides[name].moved(*corner))
                boxes += insides[-1].boxes
        entry = middle.get(_MARKER)
        marker = () if entry is None else ((near[_MARKER] + MARKER / 2, entry),)
        return Scene(
            size=(0.0, 0.0),
            boxes=tuple(boxes),
            markers=(*marker, *(point for inside in insides for point in inside.markers)),
            ways=tuple(way for inside in insides for way in inside.ways),
            labels=tuple(label for inside in insides for label in inside.labels),
            entry=entry,
        )

    def _labels(self, near: dict[str, float], middle: dict[str, float]) -> Iterable[PlacedLabel]:
        for link in self._links:
            if link.labelled and link.strand is not None:
                item = next(name for name in link.stations[1:-1] if self._sizes[name].along)
                centre = near[item] + self._sizes[item].along / 2
                yield PlacedLabel(link.strand, (centre, middle[item]))

    def _end_places(self, middle: dict[str, float]) -> dict[tuple[str, int, bool], float]:
        """Where each link ends at a box's side: in line with where it comes from, but apart."""
        sides: defaultdict[tuple[str, bool], list[tuple[float, int, float | None]]] = defaultdict(
            list
        )
        for number, link in enumerate(self._links):
            upper, lower = link.stations[0], link.stations[-1]
            for name, other, is_lower in (
                (upper, link.stations[1], False),
                (lower, link.stations[-2], True),
            ):
                fixed = self._fixed_end(name, link, lower=is_lower)
                if name in self._children:
                    sides[name, is_lower].append((middle[other], number, fixed))
        places: dict[tuple[str, int, bool], float] = {}
        for (name, is_lower), rows in sides.items():
            half = self._sizes[name].across / 2 - _CORNER
            low, high = middle[name] - half, middle[name] + half
            rows.sort(key=lambda row: row[0] if row[2] is None else middle[name] + row[2])
            wanted = [
                (min(max(other, low), high), 1.0) if fixed is None else (middle[name] + fixed, 1e9)
                for other, _, fixed in rows
            ]
            gap = min(_END_GAP, 2 * half / max(len(rows) - 1, 1))
            spots = within(spread(wanted, [gap] * (len(rows) - 1)), gap, low, high)
            for spot, (_, number, fixed) in zip(spots, rows, strict=True):
                # Where a way goes on inside of the box, it is met exactly, be it near to another.
                place = spot if fixed is None else middle[name] + fixed
                places[name, number, is_lower] = place
        return places

    def _way(
        self,
        number: int,
        link: _Link,
        grid: Grid,
        middle: dict[str, float],
        ends: dict[tuple[str, int, bool], float],
    ) -> tuple[Point, ...]:
        """The points of a link, from its source to its target."""
        points: list[Point] = []
        last = len(link.stations) - 1
        for i, name in enumerate(link.stations):
            near, far = grid.span(name)
            place = middle[name]
            if i == 0:
                place = ends.get((name, number, False), place)
                near = grid.near_side(name) + self._sizes[name].along
            elif i == last:
                place = ends.get((name, number, True), place)
                far = grid.near_side(name)
            if points:
                points += grid.between(link.stations[i - 1], name, points[-1][1], place)
            points += [(near, place), (far, place)]
        return tuple(reversed(points)) if link.turned else tuple(points)


def _starts_in(strand: Strand, box: Node) -> bool:
    return is_within(strand.source, box.name) and strand.source != box.name


def _port(strand: Strand) -> str:
    return f"|{strand.number}"


def _is_port(link: _Link) -> bool:
    return link.source.startswith("|") or link.target.startswith("|")


def _joined(pieces: Sequence[tuple[Point, ...]], way: tuple[Point, ...]) -> tuple[Point, ...]:
    """A way with its pieces inside of the boxes that it leaves and enters."""
    before = next((piece for piece in pieces if _near(piece[-1], way[0])), ())
    after = next((piece for piece in pieces if _near(piece[0], way[-1])), ())
    return (*before, *way, *after)


def _near(a: Point, b: Point) -> bool:
    return abs(a[0] - b[0]) + abs(a[1] - b[1]) < 1.0


def _to_border(inside: Scene, box: Node, ports: dict[Strand, bool]) -> Scene:
    """Lengthen the ways that cross a box's border up to it."""
    ways: list[tuple[Strand | None, tuple[Point, ...]]] = []
    for strand, way in inside.ways:
        if strand is None or strand not in ports:
            ways.append((strand, way))
            continue
        end = (inside.size[0] if ports[strand] else 0.0, inside.ports[strand])
        # Places do not tell which end is to be lengthened: where layers are folded into columns,
        # the one that stays inside may be nearer to the border.
        ways.append((strand, (*way, end) if _starts_in(strand, box) else (end, *way)))
    return evolve(inside, ways=tuple(ways))
