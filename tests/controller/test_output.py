"""Lines of an agent's output: cut, bounded, never waited for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.controller.logs import parse_log_line
from baqup_agent.controller.output import LineBuffer, LineSplitter


@given(st.lists(st.binary(max_size=30)))
def test_however_a_stream_is_cut_its_lines_are_the_same(chunks):
    """A carriage return before the line's end belongs to the end."""
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.end()
    *ended, rest = b"".join(chunks).split(b"\n")
    expected = [line.removesuffix(b"\r") for line in ended]

    rest = rest.removesuffix(b"\r")
    assert lines == expected + ([rest] if rest else [])


@given(st.lists(st.binary(max_size=40)), st.integers(1, 10))
def test_no_line_is_longer_than_its_bound(chunks, bound):
    """What is over is dropped, and the cut is shown; the lines keep their number."""
    splitter = LineSplitter(bound)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.end()
    whole = b"".join(chunks).split(b"\n")
    if not whole[-1].removesuffix(b"\r"):
        whole.pop()

    assert len(lines) == len(whole)
    for line, full in zip(lines, whole, strict=True):
        head, cut, _ = line.partition(b" ... (the rest")
        assert len(head) <= bound
        assert full.startswith(head)
        assert bool(cut) == (len(full) > bound) or b" ... (the rest" in full


def test_an_endless_line_is_cut_when_it_grows_too_long_and_not_at_its_end():
    """Its end may never come, and memory is finite."""
    splitter = LineSplitter(10)

    assert splitter.feed(b"x" * 10) == []
    (line,) = splitter.feed(b"y" * 10)
    assert line.startswith(b"xxxxxxxxxx ... ")
    assert [splitter.feed(b"z" * 10) for _ in range(3)] == [[], [], []]
    assert splitter.feed(b"\nnext\n") == [b"next"]


def test_the_newest_lines_are_kept_and_the_others_counted():
    """The end of a log tells more than its beginning."""
    buffer = LineBuffer(max_bytes=1000)
    for number in range(100):
        buffer.add("stderr", [b"%d" % number])
    lines, dropped = buffer.take()

    assert dropped + len(lines) == 100
    assert [line.text for line in lines] == [str(n) for n in range(dropped, 100)]
    assert 0 < len(lines) < 20
    assert buffer.take() == ([], 0)


def test_empty_lines_are_bounded_too():
    """They cost memory although they have no text."""
    buffer = LineBuffer(max_bytes=6400)
    buffer.add("stderr", [b""] * 1_000_000)

    assert len(buffer.take()[0]) == 100


def test_bytes_that_are_no_text_are_shown_as_escapes():
    """Nothing of them is lost."""
    buffer = LineBuffer()
    buffer.add("stdout", [b"a\xffb"])

    assert buffer.take()[0][0].text == r"a\xffb"


def test_a_log_line_of_the_contract_is_known():
    """Its parts are taken over."""
    line = parse_log_line(
        '{"timestamp":"t","level":"warn","job_id":"j","component":"c","message":"m",'
        '"context":{"a":1}}'
    )

    assert line is not None
    assert (line.level.word, line.component, line.message, line.context) == (
        "warn",
        "c",
        "m",
        {"a": 1},
    )


def test_other_lines_are_no_log_lines():
    """However close they come."""
    lines = [
        "",
        "text",
        "{",
        "{}",
        "[1]",
        '{"level":"warn"}',
        '{"level":"loud","message":"m"}',
        '{"level":3,"message":"m"}',
        '{"level":"warn","message":1}',
        "{" * 50_000,
        '{"a":' * 50_000,
    ]

    assert [line for line in lines if parse_log_line(line) is not None] == []


def test_odd_members_of_a_log_line_are_left_out():
    """The message is still worth showing."""
    line = parse_log_line('{"level":"info","message":"m","component":1,"context":[2]}')

    assert line is not None
    assert (line.component, line.context) == ("", {})
