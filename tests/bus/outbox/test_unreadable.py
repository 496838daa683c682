"""Files that are whole but cannot be opened or read for a while: that is trouble, not damage."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from baqup_agent.bus.outbox import Sizes, adopt, open_outbox, outboxes
from tests.bus.outbox.boxes import (
    SMALL,
    box,
    crash,
    everything,
    fill,
    heir,
    message,
    numbers,
    segments,
)
from tests.bus.samples import AGENT, JOB

HOME = f"{JOB}/{AGENT}"


class Trouble:
    """Lets calls of ``os`` fail, all that concern a name or the one of a certain number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self.calls = 0

    def on(self, call: str, name: str = "", code: int = errno.EIO, *, only: int = 0) -> None:
        """Make a call fail.

        Args:
            call: what fails, say ``open``.
            name: only if its first argument is this text.
            code: the error.
            only: only the call of this number, from 1; 0 for each.
        """
        real: Callable[..., object] = getattr(os, call)

        def fail(*arguments: object, **options: object) -> object:
            if not name or arguments[0] == name:
                self.calls += 1
                if only in {0, self.calls}:
                    raise OSError(code, os.strerror(code))
            return real(*arguments, **options)

        self._patch.setattr(os, call, fail)

    def over(self) -> None:
        self._patch.undo()


@pytest.fixture
def trouble(monkeypatch) -> Trouble:
    """Nothing fails yet."""
    return Trouble(monkeypatch)


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208


def target(descriptor: str) -> str:
    """What a descriptor is open for; nothing if it was only there for listing them."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize(
    ("call", "code"), [("open", errno.EMFILE), ("open", errno.EACCES), ("pread", errno.EIO)]
)
def test_what_cannot_be_read_at_present_is_read_later(tmp_path, trouble, call, code):
    """It is told by an error, and nothing is skipped, acknowledged or counted as damage."""
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(30))
    outbox.append("status", "info", message(30, kind="status"))
    used_bytes = outbox.used_bytes
    first = outbox.read(4, 10_000)  # these are in memory
    trouble.on(call, code=code)
    for _ in range(3):
        with pytest.raises(OSError, match=os.strerror(code)):
            outbox.read(10, 10_000)
    assert (outbox.corrupt, outbox.used_bytes) == (0, used_bytes)
    assert outbox.holds_up_to(1)
    trouble.over()

    assert numbers(first + everything(outbox)) == list(range(31))
    outbox.acknowledge(31)
    assert (outbox.corrupt, outbox.used_bytes) == (0, 0)


def test_what_was_read_before_the_trouble_is_handed_over(tmp_path, trouble):
    """The records in memory first; the next call tells of those on disk."""
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(10))
    trouble.on("open", code=errno.EMFILE)

    assert numbers(outbox.read(10, 10_000)) == [0, 1, 2, 3]
    with pytest.raises(OSError, match="Too many open files"):
        outbox.read(10, 10_000)
    trouble.over()
    assert numbers(everything(outbox)) == list(range(4, 10))


def test_closing_in_trouble_keeps_what_was_not_acknowledged(tmp_path, trouble):
    """The next process finds all of it."""
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(30))
    outbox.acknowledge(2)
    trouble.on("pread")
    with pytest.raises(OSError, match="Input/output"):
        outbox.read(20, 10_000) and outbox.read(20, 10_000)
    with pytest.raises(OSError, match="Input/output"):
        outbox.acknowledge(30)
    assert outbox.holds_up_to(3)
    outbox.close()
    trouble.over()

    assert numbers(everything(heir(tmp_path))) == list(range(2, 30))


def test_the_segment_that_is_being_read_stays_open(tmp_path, trouble):
    """Without a descriptor to be had, it is read to its end."""
    outbox = box(tmp_path, sizes=Sizes(cached_records=4, chunk_bytes=300))
    fill(outbox, range(30))
    outbox.read(5, 10_000)
    trouble.on("open", code=errno.EMFILE)

    assert numbers(everything(outbox)) == list(range(5, 30))


def test_descriptors_for_reading_are_given_back(tmp_path):
    """Those of segments that are done, and the last one on closing."""
    before = open_descriptors()
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(35))
    at_work = len(open_descriptors())
    for _ in range(5):
        outbox.acknowledge(outbox.read(7, 10_000)[-1].ticket)
        assert len(open_descriptors()) <= at_work + 1
    assert [
        path for path in map(target, open_descriptors()) if path.endswith(".jsonl (deleted)")
    ] == []
    outbox.close()

    assert open_descriptors() == before


@pytest.mark.parametrize("name", ["00000001.jsonl", "00000003.jsonl", "cursor", "reserve"])
@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_an_orphan_that_cannot_be_opened_at_present_is_left_as_it_is(tmp_path, trouble, name, code):
    """Every byte, and unlocked, for the next to take over; and another one is not kept waiting."""
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(30))
    outbox.acknowledge(2)
    outbox.set_base_ms(99)
    crash(outbox)
    whole = files(tmp_path / HOME)
    before = open_descriptors()
    trouble.on("open", name, code)
    assert list(adopt(tmp_path, JOB, "the-heir")) == []
    trouble.over()

    assert files(tmp_path / HOME) == whole
    assert open_descriptors() == before
    adopted = heir(tmp_path)
    assert adopted.base_ms == 99
    assert numbers(everything(adopted)) == list(range(2, 30))
    adopted.close()


@pytest.mark.parametrize("call", ["open", "pread", "read", "scandir", "dup", "fstat"])
def test_trouble_at_any_step_of_an_adoption_loses_and_leaks_nothing(tmp_path, trouble, call):
    """Whichever descriptor is the one too many, whichever read fails."""
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(30))
    outbox.acknowledge(2)
    outbox.set_base_ms(99)
    crash(outbox)
    before = open_descriptors()
    for step in range(1, 100):
        trouble.calls = 0
        trouble.on(call, code=errno.EMFILE, only=step)
        for adopted in adopt(tmp_path, JOB, "the-heir"):
            adopted.close()
        trouble.over()
        assert open_descriptors() == before, step
        if trouble.calls < step:
            break
    assert step > 1
    adopted = heir(tmp_path)

    assert adopted.base_ms == 99
    assert adopted.identity == outbox.identity
    assert adopted.corrupt == 0
    assert numbers(everything(adopted)) == list(range(2, 30))


def test_orphans_are_opened_one_after_the_other(tmp_path):
    """However many there are, they take the descriptors of one."""
    for number in range(40):
        outbox = box(tmp_path, f"dead-{number:02}")
        fill(outbox, range(number, number + 1))
        crash(outbox)
    before = len(open_descriptors())
    read: list[int] = []
    for adopted in adopt(tmp_path, JOB, "the-heir"):
        assert len(open_descriptors()) < before + 10
        read += numbers(everything(adopted))
        adopted.acknowledge(1)
        adopted.close()

    assert read == list(range(40))
    assert len(open_descriptors()) == before
    assert not (tmp_path / JOB).exists()


def test_looking_at_what_cannot_be_read_tells_why(tmp_path, trouble):
    """Instead of an outbox that seems to be empty."""
    outbox = box(tmp_path)
    fill(outbox, range(3))
    crash(outbox)
    (found,) = outboxes(tmp_path)
    trouble.on("open", "00000001.jsonl", errno.EIO)

    with pytest.raises(OSError, match="Input/output"):
        found.open(repair=False)


@pytest.mark.parametrize("call", ["open", "write", "pwrite", "rename", "scandir", "fstat"])
def test_an_opening_that_fails_at_any_step_leaves_no_directory_and_no_descriptor(
    tmp_path, trouble, call
):
    """Messages are kept in memory then."""
    before = open_descriptors()
    for step in range(1, 100):
        trouble.calls = 0
        trouble.on(call, code=errno.EMFILE, only=step)
        outbox = open_outbox(tmp_path, job_id=JOB, agent_id=AGENT, key_prefix="")
        trouble.over()
        if outbox.degraded is not None:
            assert list(tmp_path.iterdir()) == [], step
            assert open_descriptors() == before, step
        outbox.close()
        assert open_descriptors() == before, step
        if trouble.calls < step:
            break

    assert step > 1


@pytest.mark.parametrize("call", ["open", "write", "pwrite", "rename", "pread", "read"])
def test_a_reopening_that_fails_at_any_step_keeps_what_is_there(tmp_path, trouble, call):
    """And lets go of the lock, so that another process can have it."""
    outbox = box(tmp_path, sizes=SMALL)
    fill(outbox, range(10))
    crash(outbox)
    before = open_descriptors()
    for step in range(1, 100):
        trouble.calls = 0
        trouble.on(call, code=errno.EMFILE, only=step)
        again = open_outbox(tmp_path, job_id=JOB, agent_id=AGENT, key_prefix="baqup:")
        again.close()
        trouble.over()
        assert open_descriptors() == before, step
        if trouble.calls < step:
            break
    adopted = heir(tmp_path)

    assert adopted.identity.created_at == outbox.identity.created_at
    assert numbers(everything(adopted)) == list(range(10))


def test_an_outbox_goes_on_without_a_reserve(tmp_path):
    """What stands in its place is no concern of ours; the rest is on disk."""
    outbox = box(tmp_path)
    fill(outbox, range(2))
    crash(outbox)
    (tmp_path / HOME / "reserve").unlink()
    (tmp_path / HOME / "reserve").mkdir()
    before = open_descriptors()
    again = box(tmp_path)
    fill(again, range(2, 4))
    again.close()

    assert open_descriptors() == before
    assert numbers(everything(heir(tmp_path))) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["outbox.json", "cursor", "reserve"])
def test_what_stands_in_the_place_of_a_small_file_takes_no_descriptor(tmp_path, name):
    """Not even when the outbox is only looked at."""
    outbox = box(tmp_path)
    fill(outbox, range(2))
    crash(outbox)
    (tmp_path / HOME / name).unlink()
    (tmp_path / HOME / name).mkdir()
    before = open_descriptors()
    (found,) = outboxes(tmp_path)
    looked = found.open(repair=False)
    assert numbers(everything(looked)) == [0, 1]
    looked.close()

    assert open_descriptors() == before


@pytest.mark.parametrize("longer", [0, 1])
def test_a_segment_may_be_followed_by_the_next_at_any_instant(tmp_path, monkeypatch, longer):
    """Between reading to its end and noting so; with a record more at its end, or without."""
    outbox = box(tmp_path, sizes=Sizes(segment_bytes=2000, cached_records=3))
    fill(outbox, range(12))
    assert outbox._segments is not None
    load, at_end = outbox._segments.load, []

    def load_and_append(*arguments):
        piece = load(*arguments)
        if not at_end:
            at_end.append(piece.position)
            fill(outbox, range(12, 12 + longer))
            outbox.append("event", "error", message(12 + longer, length=1900))
        return piece

    monkeypatch.setattr(outbox._segments, "load", load_and_append)
    read: list[int] = []
    while records := outbox.read(3, 10_000):
        read += numbers(records)
        outbox.acknowledge(records[-1].ticket)

    assert len(at_end) == 1
    assert read == list(range(13 + longer))
    assert outbox.used_bytes == 0


def test_records_that_come_while_the_end_is_read_are_not_passed_over(tmp_path, monkeypatch):
    """Be it in the very same segment, before the next one begins."""
    outbox = box(tmp_path, sizes=Sizes(segment_bytes=2000, cached_records=3))
    fill(outbox, range(10))
    assert outbox._segments is not None
    read_file, appended = outbox._segments._read, []

    def read_and_append(*arguments):
        data = read_file(*arguments)
        if not appended:
            appended.append(True)
            fill(outbox, range(10, 20))  # some of them here, the others in the next segment
        return data

    monkeypatch.setattr(outbox._segments, "_read", read_and_append)

    assert numbers(everything(outbox)) == list(range(20))
    assert segments(tmp_path) == ["00000001.jsonl", "00000002.jsonl"]


def test_refusals_are_counted_without_a_write_and_told_with_the_next_one(tmp_path, trouble):
    """Whoever reports in a full outbox does not wait for the disk; an heir is told all the same."""
    outbox = box(tmp_path, sizes=Sizes(limit_bytes=500))
    fill(outbox, range(3))
    trouble.on("pwrite", only=-1)
    for _ in range(50):
        assert outbox.append("event", "error", message(9)) == 0
    assert trouble.calls == 0
    trouble.over()
    shutil.copytree(tmp_path, tmp_path.parent / "killed")
    assert outbox.dropped == {"error": 50}

    outbox.sync()
    shutil.copytree(tmp_path, tmp_path.parent / "synced")
    outbox.append("event", "error", message(9))
    outbox.acknowledge(1)
    shutil.copytree(tmp_path, tmp_path.parent / "acknowledged")
    fill(outbox, range(3, 4))
    outbox.append("event", "error", message(9))
    outbox.close()
    roots = [tmp_path.parent / name for name in ("killed", "synced", "acknowledged")]
    assert [heir(root).dropped.get("error") for root in (*roots, tmp_path)] == [None, 50, 51, 52]


def test_a_cursor_whose_sync_failed_is_synced_again(tmp_path, trouble):
    """A failure is not taken for success the second time."""
    outbox = box(tmp_path)
    fill(outbox, range(1))
    outbox.sync()
    outbox.set_base_ms(7)
    trouble.on("fdatasync")
    outbox.sync()
    outbox.sync()

    assert trouble.calls == 2
    assert outbox.degraded is not None


def test_a_base_of_ids_survives_a_kill_before_any_sync(tmp_path):
    """Two writes, and no waiting for the disk."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from baqup_agent.bus.outbox import open_outbox\n"
        "outbox = open_outbox(Path(sys.argv[1]), job_id=sys.argv[2], agent_id='a', key_prefix='')\n"
        "outbox.append('event', 'info', sys.argv[3])\n"
        "outbox.set_base_ms(4711)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), JOB, message(1)]
    assert subprocess.run(command, check=False).returncode == -9

    assert heir(tmp_path).base_ms == 4711


def test_what_a_forked_child_appends_is_counted_as_refused(tmp_path):
    """In its own process only, whatever the severity or the kind."""
    outbox = box(tmp_path)
    fill(outbox, range(2))
    child = os.fork()
    if not child:
        try:
            took = outbox.append("event", "warn", message(2))
            took += outbox.append("status", "fatal", message(3, kind="status"))
            outbox.close()
            took += outbox.append("event", "warn", message(4))
            os._exit(0 if not took and outbox.dropped == {"warn": 2, "fatal": 1} else 1)
        finally:
            os._exit(99)
    _, ended = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(ended) == 0
    assert outbox.dropped == {}
    assert numbers(everything(outbox)) == [0, 1]
