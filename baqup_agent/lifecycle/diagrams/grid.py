"""Layers as columns of the picture: where each item stands, and how arrows go between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from attrs import frozen

from baqup_agent.lifecycle.diagrams.folding import TRACK, Point, breaks, room, tracks

#: Between neighbouring layers, px.
_GAP = 24.0

#: One arrow's way through the items of the layers, from upper to lower.
Stations = Sequence[str]


@frozen
class Column:
    """Some layers one below the other.

    Attributes:
        layers: their numbers.
        shift: what is added to a place across.
        left: its near side across, px.
        width: its extent across, px.
        top: where it begins along, px.
        crossings: the arrows that lead on to the next column, by (item before, item after); the
            one furthest across first.
    """

    layers: range
    shift: float
    left: float
    width: float
    top: float
    crossings: tuple[tuple[str, str], ...]


class Grid:
    """Where everything of one level stands.

    Args:
        layers: items by layer.
        along: each item's extent along, px.
        across: each item's extent across, px.
        middle: each item's middle across in one endless column, px.
        links: the ways of the arrows through the layers.
    """

    def __init__(
        self,
        layers: Sequence[Sequence[str]],
        along: Mapping[str, float],
        across: Mapping[str, float],
        middle: Mapping[str, float],
        links: Sequence[Stations],
    ) -> None:
        self._layers = layers
        self._extents = along
        self._across = across
        self._middle = middle
        self._layer_of = {name: i for i, layer in enumerate(layers) for name in layer}
        self._pairs: dict[int, list[tuple[str, str]]] = {}
        for stations in links:
            for pair in pairwise(stations):
                self._pairs.setdefault(self._layer_of[pair[1]], []).append(pair)
        self._thickness = [max((along[name] for name in layer), default=0.0) for layer in layers]
        self.columns = self._columns(self._breaks())
        self._starts = self._layer_starts()
        self._column_of = {i: column for column in self.columns for i in column.layers}

    @property
    def size(self) -> Point:
        """The whole extent: along, across."""
        last = self.columns[-1]
        ends = [self._end(column) + self._room_below(column) for column in self.columns]
        return max(ends), last.left + last.width

    def shift(self, name: str) -> float:
        """What is added to an item's place across."""
        return self._column_of[self._layer_of[name]].shift

    def near_side(self, name: str) -> float:
        """Where an item begins along; it stands in the middle of its layer."""
        near, far = self.span(name)
        return near + (far - near - self._extents[name]) / 2

    def span(self, name: str) -> tuple[float, float]:
        """Where an item's layer begins and ends along."""
        layer = self._layer_of[name]
        return self._starts[layer], self._starts[layer] + self._thickness[layer]

    def between(self, before: str, after: str, leaves: float, enters: float) -> tuple[Point, ...]:
        """The corners of an arrow between two items; none but from one column to the next."""
        column = self._column_of[self._layer_of[before]]
        if (before, after) not in column.crossings:
            return ()
        following = self._column_of[self._layer_of[after]]
        return tracks(
            len(column.crossings),
            column.crossings.index((before, after)),
            bottom=self._end(column),
            left=column.left + column.width,
            top=following.top,
        ).way(leaves, enters)

    # Columns.

    def _gap(self, layer: int) -> float:
        """Between a layer and the next; a layer of mere lines needs less."""
        return _GAP if self._thickness[layer] and self._thickness[layer + 1] else _GAP / 2

    def _breaks(self) -> list[int]:
        """The layers that begin a column: boxes do, their arrows' labels stand before."""
        able = range(0, len(self._layers), 2)
        starts, at = [], 0.0
        for i, thickness in enumerate(self._thickness):
            starts.append(at)
            at += thickness + (self._gap(i) if i < len(self._layers) - 1 else 0.0)
        counts = [len(self._crossing(i)) if i else 0 for i in able]
        low, high = self._extent(range(len(self._layers)))
        # A layer of nothing but what leaves the box begins no column.
        usable = [i for i in able if self._thickness[i]]
        picked = breaks(
            [*(starts[i] for i in usable), at], [counts[i // 2] for i in usable], high - low
        )
        return [usable[i] for i in picked]

    def _columns(self, starts: list[int]) -> list[Column]:
        found: list[Column] = []
        left = 0.0
        arrows_before = 0
        for first, after in pairwise([0, *starts, len(self._layers)]):
            numbers = range(first, after)
            low, high = self._extent(numbers)
            crossing = self._crossing(after) if after < len(self._layers) else []
            top = room(arrows_before) if arrows_before else 0.0
            found.append(Column(numbers, left - low, left, high - low, top, tuple(crossing)))
            left += high - low + TRACK * (len(crossing) + 2)
            arrows_before = len(crossing)
        return found

    def _crossing(self, layer: int) -> list[tuple[str, str]]:
        """The arrows into a layer from the one before, the one furthest across first."""
        return sorted(self._pairs.get(layer, ()), key=lambda pair: -self._middle[pair[0]])

    def _extent(self, layers: range) -> tuple[float, float]:
        names = [name for i in layers for name in self._layers[i]]
        low = min(self._middle[name] - self._across[name] / 2 for name in names)
        return low, max(self._middle[name] + self._across[name] / 2 for name in names)

    def _layer_starts(self) -> list[float]:
        starts: list[float] = []
        for column in self.columns:
            at = column.top
            for layer in column.layers:
                starts.append(at)
                at += self._thickness[layer]
                if layer != column.layers[-1]:
                    at += self._gap(layer)
        return starts

    def _end(self, column: Column) -> float:
        layer = column.layers[-1]
        return self._starts[layer] + self._thickness[layer]

    def _room_below(self, column: Column) -> float:
        return room(len(column.crossings)) if column.crossings else 0.0
