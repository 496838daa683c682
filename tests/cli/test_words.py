"""Small pieces of text that the views are made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.cli import run
from baqup_agent.cli.text import count, duration, printable, size
from baqup_agent.cli.views import plain
from baqup_agent.cli.views.agent_lines import shown
from baqup_agent.cli.views.phrases import ended, event_line, intent_line, progress_line, state_word
from baqup_agent.controller.launch import Exit
from baqup_agent.controller.output import OutputLine
from baqup_agent.controller.picture import EventTally, Intent, JobPicture


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_300_000, "1.2 MiB"),
        (5 << 30, "5.0 GiB"),
        (7 << 40, "7.0 TiB"),
        (3 << 50, "3.0 PiB"),
        (5000 << 50, "5000.0 PiB"),
    ],
)
def test_sizes_have_a_unit_that_keeps_them_short(size_bytes, text):
    """Binary units, one decimal."""
    assert size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 00 s"),
        (125.6, "2 min 06 s"),
        (3599.6, "1 h 00 min"),
        (3720, "1 h 02 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_durations_are_as_exact_as_one_wants_to_know(seconds, text):
    """Tenths of a second at first, minutes at last."""
    assert duration(seconds) == text


def test_counts_know_their_plural():
    """And how to be read when they are large."""
    assert [count(n, "file") for n in (0, 1, 12345)] == ["0 files", "1 file", "12,345 files"]


@given(st.text())
def test_printable_text_is_one_line_without_control_characters(text):
    """Whatever an agent wrote; what was printable stays as it is."""
    made = printable(text)

    assert made.isprintable()
    assert made == text or not text.isprintable()


def test_long_text_is_cut_and_its_length_told():
    """A line of a megabyte is no use to anybody."""
    assert printable("x" * 5000, 10) == "xxxxxxxxxx… (5000 characters)"


def test_phrases_leave_out_what_is_unknown():
    """No 'None', no empty brackets."""
    known = JobPicture(
        state="running",
        substate="running.dumping",
        intent=Intent("dump", expected_s=5.0),
        percent=41.7,
        bytes_processed=2048,
        files_processed=1,
        current_file="a\x1b",
        remaining_s=61.0,
    )

    assert state_word(JobPicture()) == "starting"
    assert state_word(known) == "running.dumping"
    assert (intent_line(JobPicture()), intent_line(known)) == ("", "dump, about 5.0 s")
    assert intent_line(JobPicture(intent=Intent("dump"))) == "dump"
    assert progress_line(JobPicture()) == "0 B, 0 files"
    assert progress_line(known) == r"42 %, 2.0 KiB, 1 file, about 1 min 01 s left, a\x1b"
    assert event_line(EventTally("A", "info", "m", 1)) == "info A: m"
    assert event_line(EventTally("A", "warn", "m", 1200, ("p", "q"))) == "warn A x1,200: m (p)"
    assert ended(Exit(75)) == "the agent ended with exit code 75"
    assert ended(Exit(None, 15)) == "the agent was ended by SIGTERM"
    assert ended(Exit(None, 250)) == "the agent was ended by signal 250"


def test_empty_lines_and_empty_members_of_a_log_line_are_not_shown():
    """They say nothing."""
    line = '{"level":"warn","message":"m","context":{"a":[],"b":null,"c":"","d":0,"e":[1]}}'
    told = shown(OutputLine("stderr", line), verbose=False)

    assert told is not None
    assert told.text == "warn m d=0 e=[1]"
    assert shown(OutputLine("stderr", "  "), verbose=True) is None


def test_progress_is_told_now_and_then(monkeypatch, capsys):
    """Not with every message; here the pause is none, and then endless."""
    view = plain.PlainView()
    picture = JobPicture(bytes_processed=2048)
    monkeypatch.setattr(plain, "PROGRESS_EVERY_S", 0.0)
    view.message({"type": "progress"}, picture)
    monkeypatch.setattr(plain, "PROGRESS_EVERY_S", 1e9)
    view.message({"type": "progress"}, picture)

    assert capsys.readouterr().out.count("progress: 2.0 KiB, 0 files\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [(KeyboardInterrupt(), 130, "interrupted"), (PermissionError(13, "denied"), 74, "denied")],
)
def test_what_interrupts_the_program_itself_is_one_line(error, code, word, monkeypatch, capsys):
    """Before or after an agent runs."""

    def fail() -> None:
        raise error

    monkeypatch.setattr("baqup_agent.controller.spec.spec_dir", fail)
    monkeypatch.setattr("baqup_agent.controller.spec._load", lambda name: fail())

    assert run(["explain", "75"]) == code
    assert word in capsys.readouterr().err
