"""Reading the files of a file bus while they grow."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.bus.url import parse_bus_url
from baqup_agent.controller import BusReader
from baqup_agent.controller.observe import decode_message
from baqup_agent.errors import BusRefused
from tests.controller.runs import JOB_ID
from tests.controller.wire import at, event, line, message, seqs

OTHER = "0" * 8 + JOB_ID[8:]


def text(seq: int, **members: Any) -> bytes:
    return line(message("heartbeat", seq, **{"timestamp": at(seq), **members}))


@pytest.fixture
def file(tmp_path):
    return tmp_path / f"{JOB_ID}.jsonl"


@pytest.fixture
def reader(tmp_path):
    with BusReader(tmp_path.as_uri(), job_id=JOB_ID, only_new=True) as reader:
        yield reader


def append(file, *lines: bytes) -> None:
    with file.open("ab") as bus:
        bus.write(b"".join(lines))


def test_lines_are_told_as_they_are_appended(file, reader):
    """Half a line waits for its other half."""
    assert reader.poll() == []  # the file is not there yet
    append(file, text(1) + text(2)[:10])
    assert seqs(reader.poll()) == [1]
    assert reader.poll() == []
    append(file, text(2)[10:] + text(3).rstrip(b"\n"))
    assert seqs(reader.poll()) == [2]
    assert seqs(reader.finish()) == [3]


def test_what_was_there_before_the_start_is_left_out(file, tmp_path):
    """It belongs to an earlier attempt at the same job."""
    append(file, text(1))
    with BusReader(tmp_path.as_uri(), job_id=JOB_ID, only_new=True) as reader:
        append(file, text(2))

        assert seqs(reader.finish()) == [2]


def test_much_more_than_one_read_is_told_whole(file, reader):
    """Ten megabytes of messages need several reads."""
    append(file, *[text(n, filler="x" * 10_000) for n in range(1000)])

    first = seqs(reader.poll())
    assert 0 < len(first) < 1000
    assert first + seqs(reader.finish()) == list(range(1000))


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_something_else_in_the_files_place_is_told_once(kind, file, reader):
    """It can neither end the run nor make it wait."""
    if kind == "directory":
        file.mkdir()
    else:
        os.mkfifo(file)

    assert reader.poll() == []
    assert list(reader.finish()) == []
    assert ["no regular file" in note for note in reader.notes()] == [True]
    assert reader.notes() == []
    assert not reader.seeing


BAD = [
    b"",
    b"null",
    b"[]",
    b"12",
    b'"text"',
    b"{",
    b"{}",
    b"\xff\xfe",
    b'{"type":"heartbeat"}',
    b'{"type":"heartbeat","timestamp":"2026-01-15T03:00:00Z","job_id":"another"}',
    b'{"type":"heartbeat","timestamp":"yesterday","job_id":"%s"}' % JOB_ID.encode(),
    b'{"type":"heartbeat","job_id":"%s"}' % JOB_ID.encode(),
    b'{"type":"hello","timestamp":"2026-01-15T03:00:00Z","job_id":"%s"}' % JOB_ID.encode(),
    b'{"type":["status"],"job_id":"%s"}' % JOB_ID.encode(),
    b'{"type":"progress","job_id":"%s","percent_complete":NaN}' % JOB_ID.encode(),
    b"[" * 100_000,
    b'{"type":"status","job_id":"%s","seq":1' % JOB_ID.encode() + b"0" * 10_000 + b"}",
]


@pytest.mark.parametrize("raw", BAD, ids=lambda raw: repr(raw[:30]))
def test_what_is_no_message_of_this_job_is_refused(raw):
    """Whatever it is instead."""
    assert decode_message(raw, JOB_ID) is None


@given(st.binary(max_size=300))
def test_no_bytes_end_the_decoding(raw):
    """Noise is no message, and no error either."""
    assert decode_message(raw, JOB_ID) is None


def test_unreadable_lines_are_counted(file, reader):
    """The good ones around them are told."""
    append(file, text(1), b"noise\n", text(2), text(3, job_id=OTHER))

    assert seqs(reader.finish()) == [1, 2]
    assert reader.unreadable == 2


def test_stale_lines_are_left_out_and_events_are_not(file, reader):
    """The latest heartbeat counts; every event does, in the order of the file."""
    append(file, text(5), text(3), *[line(event(n, timestamp=at(9 - n))) for n in (6, 7)])

    assert seqs(reader.finish()) == [5, 6, 7]


def test_a_beat_after_its_agents_clock_was_set_back_is_told(file, reader):
    """Its number is new; what is repeated has an old one."""
    ahead = [text(n, timestamp=at(3600 + n)) for n in (1, 2)]
    append(file, *ahead, text(3), ahead[1], text(4, timestamp=at(3602)), text(3))

    assert seqs(reader.finish()) == [1, 2, 3, 4]


def test_events_that_are_written_twice_are_told_once(file, reader):
    """Whoever adopts what a killed agent left cannot know how far it had come."""
    dead = [line(event(n, agent_id="dead", timestamp=at(n))) for n in (1, 2, 3, 4)]
    append(file, *dead[:3])
    assert seqs(reader.poll()) == [1, 2, 3]
    append(file, line(event(1, timestamp=at(9))), *dead[1:], line(event(2, timestamp=at(9))))

    assert seqs(reader.finish()) == [1, 4, 2]


def test_events_that_say_not_whose_they_are_are_all_told(file, reader):
    """Two processes that name no agent both count from one."""
    append(file, *[line({**event(n, timestamp=at(n)), "agent_id": None}) for n in (1, 2, 1)])

    assert seqs(reader.finish()) == [1, 2, 1]


@pytest.mark.parametrize("how", ["cut short", "replaced"])
def test_a_file_that_is_not_what_it_was_is_read_anew(how, file, reader):
    """What was told from it before is not told again."""
    old = [line(event(n, timestamp=at(n), message="x" * 100)) for n in (1, 2, 3)]
    append(file, *old)
    assert seqs(reader.poll()) == [1, 2, 3]
    if how == "replaced":
        file.rename(file.with_suffix(".old"))
        append(file, *old, line(event(4, timestamp=at(4))))
    else:
        os.truncate(file, 0)
        append(file, old[2], line(event(4, timestamp=at(4))))

    assert seqs(reader.poll()) == [4]
    append(file, line(event(5, timestamp=at(5))))
    assert seqs(reader.finish()) == [5]


def test_a_reader_of_all_finds_every_file(tmp_path):
    """Those that are there, and those that come; whatever else lies about is no matter."""
    bus = tmp_path / "bus"
    with BusReader(bus.as_uri()) as reader:
        assert reader.poll() == []
        bus.mkdir()
        (bus / "README").write_text("no messages")
        append(bus / f"{JOB_ID}.jsonl", text(1))
        assert seqs(reader.poll()) == [1]
        append(bus / f"{OTHER}.jsonl", text(2, job_id=OTHER))
        append(bus / f"{JOB_ID}.jsonl", text(3))
        assert sorted(seqs(reader.poll())) == [2, 3]
        assert reader.seeing


def test_following_a_file_ends_in_time(file, reader):
    """A file cannot wake its reader, who looks often."""
    append(file, text(1), text(2))

    assert seqs(reader.follow(until=lambda one: one.seq == 1)) == [1]
    assert seqs(reader.follow(timeout_s=0.01)) == [2]


def test_the_folder_of_a_file_url_may_have_odd_names(tmp_path):
    """Blanks and percent signs stand for themselves in the folder."""
    folder = tmp_path / "a b%c"
    folder.mkdir()
    with BusReader(folder.as_uri(), job_id=JOB_ID) as reader:
        append(folder / f"{JOB_ID}.jsonl", text(1))

        assert seqs(reader.finish()) == [1]


def test_a_malformed_url_is_refused_without_its_password():
    """In the very words that the agent would use."""
    url = "redis://user:s3cret@host:port/"
    with pytest.raises(BusRefused) as caught:
        BusReader(url)
    with pytest.raises(BusRefused) as agent:
        parse_bus_url(url)

    assert "s3cret" not in caught.value.message
    assert caught.value.message == agent.value.message
