"""The layout of SVG pictures: nothing stands or leads where something else does."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baqup_agent import CONTRACT, Lifecycle, State, Transition
from baqup_agent.lifecycle.diagrams.folding import Point
from baqup_agent.lifecycle.diagrams.layers import spread
from baqup_agent.lifecycle.diagrams.layout import layout
from baqup_agent.lifecycle.diagrams.measures import Measures
from baqup_agent.lifecycle.diagrams.nesting import is_within, picture
from baqup_agent.lifecycle.diagrams.scene import Scene
from baqup_agent.lifecycle.diagrams.strands import strands
from baqup_agent.lifecycle.refinement import refine
from tests.lifecycle.rich_example import RICH_EXAMPLE

#: An area: from and to, along and across.
Area = tuple[float, float, float, float]

_TOLERANCE = 0.5


def laid_out(lifecycle: Lifecycle) -> tuple[Scene, Measures]:
    drawn = picture(lifecycle)
    lines = strands(drawn, None)
    measures = Measures(lines, drawn, None)
    return layout(drawn, lines, measures), measures


def area(at: Point, size: Point) -> Area:
    return at[0], at[0] + size[0], at[1], at[1] + size[1]


def overlap(a: Area, b: Area) -> bool:
    return (
        min(a[1], b[1]) - max(a[0], b[0]) > _TOLERANCE
        and min(a[3], b[3]) - max(a[2], b[2]) > _TOLERANCE
    )


def contains(outer: Area, inner: Area) -> bool:
    return (
        outer[0] <= inner[0] + _TOLERANCE and inner[1] <= outer[1] + _TOLERANCE
        and outer[2] <= inner[2] + _TOLERANCE and inner[3] <= outer[3] + _TOLERANCE
    )  # fmt: skip


def points(way: tuple[Point, ...]) -> list[Point]:
    """Many points of a drawn line, its bends among them."""
    found: list[Point] = []
    for before, after in pairwise(way):
        for i in range(17):
            t = i / 16
            # A bend is a curve of Bézier whose handles lie half way along.
            bent = t if before[0] == after[0] else 3 * t * t - 2 * t**3
            along = before[0] + (after[0] - before[0]) * (1.5 * t - 1.5 * t * t + t**3)
            if before[0] == after[0] or before[1] == after[1]:
                along, bent = before[0] + (after[0] - before[0]) * t, t
            found.append((along, before[1] + (after[1] - before[1]) * bent))
    return found


def check(lifecycle: Lifecycle) -> None:
    """All that must hold of any picture."""
    scene, measures = laid_out(lifecycle)
    areas = {box.node.name: area(box.at, box.size) for box in scene.boxes}
    leaves = {box.node.name for box in scene.boxes if not box.node.children}
    labels = []
    for label in scene.labels:
        size = measures.label(label.strand)
        corner = label.middle[0] - size.along / 2, label.middle[1] - size.across / 2
        labels.append(area(corner, (size.along, size.across)))

    assert set(areas) == set(lifecycle.names)
    assert {strand.number for strand, _ in scene.ways if strand} == {
        strand.number for strand in measures.strands
    }
    assert len(labels) == len(measures.strands)
    whole = area((0, 0), scene.size)
    for a, b in combinations(areas, 2):
        if is_within(a, b) or is_within(b, a):
            outer, inner = (b, a) if is_within(a, b) else (a, b)
            assert contains(areas[outer], areas[inner]), (outer, inner)
        else:
            assert not overlap(areas[a], areas[b]), (a, b)
    for place in (*areas.values(), *labels):
        assert contains(whole, place)
    for label in labels:
        assert not any(overlap(label, areas[leaf]) for leaf in leaves)
    assert not any(overlap(a, b) for a, b in combinations(labels, 2))
    for strand, way in scene.ways:
        for along, across in points(way):
            spot = (along - 0.1, along + 0.1, across - 0.1, across + 0.1)
            assert contains(whole, spot)
            for leaf in leaves:
                near, far, left, right = areas[leaf]
                inside = near + 1 < along < far - 1 and left + 1 < across < right - 1
                assert not inside, (strand, leaf)


def ends(lifecycle: Lifecycle) -> None:
    """Each line starts and ends at the borders of the boxes that it joins."""
    scene, _ = laid_out(lifecycle)
    areas = {box.node.name: area(box.at, box.size) for box in scene.boxes}
    for strand, way in scene.ways:
        if strand is None:
            continue
        for name, (along, across) in ((strand.source, way[0]), (strand.target, way[-1])):
            near, far, left, right = areas[name]
            assert min(abs(along - near), abs(along - far)) < _TOLERANCE, (strand, name)
            assert left - _TOLERANCE <= across <= right + _TOLERANCE, (strand, name)


TWENTY = refine(
    refine(
        CONTRACT, "running", initial="s0", states=[State(f"s{i}") for i in range(14)],
        transitions=[
            *(Transition(f"go{i}", f"s{i}", f"s{i + 1}") for i in range(13)),
            Transition("skip", "s2", "s5"), Transition("retry", "s9", "s6"),
            Transition("restart", "s13", "s0"), Transition("redo", "s12", "s12"),
        ],
    ),
    "completing", initial="c0", states=[State(f"c{i}") for i in range(6)],
    transitions=[Transition(f"next{i}", f"c{i}", f"c{i + 1}") for i in range(5)],
)  # fmt: skip


@pytest.mark.parametrize("lifecycle", [CONTRACT, RICH_EXAMPLE, TWENTY])
def test_nothing_overlaps_in_the_pictures_that_are_shown(lifecycle: Lifecycle) -> None:
    """Boxes nest and stand apart, labels are on nothing, lines lead round the leaves."""
    check(lifecycle)
    ends(lifecycle)


def folded(*leaps: Transition) -> Lifecycle:
    """A high box, then three leaves, for which a column of their own is begun."""
    names = ("big", "a", "b", "c")
    running = refine(
        CONTRACT, "running", initial="big", states=[State(name) for name in names],
        transitions=[Transition("on", *pair) for pair in pairwise(names)],
    )  # fmt: skip
    return refine(
        running, "running.big", initial="s0", states=[State(f"s{i}") for i in range(6)],
        transitions=[*(Transition("go", f"s{i}", f"s{i + 1}") for i in range(5)), *leaps],
    )  # fmt: skip


LEAVING = folded(Transition("leap", "s5", "completing"))
ENTERING = refine(
    folded(), "completing", initial="c0", states=[State("c0")],
    transitions=[Transition("back", "c0", "running.big.s5")],
)  # fmt: skip


@pytest.mark.parametrize("lifecycle", [LEAVING, ENTERING], ids=["leaving", "entering"])
def test_a_line_over_the_border_of_a_folded_box_reaches_its_leaf(lifecycle: Lifecycle) -> None:
    """It does although the leaf lies further along than where the last column lets it cross."""
    scene, _ = laid_out(lifecycle)
    boxes = {box.node.name: area(box.at, box.size) for box in scene.boxes}
    leaf = "running.big.s5"
    strand, way = next(
        (strand, way)
        for strand, way in scene.ways
        if strand and leaf in {strand.source, strand.target} and strand.lines[0] in {"leap", "back"}
    )
    inner, outer = (way[0], way[-1]) if strand.source == leaf else (way[-1], way[0])

    assert boxes["running.c"][1] < boxes[leaf][0], "the layers are no longer folded"
    assert inner[0] == pytest.approx(boxes[leaf][1])
    assert outer[0] == pytest.approx(boxes["completing"][0])
    check(lifecycle)
    ends(lifecycle)


@st.composite
def lifecycles(draw: st.DrawFn) -> Lifecycle:
    """Refinements of any shape, provable or not: a picture must show a broken one too."""
    lifecycle = CONTRACT
    for number in range(draw(st.integers(1, 4))):
        live = [state.name for state in lifecycle.states if not state.final]
        outer = draw(st.sampled_from(live))
        names = [f"l{i}" for i in range(draw(st.integers(1, 5)))]
        others = [state.name for state in lifecycle.states if state.name != outer]
        pairs = st.tuples(st.sampled_from(names), st.sampled_from([*names, *others]))
        rows = draw(st.lists(pairs, max_size=7))
        lifecycle = refine(
            lifecycle, outer, initial=draw(st.sampled_from(names)),
            states=[State(name, timeout_s=draw(st.sampled_from([None, 5]))) for name in names],
            transitions=[
                Transition(f"t{number}_{i}", source, target)
                for i, (source, target) in enumerate(rows)
            ],
        )  # fmt: skip
    return lifecycle


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lifecycles())
def test_nothing_overlaps_in_any_picture(lifecycle: Lifecycle) -> None:
    """Whatever is declared, back and forth across borders of every depth."""
    check(lifecycle)
    ends(lifecycle)


def test_a_long_chain_is_folded_into_columns() -> None:
    """Twenty leaves are not one column, which would be more than three times as high."""
    scene, _ = laid_out(TWENTY)

    assert scene.size[0] < 2300
    assert scene.size[1] < 1300


@given(
    st.lists(st.tuples(st.floats(-500, 500), st.floats(0.1, 50)), min_size=1, max_size=8),
    st.floats(1, 60),
)
def test_places_are_spread_in_order_and_moved_no_more_than_needed(
    wanted: list[tuple[float, float]], distance: float
) -> None:
    """What is far enough apart stays; the rest keeps the least distance."""
    places = spread(wanted, [distance] * (len(wanted) - 1))

    assert all(b - a >= distance - 1e-6 for a, b in pairwise(places))
    if all(b[0] - a[0] >= distance for a, b in pairwise(wanted)):
        assert places == pytest.approx([place for place, _ in wanted])
