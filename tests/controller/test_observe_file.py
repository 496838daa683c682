"""Following the file of a file bus while it grows."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.bus.url import parse_bus_url
from baqup_agent.controller.observe import decode_message, open_observer
from baqup_agent.controller.observe_file import FileObserver
from baqup_agent.errors import BusRefused
from tests.controller.runs import JOB_ID


def text(seq: int, **members: Any) -> bytes:
    message = {"type": "heartbeat", "job_id": JOB_ID, "seq": seq, **members}
    return json.dumps(message).encode() + b"\n"


def seqs(messages) -> list[int]:
    return [message["seq"] for message in messages]


def test_lines_are_told_as_they_are_appended(tmp_path):
    """Half a line waits for its other half."""
    file = tmp_path / "bus.jsonl"
    observer = FileObserver(file, JOB_ID)
    observer.start()

    assert observer.poll() == []  # the file is not there yet
    file.write_bytes(text(1) + text(2)[:10])
    assert seqs(observer.poll()) == [1]
    assert observer.poll() == []
    with file.open("ab") as bus:
        bus.write(text(2)[10:] + text(3).rstrip(b"\n"))
    assert seqs(observer.poll()) == [2]
    assert seqs(observer.finish()) == [3]
    observer.close()


def test_what_was_there_before_the_start_is_left_out(tmp_path):
    """It belongs to an earlier attempt at the same job."""
    file = tmp_path / "bus.jsonl"
    file.write_bytes(text(1))
    observer = FileObserver(file, JOB_ID)
    observer.start()
    with file.open("ab") as bus:
        bus.write(text(2))

    assert seqs(observer.finish()) == [2]
    observer.close()


def test_much_more_than_one_read_is_told_whole(tmp_path):
    """Ten megabytes of messages need several reads."""
    file = tmp_path / "bus.jsonl"
    observer = FileObserver(file, JOB_ID)
    observer.start()
    file.write_bytes(b"".join(text(n, filler="x" * 10_000) for n in range(1000)))

    first = seqs(observer.poll())
    assert 0 < len(first) < 1000
    assert first + seqs(observer.finish()) == list(range(1000))
    observer.close()


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_something_else_in_the_files_place_is_no_trouble(kind, tmp_path):
    """It can neither end the run nor make it wait."""
    place = tmp_path / "bus.jsonl"
    if kind == "directory":
        place.mkdir()
    else:
        os.mkfifo(place)
    observer = FileObserver(place, JOB_ID)
    observer.start()

    assert observer.poll() == []
    assert list(observer.finish()) == []
    assert bool(observer.notes()) == (kind == "directory")
    assert observer.notes() == []
    observer.close()


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
    b'{"type":"heartbeat","job_id":"another"}',
    b'{"type":"hello","job_id":"%s"}' % JOB_ID.encode(),
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


def test_unreadable_lines_are_counted(tmp_path):
    """The good ones around them are told."""
    file = tmp_path / "bus.jsonl"
    observer = FileObserver(file, JOB_ID)
    observer.start()
    file.write_bytes(text(1) + b"noise\n" + text(2) + b'{"type":"status","job_id":"x"}\n')

    assert seqs(observer.finish()) == [1, 2]
    assert observer.unreadable == 2
    observer.close()


def test_the_folder_of_a_file_url_may_have_odd_names(tmp_path):
    """Blanks and percent signs stand for themselves in the folder."""
    folder = tmp_path / "a b%c"
    folder.mkdir()
    observer = open_observer(folder.as_uri(), key_prefix="baqup:", job_id=JOB_ID)
    observer.start()
    (folder / f"{JOB_ID}.jsonl").write_bytes(text(1))

    assert seqs(observer.finish()) == [1]
    observer.close()


def test_a_malformed_url_is_refused_without_its_password():
    """In the very words that the agent would use."""
    url = "redis://user:s3cret@host:port/"
    with pytest.raises(BusRefused) as caught:
        open_observer(url, key_prefix="baqup:", job_id=JOB_ID)
    with pytest.raises(BusRefused) as agent:
        parse_bus_url(url)

    assert "s3cret" not in caught.value.message
    assert caught.value.message == agent.value.message
