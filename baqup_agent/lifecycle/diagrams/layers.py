"""Layers for boxes and arrows, in the manner of Sugiyama: which layer, which order, which place.

Everything here is of names and numbers. ``along`` is the direction in which arrows lead, ``across``
the other one; which of them is x is for the caller.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from attrs import define, frozen

#: How often the order within the layers is improved: usually, and where there are many items.
_ORDER_SWEEPS = (12, 4)

#: How often the places within the layers are improved, likewise; the last sweep leads downwards.
_PLACE_SWEEPS = (31, 11)

#: Items from which on they are many.
_MANY = 1500


@frozen
class Tie:
    """Two items of neighbouring layers that an arrow joins.

    Attributes:
        upper: the item of the earlier layer.
        lower: the item of the later layer.
        weight: how much the two want to be in line.
        upper_offset: where the arrow leaves, from the upper item's middle, px.
        lower_offset: where it arrives, from the lower item's middle, px.
    """

    upper: str
    lower: str
    weight: float
    upper_offset: float = 0.0
    lower_offset: float = 0.0


def backward(
    names: Sequence[str], arrows: Iterable[tuple[str, str]], first: str
) -> set[tuple[str, str]]:
    """The arrows that close a cycle, found by walking from ``first`` in order of declaration."""
    following: dict[str, list[str]] = {name: [] for name in names}
    for source, target in arrows:
        following[source].append(target)
    open_, done, found = set[str](), set[str](), set[tuple[str, str]]()
    for start in (first, *names):
        stack = [] if start in done else [(start, iter(following[start]))]
        open_.update(name for name, _ in stack)
        while stack:
            name, targets = stack[-1]
            following_one = next(targets, None)
            if following_one is None:
                stack.pop()
                open_.discard(name)
                done.add(name)
            elif (target := following_one) in open_:
                found.add((name, target))
            elif target not in done:
                open_.add(target)
                stack.append((target, iter(following[target])))
    return found


def ranks(names: Sequence[str], arrows: Iterable[tuple[str, str]]) -> dict[str, int]:
    """For each name a layer, such that each arrow leads to a later one; there is no cycle."""
    before: dict[str, set[str]] = {name: set() for name in names}
    after: dict[str, set[str]] = {name: set() for name in names}
    for source, target in arrows:
        before[target].add(source)
        after[source].add(target)
    rank = dict.fromkeys(names, 0)
    waiting = {name: len(before[name]) for name in names}
    ready = [name for name in names if not waiting[name]]
    for name in ready:
        for target in sorted(after[name], key=list(names).index):
            rank[target] = max(rank[target], rank[name] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for name in names:
        if (
            not before[name] and after[name]
        ):  # what nothing leads to stands next to what it leads to
            rank[name] = min(rank[target] for target in after[name]) - 1
    return rank


def ordered(layers: list[list[str]], ties: Sequence[Tie]) -> list[list[str]]:
    """The layers with each one's order chosen for few crossings."""
    up, down = _neighbours(ties)
    best, least = [list(layer) for layer in layers], _crossings(layers, ties)
    current = [list(layer) for layer in layers]
    for sweep in range(_sweeps(_ORDER_SWEEPS, layers)):
        if not least:
            break
        forward = sweep % 2 == 0
        sides = up if forward else down
        positions = {name: float(i) for layer in current for i, name in enumerate(layer)}
        for layer in current if forward else reversed(current):
            centre = {name: _barycentre(name, sides, positions) for name in layer}
            layer.sort(key=centre.__getitem__)
            positions.update((name, float(i)) for i, name in enumerate(layer))
        _transpose(current, up, down)
        crossings = _crossings(current, ties)
        if crossings < least:
            best, least = [list(layer) for layer in current], crossings
    return best


def _sweeps(numbers: tuple[int, int], layers: Sequence[Sequence[str]]) -> int:
    return numbers[sum(map(len, layers)) > _MANY]


def _transpose(
    layers: list[list[str]], up: Mapping[str, list[Tie]], down: Mapping[str, list[Tie]]
) -> None:
    """Exchange neighbours in a layer as long as that saves crossings, a few rounds at most."""
    positions = {name: i for layer in layers for i, name in enumerate(layer)}
    for _ in range(4):
        changed = False
        for layer in layers:
            for i in range(len(layer) - 1):
                a, b = layer[i], layer[i + 1]
                if _between(a, b, up, down, positions) > _between(b, a, up, down, positions):
                    layer[i], layer[i + 1] = b, a
                    positions[a], positions[b] = i + 1, i
                    changed = True
        if not changed:
            return


def _between(
    left: str,
    right: str,
    up: Mapping[str, list[Tie]],
    down: Mapping[str, list[Tie]],
    positions: Mapping[str, int],
) -> int:
    """How many arrows of two items cross if the first stands left of the second."""

    def ends(name: str, above: bool) -> list[tuple[int, float]]:  # noqa: FBT001
        if above:
            return [(positions[tie.upper], tie.upper_offset) for tie in up.get(name, ())]
        return [(positions[tie.lower], tie.lower_offset) for tie in down.get(name, ())]

    return sum(
        a > b for above in (True, False) for a in ends(left, above) for b in ends(right, above)
    )


def _neighbours(ties: Sequence[Tie]) -> tuple[dict[str, list[Tie]], dict[str, list[Tie]]]:
    up: defaultdict[str, list[Tie]] = defaultdict(list)
    down: defaultdict[str, list[Tie]] = defaultdict(list)
    for tie in ties:
        up[tie.lower].append(tie)
        down[tie.upper].append(tie)
    return up, down


def _barycentre(name: str, sides: Mapping[str, list[Tie]], positions: Mapping[str, float]) -> float:
    ties = sides.get(name, ())
    if not ties:
        return positions[name]
    others = [(tie, tie.upper if tie.lower == name else tie.lower) for tie in ties]
    total = math.fsum(tie.weight for tie, _ in others)
    return math.fsum(tie.weight * positions[other] for tie, other in others) / total


def _crossings(layers: list[list[str]], ties: Sequence[Tie]) -> int:
    places = {name: (i, j) for i, layer in enumerate(layers) for j, name in enumerate(layer)}
    gaps: defaultdict[int, list[tuple[float, float, float, float]]] = defaultdict(list)
    for tie in ties:
        layer, start = places[tie.upper]
        end = places[tie.lower][1]
        gaps[layer].append((start, tie.upper_offset, end, tie.lower_offset))
    return sum(map(_inversions, gaps.values()))


def _inversions(rows: list[tuple[float, float, float, float]]) -> int:
    """How many pairs of arrows start in one order and end in the other."""
    count = 0
    ends: list[tuple[float, float]] = []
    for _, _, end, offset in sorted(rows):
        at = bisect_right(ends, (end, offset))
        count += len(ends) - at
        ends.insert(at, (end, offset))
    return count


@define
class _Block:
    """Neighbours that touch each other and move as one."""

    total: float
    weight: float
    count: int

    @property
    def place(self) -> float:
        return self.total / self.weight


def spread(wanted: Sequence[tuple[float, float]], distances: Sequence[float]) -> list[float]:
    """Places as near as can be to those wanted, in order and no nearer than the distances.

    Args:
        wanted: for each item the place it wants, and the weight of that wish.
        distances: between each item and the next; one fewer than items.

    Returns:
        The places with the least sum of weighted squares (pool adjacent violators).
    """
    offsets = [0.0]
    for distance in distances:
        offsets.append(offsets[-1] + distance)
    blocks: list[_Block] = []
    for (place, weight), offset in zip(wanted, offsets, strict=True):
        blocks.append(_Block((place - offset) * weight, weight, 1))
        while len(blocks) > 1 and blocks[-2].place > blocks[-1].place:
            last = blocks.pop()
            into = blocks[-1]
            into.total, into.weight = into.total + last.total, into.weight + last.weight
            into.count += last.count
    places = [block.place for block in blocks for _ in range(block.count)]
    return [place + offset for place, offset in zip(places, offsets, strict=True)]


def within(places: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """The places moved between two bounds, in order and no nearer than the distance."""
    last = len(places) - 1
    return [
        max(min(place, high - (last - i) * distance), low + i * distance)
        for i, place in enumerate(places)
    ]


def placed(
    layers: list[list[str]], ties: Sequence[Tie], across: Mapping[str, float], gap: float
) -> dict[str, float]:
    """The middle of each item across, such that arrows are straight where they can be.

    Args:
        layers: the items in their order.
        ties: what joins items of neighbouring layers.
        across: each item's extent across, px.
        gap: the least distance between items of one layer, px.
    """
    middle: dict[str, float] = {}
    distances = []
    for layer in layers:
        between = [(across[a] + across[b]) / 2 + gap for a, b in pairwise(layer)]
        distances.append(between)
        middle.update(zip(layer, spread([(0.0, 1.0)] * len(layer), between), strict=True))
    up, down = _neighbours(ties)
    for sweep in range(_sweeps(_PLACE_SWEEPS, layers)):
        forward = sweep % 2 == 0
        order = range(len(layers)) if forward else range(len(layers) - 1, -1, -1)
        for i in order:
            wanted = [_wish(name, up, down, middle, forward=forward) for name in layers[i]]
            middle.update(zip(layers[i], spread(wanted, distances[i]), strict=True))
    return middle


def _wish(
    name: str,
    up: Mapping[str, list[Tie]],
    down: Mapping[str, list[Tie]],
    middle: Mapping[str, float],
    *,
    forward: bool,
) -> tuple[float, float]:
    """Where an item wants to be for its neighbours' sake, and how much."""
    pulls: list[tuple[float, float]] = []
    if forward:
        pulls += [
            (middle[tie.upper] + tie.upper_offset - tie.lower_offset, tie.weight)
            for tie in up.get(name, ())
        ]
    else:
        pulls += [
            (middle[tie.lower] + tie.lower_offset - tie.upper_offset, tie.weight)
            for tie in down.get(name, ())
        ]
    if not pulls:
        return middle[name], 0.01
    return _median(pulls), math.fsum(weight for _, weight in pulls)


def _median(pulls: list[tuple[float, float]]) -> float:
    """The weighted median; the mean of two where they balance."""
    pulls = sorted(pulls)
    half = math.fsum(weight for _, weight in pulls) / 2
    reached = 0.0
    for i, (place, weight) in enumerate(pulls):
        reached += weight
        if reached > half:
            return place
        if reached == half:
            return (place + pulls[min(i + 1, len(pulls) - 1)][0]) / 2
    return pulls[-1][0]
