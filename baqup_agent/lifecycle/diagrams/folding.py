"""Breaks a long column of layers into several that stand side by side."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

#: Height that a column should not exceed by much, px.
TALLEST = 860.0

#: Width that columns side by side should not exceed, px.
_WIDEST = 1150.0

#: Between two tracks of arrows that go from one column to the next, px.
TRACK = 12.0

#: From the last layer to the first track, px.
_LEAD = 12.0

#: What one more arrow over a break costs, against px of imbalance.
_ARROW_COST = 130.0

#: A point as (along, across), px.
Point = tuple[float, float]


@frozen
class Crossing:
    """The way of one arrow from a column to the next.

    Attributes:
        bottom: the track below the column, along.
        channel: the track between the columns, across.
        top: the track above the next column, along.
    """

    bottom: float
    channel: float
    top: float

    def way(self, leaves: float, enters: float) -> tuple[Point, ...]:
        """The corners between leaving one column and entering the next, both across."""
        return (
            (self.bottom, leaves),
            (self.bottom, self.channel),
            (self.top, self.channel),
            (self.top, enters),
        )


def room(arrows: int) -> float:
    """What ``arrows`` tracks need at an end of a column, px."""
    return _LEAD + TRACK * arrows


def tracks(count: int, number: int, *, bottom: float, left: float, top: float) -> Crossing:
    """The tracks of one arrow of several; the one furthest right is number 0.

    Args:
        count: how many arrows cross.
        number: which one.
        bottom: where the column ends, along.
        left: where the gap between the columns begins, across.
        top: where the next column begins, along.
    """
    return Crossing(
        bottom=bottom + _LEAD + TRACK * number,
        channel=left + TRACK * (number + 1.5),
        top=top - _LEAD - TRACK * (count - 1 - number),
    )


def breaks(starts: Sequence[float], crossings: Sequence[int], width: float) -> list[int]:
    """The layers that begin a new column.

    Args:
        starts: where each layer that could begin one does so, along; the whole's length last.
        crossings: how many arrows lead over each of these places.
        width: of one column.
    """
    length = starts[-1]
    columns = min(round(length / TALLEST + 0.4), int(_WIDEST // (width + 60)))
    found: list[int] = []
    for column in range(1, columns):
        ideal = length * column / columns
        able = range(found[-1] + 1 if found else 1, len(starts) - 1)
        if not able:
            break
        found.append(
            min(able, key=lambda i: abs(starts[i] - ideal) + _ARROW_COST * (crossings[i] - 1))
        )
    return found
