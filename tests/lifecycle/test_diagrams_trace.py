"""Traces: what is read, what is tolerated, what is refused, and a run laid over its lifecycle."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len as columns

from baqup_agent import CONTRACT
from baqup_agent.lifecycle.diagrams import (
    Overlay,
    TraceError,
    dot,
    mermaid,
    overlay,
    parse_trace,
    read_trace,
    svg,
    text,
    timeline_svg,
    timeline_text,
)
from baqup_agent.lifecycle.diagrams.colours import STROKE
from baqup_agent.lifecycle.diagrams.overlay import Mark
from baqup_agent.lifecycle.diagrams.timeline import timeline
from tests.lifecycle.rich_example import RICH_EXAMPLE
from tests.lifecycle.traces import CUT, FAILING, GOOD, begin, records, written

PATH = Path("run.jsonl")


def laid_over(tmp_path: Path, *arguments: Any) -> Overlay:
    return overlay(RICH_EXAMPLE, read_trace(written(tmp_path / "t", records(*arguments))))


def test_times_are_summed_over_the_visits_of_a_leaf(tmp_path: Path) -> None:
    """Two stays in `rows` are one sum, with their number."""
    run = laid_over(tmp_path, GOOD, (0, None))

    assert run.spent_s["running.dumping.rows"] == pytest.approx(60)
    assert run.visits["running.dumping.rows"] == 2
    assert run.stay_text("running.dumping.rows") == "1 min 00 s in 2 visits"
    assert run.stay_text("initializing") == "500 ms"
    assert run.stay_text("terminated") == ""
    assert sum(run.spent_s.values()) == pytest.approx(sum(after for _, after in GOOD))


def test_a_run_that_has_not_ended_stands_where_its_last_step_led(tmp_path: Path) -> None:
    """Its time there goes on up to what counts as now."""
    trace = read_trace(written(tmp_path / "t", records(CUT)))
    run = overlay(RICH_EXAMPLE, trace, until_s=trace.last_s + 30)

    assert run.current == "running.dumping.rows"
    assert run.ending == "stands in running.dumping.rows, no end in the trace"
    assert run.spent_s["running.dumping.rows"] == pytest.approx(90)
    assert run.state_mark("running") is Mark.CURRENT
    assert run.state_mark("completing") is Mark.UNTOUCHED


def test_the_failing_edge_is_the_last_step_into_failed(tmp_path: Path) -> None:
    """With the error code of the end, in every format, and red where there is colour."""
    run = laid_over(tmp_path, FAILING, (69, "SOURCE_UNAVAILABLE"))
    shown = {form: form(RICH_EXAMPLE, "x", run) for form in (text, mermaid, dot, svg)}
    red = STROKE[Mark.FAILED]

    assert "✗ fail ──▶ failed SOURCE_UNAVAILABLE, exit 69" in shown[text]
    assert (
        "running_dumping_rows --> failed: ✗ fail#58; SOURCE_UNAVAILABLE, exit 69"
        in (shown[mermaid])
    )
    assert "class running_dumping_rows failed" in shown[mermaid]
    (edge,) = re.findall(r'"running.dumping.rows" -> "failed" \[(.*)\]', shown[dot])
    assert 'label="fail: SOURCE_UNAVAILABLE, exit 69"' in edge
    assert f'color="{red}"' in edge
    assert re.search(rf'<path d="M[^"]*" fill="none" stroke="{red}"', shown[svg])
    assert re.search(rf'fill="{red}"[^>]*>SOURCE_UNAVAILABLE, exit 69<', shown[svg])
    assert run.state_mark("running.dumping.rows") is Mark.FAILED
    assert run.state_mark("running.dumping.schema") is Mark.VISITED


@pytest.mark.parametrize("form", [text, mermaid, dot, svg])
def test_every_format_marks_what_was_visited_and_taken(form: Callable, tmp_path: Path) -> None:
    """With the time spent, and how often an edge was taken."""
    run = laid_over(tmp_path, GOOD, (0, None))
    shown = form(RICH_EXAMPLE, "x", run)
    told = "".join(ET.fromstring(shown).itertext()) if form is svg else shown
    taken = {text: "✓ described", mermaid: "✓ described", dot: "described", svg: "described"}

    assert "1 min 00 s in 2 visits" in told
    assert f"{taken[form]} \u00d72" in told or f"{taken[form]} ──▶ rows \u00d72" in told
    assert "ended with exit 0" in told
    if form is not mermaid:
        assert form(RICH_EXAMPLE, "x", run) != form(RICH_EXAMPLE, "x", None)


def test_a_terminal_is_painted_with_marks_in_colour_and_in_signs(tmp_path: Path) -> None:
    """Whoever cannot tell the colours apart still sees the signs."""
    run = laid_over(tmp_path, FAILING, (69, "SOURCE_UNAVAILABLE"))
    painted = text(RICH_EXAMPLE, "x", run, colour=True)

    assert re.search(r"\x1b\[1;31m.*✗ fail.*\x1b\[0m", painted)
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == text(RICH_EXAMPLE, "x", run)


def test_a_torn_last_line_is_tolerated_and_said(tmp_path: Path) -> None:
    """A killed process leaves half a line; the run is read up to it."""
    path = written(tmp_path / "t", records(CUT), torn='{"type": "step", "trig')
    trace = read_trace(path)
    run = overlay(RICH_EXAMPLE, trace)

    assert len(trace.steps) == len(CUT)
    assert trace.notes == (f"line {len(CUT) + 2} is torn, as a killed process leaves it",)
    for form in (text, mermaid, dot, svg):
        assert "is torn" in form(RICH_EXAMPLE, "x", run)
    assert "is torn" in timeline_text(trace)
    assert "is torn" in timeline_svg(trace)


def test_of_several_runs_in_a_file_the_last_is_read(tmp_path: Path) -> None:
    """And it is said."""
    rows = [*records(GOOD, (0, None)), *records(CUT)]
    trace = read_trace(written(tmp_path / "t", rows))

    assert (len(trace.steps), trace.end) == (len(CUT), None)
    assert trace.notes == (f"the file holds several runs; this is the one from line {12 + 1}",)


def test_what_a_later_version_adds_is_passed_over() -> None:
    """Unknown members and unknown types of lines."""
    rows = [begin(more=1), {"type": "note", "x": 1}, *records(CUT)[1:]]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()

    assert len(parse_trace(data, PATH).steps) == len(CUT)


def changed(number: int, **members: Any) -> list[dict[str, Any]]:
    """A good trace with one line changed."""
    rows = records(GOOD, (0, None))
    rows[number - 1] = {**rows[number - 1], **members}
    return rows


@pytest.mark.parametrize(
    ("rows", "line", "problem"),
    [
        (records(GOOD)[1:], 1, "a 'step' before any 'begin'"),
        (changed(1, version=2), 1, "trace version 2 is not known here; it must be 1"),
        (changed(1, initial=7), 1, "'initial' must be a text, not 7"),
        (changed(1, monotonic_s="x"), 1, "'monotonic_s' must be seconds, not 'x'"),
        (changed(1, monotonic_s=True), 1, "'monotonic_s' must be seconds, not True"),
        (changed(3, monotonic_s=float("nan")), 3, "'monotonic_s' must be seconds, not nan"),
        (changed(3, monotonic_s=5), 3, "time runs backwards, from 100.5 s to 5 s"),
        (changed(3, source="running"), 3, "a step leaves 'running' while the run stands in"),
        (changed(3, trigger=None), 3, "'trigger' must be a text, not None"),
        (changed(3, type=3), 3, "it has no 'type'"),
        (changed(12, exit_code="0"), 12, "'exit_code' must be a number, not '0'"),
        (changed(12, error_code=3), 12, "'error_code' must be text or null, not 3"),
        ([*records(GOOD, (0, None)), *records(GOOD)[1:]], 13, "a step after the run's end"),
        ([*records(GOOD, (0, None)), records(GOOD, (0, None))[-1]], 13, "a second end"),
    ],
)
def test_a_trace_that_does_not_fit_is_refused_with_file_and_line(
    rows: list[dict[str, Any]], line: int, problem: str, tmp_path: Path
) -> None:
    """A picture of a misread run would be worse than none."""
    path = written(tmp_path / "t", rows)

    with pytest.raises(TraceError, match=re.escape(problem)) as caught:
        read_trace(path)
    assert str(caught.value).startswith(f"'{path}:{line}': ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no line of a trace"),
        (b"\n\n", "holds no line of a trace"),
        (b"\x89PNG\r\n\x1a\n\n", ":1': is no JSON: it is not UTF-8"),
        (b"hello\n", ":1': is no JSON: Expecting value at column 1"),
        (b"[1]\n", ":1': is no line of a trace"),
        (b"[" * 100_000 + b"\n", ":1': is no JSON: it is nested too deep"),
        (json.dumps(begin()).encode() + b"\nhalf\n{}\n", ":2': is no JSON"),
        (json.dumps(begin()).encode() + b"\nhalf\n", ":2': is no JSON"),
    ],
)
def test_what_is_no_trace_is_refused(data: bytes, message: str) -> None:
    """Only what follows the last newline can be torn; half a line before it is damage."""
    with pytest.raises(TraceError, match=re.escape(message)):
        parse_trace(data, PATH)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes) -> None:
    """Whatever follows a good beginning is read or refused."""
    said = ""
    try:
        trace = parse_trace(json.dumps(begin()).encode() + b"\n" + data, PATH)
        assert trace.initial == "initializing"
    except TraceError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (records(GOOD), "no leaf 'running.connecting'"),
        (records([("start", 1), ("complete", 1)], lifecycle=CONTRACT)[:1], "began in 'initial"),
    ],
)
def test_a_trace_of_another_lifecycle_is_refused(
    rows: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    """The leaf is named with its line, and what to draw the trace over."""
    rows[0]["initial"] = rows[0]["initial"] if len(rows) > 1 else "initial"
    trace = read_trace(written(tmp_path / "t", rows))

    with pytest.raises(TraceError, match=re.escape(message)) as caught:
        overlay(CONTRACT, trace)
    assert "the lifecycle of its own agent" in str(caught.value)


def test_an_edge_that_the_lifecycle_lacks_is_refused_with_its_line(tmp_path: Path) -> None:
    """Known leaves under another trigger are another lifecycle's as well."""
    path = written(tmp_path / "t", changed(2, trigger="begin"))

    with pytest.raises(TraceError, match=r":2': the lifecycle has no 'begin' from 'initializing'"):
        overlay(RICH_EXAMPLE, read_trace(path))


def test_a_timeline_accounts_for_all_of_the_time(tmp_path: Path) -> None:
    """The stays of all rows add up to the whole."""
    line = timeline(read_trace(written(tmp_path / "t", records(GOOD, (0, None)))))

    assert sum(row.total_s for row in line.rows) == pytest.approx(line.total_s)
    assert [row.leaf for row in line.rows][:2] == ["initializing", "running.connecting"]
    assert "terminated" not in [row.leaf for row in line.rows]


def test_a_timeline_shows_each_leaf_with_its_time_share_and_place(tmp_path: Path) -> None:
    """At eighty columns, with the bar where the stay was."""
    shown = timeline_text(read_trace(written(tmp_path / "t", records(GOOD, (0, None)))))
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}

    assert max(map(columns, shown.splitlines())) <= 80
    assert "1 min 00 s   75%" in lines["running.dumping.rows"]
    assert "2 visits, 30.0 s each on average, 40.0 s at most" in shown
    assert "ended with exit 0" in shown
    starts = [
        len(lines[leaf]) for leaf in ("initializing", "running.connecting", "completing.sealing")
    ]
    assert starts == sorted(starts)


def test_a_timeline_of_a_failure_names_it(tmp_path: Path) -> None:
    """In text, and in red in the picture."""
    trace = read_trace(written(tmp_path / "t", records(FAILING, (69, "SOURCE_UNAVAILABLE"))))

    assert "ended with SOURCE_UNAVAILABLE, exit 69" in timeline_text(trace)
    ET.fromstring(timeline_svg(trace))
    assert STROKE[Mark.FAILED] in timeline_svg(trace)
    assert STROKE[Mark.FAILED] not in timeline_svg(
        read_trace(written(tmp_path / "u", records(GOOD, (0, None))))
    )


def test_a_timeline_of_no_time_at_all_is_drawn(tmp_path: Path) -> None:
    """A run that was killed at once has one row and no length."""
    trace = read_trace(written(tmp_path / "t", records([])))

    assert "initializing" in timeline_text(trace)
    ET.fromstring(timeline_svg(trace))


def test_twenty_thousand_steps_make_a_small_timeline() -> None:
    """Stays that no eye could tell apart are one bar."""
    rows = records([("start", 1), ("connected", 1), ("described", 1)])
    loop = {"type": "step", "trigger": "next_table"}
    leaf = "running.dumping.rows"
    rows += [
        {**loop, "source": leaf, "target": leaf, "monotonic_s": 103 + i / 1000}
        for i in range(20_000)
    ]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    trace = parse_trace(data, PATH)

    assert len(timeline_svg(trace)) < 20_000
    assert "20001 visits" in timeline_text(trace)
