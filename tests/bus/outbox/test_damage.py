"""What a power cut, a bad disk or a stranger leaves of an outbox."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from baqup_agent.bus.outbox import Sizes, adopt, open_outbox
from tests.bus.outbox.boxes import SMALL, box, crash, everything, fill, heir, message, numbers, said
from tests.bus.samples import AGENT, JOB

HOME = f"{JOB}/{AGENT}"


@pytest.fixture
def dead(tmp_path) -> Path:
    """The root of an outbox that a killed process left: five records, one acknowledged."""
    outbox = box(tmp_path / "dead", sizes=Sizes(reserve_bytes=0))
    fill(outbox, range(5))
    outbox.acknowledge(1)
    outbox.set_base_ms(1234)
    crash(outbox)
    return tmp_path / "dead"


def copy_with(dead: Path, name: str, content: bytes) -> Path:
    """A copy in which one file has another content."""
    root = dead.parent / "copy"
    if not root.exists():
        shutil.copytree(dead, root)
    (root / HOME / name).write_bytes(content)
    return root


def test_a_torn_tail_is_cut_off_wherever_it_was_torn(dead):
    """Every record before it is read; the torn one had not been taken, so it is not counted."""
    content = (dead / HOME / "00000001.jsonl").read_bytes()
    line = len(content) // 5
    for length in range(len(content) + 1):
        root = copy_with(dead, "00000001.jsonl", content[:length])
        outbox = heir(root)
        # A line that lacks nothing but its line feed is whole.
        whole = (length + 1) // line

        # The cursor says that the first one is acknowledged.
        assert numbers(everything(outbox)) == list(range(1, whole)), length
        assert outbox.corrupt == 0
        crash(outbox)
        on_disk = (root / HOME / "00000001.jsonl").stat().st_size
        assert on_disk - whole * line in {0, -1}, length


def test_one_flipped_bit_costs_no_more_than_the_records_it_touches(dead, long):
    """One record, or two where the line feed between them is hit; told by the count."""
    content = (dead / HOME / "00000001.jsonl").read_bytes()
    line = len(content) // 5
    for place in range(line, len(content)):
        for bit in range(8) if long else (place % 8,):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            outbox = heir(copy_with(dead, "00000001.jsonl", bytes(flipped)))
            read = numbers(everything(outbox))
            crash(outbox)

            hit = place // line
            feed = place % line == line - 1
            lost = ({hit, hit + 1} if feed and hit < 4 else set()) if feed else {hit}
            assert read == [n for n in range(1, 5) if n not in lost], (place, bit)
            assert (outbox.corrupt > 0) == bool(lost), (place, bit)


def test_no_flipped_bit_in_the_cursor_loses_a_record_or_the_base_of_ids(dead):
    """The other half of it says the same, or what was true one write before."""
    content = (dead / HOME / "cursor").read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 4
        outbox = heir(copy_with(dead, "cursor", bytes(flipped)))

        assert numbers(everything(outbox)) == [1, 2, 3, 4]
        assert outbox.base_ms == 1234
        crash(outbox)


@pytest.mark.parametrize("cursor", [b"", b"\0" * 512, b"nonsense", b"\xff" * 5000])
def test_a_lost_cursor_means_from_the_beginning(dead, cursor):
    """Nothing is skipped because of it."""
    outbox = heir(copy_with(dead, "cursor", cursor))

    assert numbers(everything(outbox)) == [0, 1, 2, 3, 4]
    assert outbox.base_ms is None


@pytest.mark.parametrize(
    "metadata",
    [None, b"", b"{", b"[]", b'{"version":1}', b'{"version":2,"job_id":"x"}', b"[" * 100_000],
)
def test_without_metadata_the_directories_names_tell_whose_it_is(dead, metadata):
    """The prefix of the keys is not known then."""
    root = copy_with(dead, "outbox.json", metadata or b"")
    if metadata is None:
        (root / HOME / "outbox.json").unlink()
    outbox = heir(root)

    assert (outbox.identity.job_id, outbox.identity.agent_id) == (JOB, AGENT)
    assert outbox.identity.key_prefix is None
    assert numbers(everything(outbox)) == [1, 2, 3, 4]


def test_segments_alone_are_an_outbox(dead):
    """Everything else can be done without."""
    for name in ("outbox.json", "cursor", "lock", "reserve"):
        (dead / HOME / name).unlink()
    outbox = heir(dead)

    assert numbers(everything(outbox)) == [0, 1, 2, 3, 4]
    outbox.acknowledge(5)
    outbox.close()
    assert not (dead / JOB).exists()


@pytest.mark.parametrize(
    "content",
    [b"\0" * 3000, b"\n\n\n", b"no record\n", b'00000000 {"type":"event"}\n', b"x" * 300_000],
)
def test_garbage_is_counted_and_does_not_hide_what_follows(dead, content):
    """A segment of nothing else may stand between good ones."""
    (dead / HOME / "00000002.jsonl").write_bytes(content)
    good = (dead / HOME / "00000001.jsonl").read_bytes()
    (dead / HOME / "00000003.jsonl").write_bytes(good)
    outbox = heir(dead)

    assert numbers(everything(outbox)) == [1, 2, 3, 4, 0, 1, 2, 3, 4]
    assert outbox.corrupt == sum(1 for _ in content.splitlines(keepends=True)) * (
        content.endswith(b"\n")
    )
    assert outbox.last_ticket == 9 + outbox.corrupt


def test_endless_garbage_is_not_read_into_memory_at_once(dead, monkeypatch):
    """What is longer than any message is damage, whatever follows."""
    for module in ("segments", "segment_files"):
        monkeypatch.setattr(f"baqup_agent.bus.outbox.{module}.LONGEST_LINE_BYTES", 200_000)
    (dead / HOME / "00000002.jsonl").write_bytes(b"x" * 3_000_000)
    (dead / HOME / "00000003.jsonl").write_bytes((dead / HOME / "00000001.jsonl").read_bytes())
    outbox = heir(dead)

    assert numbers(everything(outbox)) == [1, 2, 3, 4, 0, 1, 2, 3, 4]
    assert outbox.corrupt > 0


def test_a_well_formed_line_that_is_no_message_of_ours_is_damage(dead):
    """A checksum does not make a message."""
    from zlib import crc32

    good = said("event", 7)
    foreign = [
        b"[]",
        b"{",
        b"{" * 100_000,
        b'[{"a":' * 100_000,
        b'{"type":"event"\xff}',
        *(
            text.encode()
            for text in (
                said("heartbeat", 1),
                said("event", "1"),
                said("event", True),
                said("event", 1.5),
                good[:-1],
                message(7)[:-1],
                good[:-9],
                good.replace('"j"', "7"),
                good.replace('"agent_id":"a",', ""),
                good.replace("2026-03-01", "2026-02-30"),
                good.replace("2026-03-01", "0000-03-01"),
                good.replace("T12", "T24"),
                good.replace(".250000Z", "Z"),
                good.replace(".250000Z", ".25Z"),
                good.replace("250000Z", "250000"),
                good.replace('"2026-03-01T12:00:00.250000Z"', "null"),
                good.replace('"type":"event"', '"type":["event"]'),
            )
        ),
    ]
    path = dead / HOME / "00000001.jsonl"
    for data in foreign:
        path.write_bytes(path.read_bytes() + b"%08x %b\n" % (crc32(data), data))
    outbox = heir(dead)

    assert numbers(everything(outbox)) == [1, 2, 3, 4]
    assert outbox.corrupt == len(foreign)
    assert not outbox.holds_up_to(0)
    outbox.acknowledge(outbox.last_ticket)
    assert not outbox.holds_up_to(outbox.last_ticket)


def test_a_segment_that_vanishes_is_survived(tmp_path):
    """Those behind it are read all the same, and what is lost is not awaited for ever."""
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(30))
    for name in ("00000002.jsonl", "00000005.jsonl"):
        (tmp_path / HOME / name).unlink()

    records = everything(outbox)
    assert numbers(records) == [*range(7), *range(14, 28)]
    assert outbox.corrupt == 2
    outbox.acknowledge(records[-1].ticket)
    assert everything(outbox) == []
    assert not outbox.holds_up_to(outbox.last_ticket)
    assert outbox.used_bytes == 0


def test_foreign_files_are_never_deleted(dead):
    """Then the directory stays, and is told of once."""
    (dead / HOME / "notes.txt").write_text("mine")
    (dead / HOME / "00000009.jsonl").mkdir()
    outbox = heir(dead)
    outbox.acknowledge(outbox.last_ticket)
    outbox.close()

    left = {path.name for path in (dead / HOME).iterdir()}
    assert left == {"notes.txt", "00000009.jsonl"}
    assert outbox.leftover is not None
    assert str(dead / HOME) in outbox.leftover
    assert list(adopt(dead, JOB, "the-heir")) == []


def test_a_segment_that_is_no_file_is_not_read(dead):
    """A link could lead anywhere, and a pipe would never answer."""
    import os

    (dead / HOME / "00000002.jsonl").symlink_to(dead / HOME / "00000001.jsonl")
    os.mkfifo(dead / HOME / "00000003.jsonl")
    outbox = heir(dead)

    assert numbers(everything(outbox)) == [1, 2, 3, 4]


def test_ones_own_outbox_is_continued_after_a_crash(dead):
    """Under the same agent id: behind what is there, in a new segment."""
    path = dead / HOME / "00000001.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    outbox = open_outbox(dead, job_id=JOB, agent_id=AGENT, key_prefix="other:")
    assert outbox.append("event", "info", message(9)) == 4
    assert outbox.base_ms == 1234
    assert outbox.identity.key_prefix == "other:"

    assert numbers(everything(outbox)) == [1, 2, 3, 9]
    crash(outbox)
    assert numbers(everything(heir(dead))) == [1, 2, 3, 9]


def test_segments_before_the_cursor_are_not_sent_again(tmp_path):
    """A kill may come between moving the cursor and deleting what lies before it."""
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(12))
    first = (tmp_path / HOME / "00000001.jsonl").read_bytes()
    outbox.acknowledge(9)
    crash(outbox)
    (tmp_path / HOME / "00000001.jsonl").write_bytes(first)

    adopted = heir(tmp_path)
    assert numbers(everything(adopted)) == [9, 10, 11]
    assert adopted.corrupt == 0
    assert not (tmp_path / HOME / "00000001.jsonl").exists()


def test_what_comes_after_a_crash_lies_behind_the_cursor(tmp_path):
    """Also when every segment before it is gone."""
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(26))
    outbox.acknowledge(26)
    crash(outbox)
    assert list((tmp_path / HOME).glob("*.jsonl")) == []
    again = box(tmp_path)
    fill(again, range(26, 28))
    crash(again)

    assert numbers(everything(heir(tmp_path))) == [26, 27]


def test_a_name_that_is_taken_is_passed_over(tmp_path):
    """Whatever it is, it is not ours to write to."""
    outbox = box(tmp_path)
    (tmp_path / HOME / "00000001.jsonl").mkdir()
    fill(outbox, range(2))

    assert outbox.degraded is None
    assert (tmp_path / HOME / "00000002.jsonl").exists()
    crash(outbox)
    assert numbers(everything(heir(tmp_path))) == [0, 1]
