"""What pictures say of a lifecycle, in the formats that are text."""

from __future__ import annotations

import functools
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from rich.cells import cell_len as columns

from baqup_agent import CONTRACT, Lifecycle, State, Transition
from baqup_agent.lifecycle.diagrams import TooLargeError, dot, mermaid, svg, text
from baqup_agent.lifecycle.diagrams.nesting import picture
from baqup_agent.lifecycle.diagrams.svg import MOST_BOXES
from baqup_agent.lifecycle.refinement import refine
from tests.lifecycle.rich_example import RICH_EXAMPLE


def words(picture_: str) -> str:
    """All text of an SVG document."""
    return "\n".join(ET.fromstring(picture_).itertext())


def chain(length: int, **state: object) -> Lifecycle:
    """A lifecycle whose ``running`` is a chain of leaves."""
    return refine(
        CONTRACT,
        "running",
        initial="s0",
        states=[State(f"s{i}", **state) for i in range(length)],  # type: ignore[arg-type]
        transitions=[Transition(f"go{i}", f"s{i}", f"s{i + 1}") for i in range(length - 1)],
    )


FORMATS: list[Callable[[Lifecycle, str], str]] = [text, mermaid, dot, svg]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_tells_triggers_guards_limits_policies_and_exit_codes(form: Callable) -> None:
    """What a state or an edge declares stands in the picture."""
    shown = form(RICH_EXAMPLE, "agent-example")
    told = words(shown) if form is svg else shown

    for trigger in RICH_EXAMPLE.triggers:
        assert trigger in told
    for fact in (
        "agent-example", "[more_tables]", "[still_changing]", "BAQUP_JOB_TIMEOUT", "1200 s",
        "900 s", "exit 69", "exit 1", "exit 74", "abort", "finish", "row counts against",
    ):  # fmt: skip
        assert fact in told, fact
    for state in RICH_EXAMPLE.states:
        assert state.name.rpartition(".")[2] in told


@pytest.mark.parametrize(
    ("guard", "shown"),
    [
        (lambda **_: True, "[guarded]"),
        (functools.partial(max, 1), "[max]"),
        (type("Stored", (), {"reference": "pack.mod:ready", "__call__": bool})(), "[ready]"),
        (type("Nameless", (), {"__call__": bool})(), "[guarded]"),
    ],
)
def test_a_guard_is_shown_by_its_name_or_as_guarded(guard: Callable, shown: str) -> None:
    """A lambda has no name worth showing; a stored guard has its function's."""
    lifecycle = refine(
        CONTRACT, "running", initial="a", states=[State("a"), State("b")],
        transitions=[Transition("go", "a", "b", guard=guard)],
    )  # fmt: skip

    assert f"go {shown}" in text(lifecycle, "x")


def test_an_edge_that_all_leaves_have_is_drawn_once_from_their_box() -> None:
    """Twenty leaves have twenty `fail` edges, and the picture has one."""
    drawn = picture(chain(20)).arrows
    fails = [arrow for arrow in drawn if arrow.edges[0].trigger == "fail"]

    assert [arrow.source for arrow in fails] == ["initializing", "running", "completing"]
    assert len(fails[1].edges) == 20


def test_an_edge_that_one_leaf_lacks_is_drawn_from_each_leaf() -> None:
    """A box's edge must be true of all that is inside."""
    lifecycle = refine(
        CONTRACT, "running", initial="a", states=[State("a"), State("b"), State("c")],
        transitions=[
            Transition("go", "a", "b"), Transition("on", "b", "c"),
            Transition("complete", "a", "completing"), Transition("complete", "b", "completing"),
        ],
    )  # fmt: skip
    drawn = {(arrow.source, arrow.edges[0].trigger) for arrow in picture(lifecycle).arrows}

    assert {("running.a", "complete"), ("running.b", "complete")} <= drawn
    assert ("running", "complete") not in drawn


def test_guards_that_differ_keep_edges_apart() -> None:
    """Two leaves that leave for the same place under different guards are no common edge."""
    lifecycle = refine(
        CONTRACT, "running", initial="a", states=[State("a"), State("b")],
        transitions=[
            Transition("go", "a", "b"),
            Transition("complete", "a", "completing", guard=lambda: True),
            Transition("complete", "b", "completing"),
        ],
    )  # fmt: skip
    sources = [a.source for a in picture(lifecycle).arrows if a.edges[0].trigger == "complete"]

    assert sources == ["running.a", "running.b"]


def test_an_edge_into_a_box_ends_at_its_border_only_where_it_is_entered() -> None:
    """One that leads to another leaf is drawn to that leaf."""
    lifecycle = refine(
        CONTRACT, "running", initial="a", states=[State("a"), State("b")],
        transitions=[Transition("go", "a", "b")],
    )  # fmt: skip
    lifecycle = refine(
        lifecycle, "initializing", initial="x", states=[State("x"), State("y")],
        transitions=[
            Transition("on", "x", "y"),
            Transition("start", "x", "running.b"), Transition("start", "y", "running.a"),
        ],
    )  # fmt: skip
    arrows = {(a.source, a.target) for a in picture(lifecycle).arrows}

    assert ("initializing.x", "running.b") in arrows
    assert ("initializing.y", "running") in arrows
    assert picture(lifecycle).initial == "initializing"
    assert {n.name: n.first for n in picture(lifecycle).roots}["running"] == "running.a"


@pytest.mark.parametrize("lifecycle", [CONTRACT, RICH_EXAMPLE, chain(30, timeout_s=5)])
def test_the_text_fits_eighty_columns(lifecycle: Lifecycle) -> None:
    """Every line, and the boxes' right borders are in line."""
    lines = text(lifecycle, "a title " * 20).splitlines()

    assert max(map(columns, lines)) == 80
    assert {columns(line) for line in lines if line.startswith(("╭", "│", "╰"))} == {80}


def test_wide_characters_keep_the_borders_in_line() -> None:
    """A character of two columns takes two."""
    lifecycle = chain(2, description="表のすべての行 and e\u0301")
    lines = text(lifecycle, "x").splitlines()

    assert {columns(line) for line in lines if line.startswith(("╭", "│", "╰"))} == {80}


def test_a_long_name_is_cut_rather_than_the_border_broken() -> None:
    """As is a word that no line has room for."""
    lifecycle = refine(
        CONTRACT, "running", initial="n" * 120, states=[State("n" * 120, description="w" * 200)]
    )
    lines = text(lifecycle, "x").splitlines()

    assert {columns(line) for line in lines if line.startswith(("╭", "│", "╰"))} == {80}
    assert sum(line.count("w") for line in lines if set(line) <= set("│ w")) == 200


def test_control_characters_of_a_description_do_not_reach_the_terminal() -> None:
    """A description could come from a file of another's."""
    lifecycle = chain(1, description="red \x1b[31m and\nnext")

    for form in FORMATS:
        shown = form(lifecycle, "t\x07")
        assert "\x1b" not in shown
        assert "\x07" not in shown
        assert "red \\x1b" in shown.replace("#92;", "\\").replace("\\\\", "\\")


def test_markup_in_a_description_is_text() -> None:
    """An SVG stays well formed, whatever it says."""
    told = words(svg(chain(1, description='<b> & "q"'), "<title>"))

    assert '<b> & "q"' in told
    assert "<title>" in told


def test_colour_is_given_only_where_it_is_asked_for() -> None:
    """Without a run there is nothing to paint."""
    assert "\x1b" not in text(CONTRACT, "x", colour=True)


def test_a_lifecycle_too_large_for_a_picture_is_refused_with_what_to_take_instead() -> None:
    """SVG has a limit that the error names; text has none."""
    large = chain(MOST_BOXES)

    with pytest.raises(TooLargeError, match=rf"which is {MOST_BOXES}; take text, mermaid or dot"):
        svg(large, "x")
    assert f"s{MOST_BOXES - 1}" in text(large, "x")


def test_a_notebook_shows_the_picture() -> None:
    """Both forms hold the SVG document."""
    assert CONTRACT._repr_svg_().startswith("<svg")
    assert CONTRACT._repr_svg_().rstrip() in CONTRACT._repr_html_()
