"""An outbox in good times and bad: order, acknowledgement, limits."""

from __future__ import annotations

import json
import threading

import pytest

from baqup_agent.bus.outbox import Sizes, open_outbox
from baqup_agent.bus.outbox.room import SHARES
from tests.bus.outbox.boxes import (
    SMALL,
    box,
    crash,
    everything,
    fill,
    heir,
    message,
    numbers,
    said,
    segments,
)
from tests.bus.samples import AGENT, JOB, HandClock

HOME = f"{JOB}/{AGENT}"


@pytest.fixture(params=["quick reader", "slow reader"])
def sizes(request) -> Sizes:
    """Once with everything in memory, once with nearly everything read back from disk."""
    return Sizes() if request.param == "quick reader" else SMALL


def test_records_come_out_as_they_went_in(tmp_path, sizes):
    """In order, letter for letter, with rising tickets."""
    outbox = box(tmp_path, sizes=sizes)
    texts = [message(n, kind="status" if n % 10 == 0 else "event") for n in range(50)]
    tickets = [outbox.append(json.loads(text)["type"], "info", text) for text in texts]
    records = everything(outbox)

    assert tickets == list(range(1, 51)) == [record.ticket for record in records]
    assert [record.text for record in records] == texts
    assert [record.kind for record in records] == [json.loads(text)["type"] for text in texts]
    assert outbox.last_ticket == 50
    assert outbox.read(10, 1000) == []


def test_reading_respects_both_limits(tmp_path, sizes):
    """A number of records, and a number of bytes that one record alone may exceed."""
    outbox = box(tmp_path, sizes=sizes)
    fill(outbox, range(20))
    line_bytes = len(message(0)) + 10

    assert numbers(outbox.read(3, 10_000)) == [0, 1, 2]
    assert numbers(outbox.read(10, 2 * line_bytes)) == [3, 4]
    assert numbers(outbox.read(10, 3 * line_bytes - 1)) == [5, 6]
    assert numbers(outbox.read(10, 1)) == [7]


def test_a_rewind_begins_again_with_the_first_that_is_not_acknowledged(tmp_path, sizes):
    """What was acknowledged does not come back."""
    outbox = box(tmp_path, sizes=sizes)
    fill(outbox, range(30))
    outbox.read(17, 10_000)
    outbox.acknowledge(9)
    outbox.rewind()
    outbox.rewind()

    assert numbers(everything(outbox)) == list(range(9, 30))


def test_holding_is_a_matter_of_tickets(tmp_path, sizes):
    """Everything up to the acknowledged ticket is gone, and nothing behind it."""
    outbox = box(tmp_path, sizes=sizes)
    assert not outbox.holds_up_to(0)
    assert not outbox.holds_up_to(99)
    fill(outbox, range(10))
    outbox.read(10, 10_000)
    outbox.acknowledge(4)

    assert not outbox.holds_up_to(4)
    assert outbox.holds_up_to(5)
    assert outbox.used_bytes == 6 * (len(message(0)) + 10)
    outbox.acknowledge(10)
    assert not outbox.holds_up_to(99)
    assert outbox.used_bytes == 0


def test_a_ticket_can_be_acknowledged_that_was_never_read(tmp_path, sizes):
    """It is skipped."""
    outbox = box(tmp_path, sizes=sizes)
    fill(outbox, range(30))
    outbox.acknowledge(21)

    assert numbers(everything(outbox)) == list(range(21, 30))
    outbox.acknowledge(10**9)
    fill(outbox, range(30, 32))
    assert numbers(everything(outbox)) == [30, 31]


def test_segments_roll_over_and_go_when_they_are_acknowledged(tmp_path):
    """The one that is appended to stays while it is small."""
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(30))  # seven of 140 bytes fit into a segment
    assert segments(tmp_path) == [f"{n:08}.jsonl" for n in range(1, 6)]
    outbox.read(30, 10_000)

    outbox.acknowledge(6)
    assert segments(tmp_path)[0] == "00000001.jsonl"
    outbox.acknowledge(14)
    assert segments(tmp_path) == [f"{n:08}.jsonl" for n in range(3, 6)]
    outbox.acknowledge(30)
    assert segments(tmp_path) == ["00000005.jsonl"]


def test_a_busy_outbox_that_is_always_acknowledged_stays_small(tmp_path):
    """One short segment, however much goes through it."""
    outbox = box(tmp_path, sizes=Sizes(idle_bytes=1000))
    for number in range(200):
        outbox.append("event", "info", message(number))
        outbox.acknowledge(outbox.read(10, 10_000)[-1].ticket)
        on_disk = sum(path.stat().st_size for path in (tmp_path / HOME).glob("*.jsonl"))
        assert on_disk <= 1200
    assert len(segments(tmp_path)) <= 1


def test_closing_removes_what_is_acknowledged_and_keeps_what_is_not(tmp_path):
    """The directory of the job goes with the last outbox in it."""
    kept, gone = box(tmp_path, "kept"), box(tmp_path, "gone")
    fill(kept, range(3))
    fill(gone, range(3))
    kept.acknowledge(1)
    gone.acknowledge(3)
    kept.close()
    gone.close()
    kept.close()

    assert [path.name for path in (tmp_path / JOB).iterdir()] == ["kept"]
    assert kept.append("event", "fatal", message(1)) == 0
    assert kept.read(1, 1) == []
    adopted = heir(tmp_path)
    assert numbers(everything(adopted)) == [1, 2]
    adopted.acknowledge(adopted.last_ticket)
    adopted.close()
    assert list(tmp_path.iterdir()) == []
    assert (kept.leftover, gone.leftover, adopted.leftover) == (None, None, None)


def test_the_least_grave_events_are_refused_first(tmp_path):
    """Each severity up to its share of the limit; refusals are counted, and told to an heir."""
    outbox = box(tmp_path, sizes=Sizes(limit_bytes=140 * 100))
    taken = dict.fromkeys(SHARES, 0)
    for severity in SHARES:
        while outbox.append("event", severity, message(0)):
            taken[severity] += 1

    assert list(taken.values()) == [50, 0, 25, 15, 10, 0]
    assert outbox.dropped == dict.fromkeys(SHARES, 1)
    assert outbox.append("status", "info", message(1, kind="status")) == 101
    assert outbox.append("event", "fatal", message(0)) == 0
    outbox.sync()
    crash(outbox)
    assert heir(tmp_path).dropped == dict.fromkeys(SHARES, 1) | {"fatal": 2}


def test_room_comes_back_with_acknowledgement(tmp_path):
    """A full outbox is not full for ever."""
    outbox = box(tmp_path, sizes=Sizes(limit_bytes=1400))
    fill(outbox, range(10))
    assert outbox.append("event", "error", message(10)) == 0
    outbox.acknowledge(1)

    assert outbox.append("event", "error", message(11)) == 11
    assert numbers(everything(outbox)) == [*range(1, 10), 11]


def test_a_severity_that_does_not_exist_counts_as_info(tmp_path):
    """A refusal is never an error."""
    outbox = box(tmp_path, sizes=Sizes(limit_bytes=200))

    assert outbox.append("event", "odd", message(0, length=191)) == 0
    assert outbox.dropped == {"info": 1}


@pytest.mark.parametrize(
    "text",
    [
        said("event", 1).replace(",", ",\n"),
        said("event", 1, path="\udc80"),
        said("event", 1, path="?").replace("?", "\udc80"),
        said("event", 1, path="?").replace("?", "größe \u2028 🗄"),
        said("event", 1, job_id="größe").replace("\\u00f6", "ö"),
        said("event", 1, job_id='a "b"'),
        said("event", -1),
        json.dumps(dict(reversed(json.loads(said("status", 1)).items()))),
    ],
)
def test_any_json_survives(tmp_path, text):
    """Also what a line, or UTF-8, cannot hold as it is, or is not in our own order."""
    meaning = json.loads(text)
    outbox = box(tmp_path)
    outbox.append(meaning["type"], "info", text)
    crash(outbox)
    (record,) = everything(heir(tmp_path))

    assert json.loads(record.text) == meaning
    assert record.kind == meaning["type"]


def test_a_record_longer_than_everything_passes(tmp_path):
    """Longer than a segment, than a chunk, than what is cached."""
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(3))
    assert outbox.append("event", "error", message(3, length=20_000)) == 4
    fill(outbox, range(4, 8))

    assert numbers(everything(outbox)) == list(range(8))
    crash(outbox)
    assert numbers(everything(heir(tmp_path))) == list(range(8))


def test_the_base_of_stream_ids_is_remembered(tmp_path):
    """By the next process, too, and whatever is acknowledged in between."""
    outbox = box(tmp_path)
    assert outbox.base_ms is None
    fill(outbox, range(2))
    outbox.set_base_ms(1_772_366_400_250)
    outbox.acknowledge(1)
    assert outbox.base_ms == 1_772_366_400_250
    crash(outbox)

    assert heir(tmp_path).base_ms == 1_772_366_400_250


def test_an_outbox_tells_whose_it_is(tmp_path):
    """The metadata are JSON that anybody can read."""
    outbox = box(tmp_path, clock=HandClock())
    said = json.loads((tmp_path / HOME / "outbox.json").read_text())

    assert said == {
        "version": 1,
        "job_id": JOB,
        "agent_id": AGENT,
        "key_prefix": "baqup:",
        "created_at": "2026-03-01T12:00:00.250000Z",
    }
    crash(outbox)
    assert heir(tmp_path).identity == outbox.identity


def test_records_are_lines_with_a_checksum_in_front(tmp_path):
    """As `crc32` of any tool computes it."""
    outbox = box(tmp_path)
    outbox.append("event", "info", '{"type":"event"}')

    assert (tmp_path / HOME / "00000001.jsonl").read_bytes() == b'9dea2f76 {"type":"event"}\n'


def test_threads_may_append_while_another_reads(tmp_path):
    """Everything comes out once, and each thread's records in its order."""
    outbox = box(tmp_path, sizes=SMALL)

    def write(first: int) -> None:
        fill(outbox, range(first, first + 500))

    threads = [threading.Thread(target=write, args=(1000 * n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    read: list[int] = []
    while len(read) < 1500:
        for record in outbox.read(11, 2000):
            read += numbers([record])
            outbox.acknowledge(record.ticket)
    for thread in threads:
        thread.join()

    for n in range(3):
        assert [m for m in read if m // 1000 == n] == list(range(1000 * n, 1000 * n + 500))
    assert not outbox.holds_up_to(outbox.last_ticket)
    assert outbox.used_bytes == 0


def test_in_memory_it_works_the_same_within_its_own_limit(tmp_path):
    """Only that it does not outlive the process."""
    (tmp_path / "file").write_text("")
    outbox = open_outbox(
        tmp_path / "file",
        job_id=JOB,
        agent_id=AGENT,
        key_prefix="",
        sizes=Sizes(memory_bytes=1400),
    )
    assert outbox.degraded is not None
    fill(outbox, range(10))
    outbox.set_base_ms(7)

    assert outbox.append("event", "error", message(10)) == 0
    assert outbox.dropped == {"error": 1}
    assert outbox.append("status", "info", message(11, kind="status")) == 11
    assert numbers(outbox.read(4, 10_000)) == [0, 1, 2, 3]
    outbox.acknowledge(2)
    outbox.rewind()
    outbox.sync()
    assert outbox.base_ms == 7
    assert numbers(everything(outbox)) == [*range(2, 10), 11]
    outbox.acknowledge(11)
    outbox.close()
    assert outbox.used_bytes == 0
