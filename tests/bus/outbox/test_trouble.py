"""Directories that cannot be used, and disks that fill up, break or are read-only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baqup_agent.bus.outbox import Outbox, Sizes, adopt, open_outbox, outboxes
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

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and chown need root")


def attempt(root: Path, job: str = JOB, agent: str = AGENT) -> Outbox:
    return open_outbox(root, job_id=job, agent_id=agent, key_prefix="")


def works_in_memory(outbox: Outbox) -> bool:
    fill(outbox, range(3))
    outbox.sync()
    return numbers(everything(outbox)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("job", "agent"),
    [
        ("..", AGENT),
        (JOB, ".."),
        ("", AGENT),
        (JOB, ""),
        ("a/b", AGENT),
        (JOB, "../../x"),
        ("a\0b", AGENT),
        (JOB, ".hidden"),
        ("x" * 256, AGENT),
        (JOB, "\ud800"),
    ],
)
def test_an_id_that_can_name_no_directory_is_served_in_memory(tmp_path, job, agent):
    """Nothing is made outside, or anywhere."""
    outbox = attempt(tmp_path / "root", job, agent)

    assert outbox.degraded is not None
    assert "\n" not in outbox.degraded
    assert works_in_memory(outbox)
    assert list(tmp_path.rglob("*.jsonl")) == []
    assert [path.name for path in tmp_path.iterdir()] in ([], ["root"])


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("obstacle", ["link", "dangling link", "file"])
def test_what_is_no_directory_of_its_own_is_not_used(tmp_path, depth, obstacle):
    """Be it the root, the job's directory or the outbox's; links are not followed."""
    way = [tmp_path / "root", tmp_path / "root" / JOB, tmp_path / "root" / JOB / AGENT]
    way[depth].parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "target").mkdir()
    if obstacle == "file":
        way[depth].write_text("mine")
    else:
        way[depth].symlink_to(tmp_path / ("target" if obstacle == "link" else "nowhere"))
    outbox = attempt(tmp_path / "root")

    assert outbox.degraded is not None
    assert ("symbolic link" in outbox.degraded) == (obstacle != "file")
    assert str(way[depth]) in outbox.degraded
    assert works_in_memory(outbox)
    assert list((tmp_path / "target").iterdir()) == []
    assert list(adopt(tmp_path / "root", JOB, "the-heir")) == []


@as_root
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_directory_of_another_user_is_not_used(tmp_path, depth):
    """Neither written to, nor believed."""
    outbox = box(tmp_path / "root")
    fill(outbox, range(3))
    crash(outbox)
    way = [tmp_path / "root", tmp_path / "root" / JOB, tmp_path / "root" / JOB / AGENT]
    os.chown(way[depth], 4321, -1)
    again = attempt(tmp_path / "root")

    assert again.degraded is not None
    assert "another user (uid 4321)" in again.degraded
    assert works_in_memory(again)
    assert list(adopt(tmp_path / "root", JOB, "the-heir")) == []


def test_directories_are_for_their_owner_only(tmp_path):
    """Reports may name paths and hosts."""
    outbox = box(tmp_path / "root")
    fill(outbox, range(1))

    for path in (tmp_path / "root", tmp_path / "root" / JOB, tmp_path / "root" / HOME):
        assert path.stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "root" / HOME).iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def mounted(tmp_path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    path = tmp_path / "mounted"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "none", path], check=True)
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def stuff(root: Path) -> Path:
    """Fill a file system to the last byte."""
    path = root / "stuff"
    with path.open("ab", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return path


@as_root
def test_on_a_full_disk_the_status_is_kept_and_events_stay_in_memory(mounted):
    """After a kill the heir has what had fitted, and the status; nothing is torn."""
    outbox = box(mounted)
    fill(outbox, range(10))
    stuff(mounted)
    for number in range(10, 200):  # the last page of the segment still has room
        assert outbox.append("event", "error", message(number))
    status = message(200, kind="status", length=60_000)
    assert outbox.append("status", "info", status) == 201
    assert outbox.degraded is not None
    assert "No space left" in outbox.degraded
    outbox.sync()
    assert numbers(everything(outbox)) == list(range(201))
    crash(outbox)

    adopted = heir(mounted)
    left = everything(adopted)
    assert left[-1].text == status
    assert left[-1].kind == "status"
    assert 10 <= len(left) - 1 < 190
    assert numbers(left) == [*range(len(left) - 1), 200]
    assert adopted.corrupt == 0


@as_root
def test_a_status_that_was_delivered_from_a_full_disk_does_not_come_back(mounted):
    """Acknowledged is acknowledged, wherever it was kept."""
    outbox = box(mounted)
    stuff(mounted)
    for number, kind in ((0, "event"), (1, "status")):
        assert outbox.append(kind, "info", message(number, kind=kind))
    outbox.acknowledge(1)
    crash(outbox)
    between = heir(mounted)
    assert numbers(everything(between)) == [1]
    between.acknowledge(1)
    crash(between)

    assert everything(heir(mounted)) == []


@as_root
def test_what_comes_after_a_status_in_the_reserve_comes_after_it(mounted):
    """When the same agent goes on after a crash, with room on the disk."""
    outbox = box(mounted)
    stuffing = stuff(mounted)
    outbox.append("status", "info", message(0, kind="status"))
    crash(outbox)
    stuffing.unlink()
    again = box(mounted)
    fill(again, range(1, 3))
    crash(again)

    assert numbers(everything(heir(mounted))) == [0, 1, 2]


@as_root
def test_when_there_is_room_again_everything_goes_to_the_disk_in_order(mounted):
    """With what was read in between, and the status once only."""
    outbox = box(mounted)
    stuffing = stuff(mounted)
    for number in range(150):
        assert outbox.append("event", "error", message(number))
    outbox.append("status", "info", message(150, kind="status"))
    outbox.acknowledge(10)
    assert numbers(outbox.read(70, 100_000)) == list(range(10, 80))
    stuffing.unlink()
    outbox.sync()
    assert outbox.degraded is None
    fill(outbox, range(151, 160))

    assert numbers(everything(outbox)) == list(range(80, 160))
    outbox.rewind()
    assert numbers(everything(outbox)) == list(range(10, 160))
    outbox.acknowledge(21)
    crash(outbox)
    assert numbers(everything(heir(mounted))) == list(range(21, 160))


@as_root
def test_a_full_disk_bounds_memory_and_still_takes_a_status(mounted):
    """Even one that is too long for the reserve is kept, though only in memory."""
    outbox = box(mounted, sizes=Sizes(memory_bytes=14000))
    stuff(mounted)
    taken = sum(outbox.append("event", "error", message(n)) > 0 for n in range(500))

    assert 100 <= taken < 200
    assert outbox.dropped == {"error": 500 - taken}
    assert outbox.append("status", "info", message(1, kind="status", length=100_000))
    outbox.sync()
    crash(outbox)
    adopted = heir(mounted)
    assert {record.kind for record in everything(adopted)} <= {"event"}
    assert adopted.dropped == {"error": 500 - taken}
    assert adopted.corrupt == 0


@as_root
def test_a_disk_that_is_full_from_the_beginning_is_survived(mounted):
    """In memory, if not even the metadata can be written."""
    stuff(mounted)
    outbox = attempt(mounted)

    assert works_in_memory(outbox)
    assert not outbox.holds_up_to(0)


@as_root
def test_a_read_only_disk_is_survived_and_can_be_looked_at(mounted):
    """A new outbox is in memory; one that is there already is read, but nobody's to take over."""
    outbox = box(mounted)
    fill(outbox, range(5))
    crash(outbox)
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    late = attempt(mounted, agent="late")

    assert late.degraded is not None
    assert "Read-only file system" in late.degraded
    assert works_in_memory(late)
    assert list(adopt(mounted, JOB, "late")) == []
    (found,) = outboxes(mounted)
    with contextlib.closing(found.open(repair=False)) as looked:
        assert numbers(everything(looked)) == list(range(5))
    with pytest.raises(OSError, match="Read-only"):
        found.open()


class BrokenDisk:
    """Lets the writes of this process fail, as a dying disk would."""

    def __init__(self, monkeypatch, outbox: Outbox) -> None:
        self._write = os.write
        self._disk = outbox._disk
        self.takes_bytes: int | None = None
        monkeypatch.setattr("baqup_agent.bus.outbox.segments.os.write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        if self.takes_bytes is None:
            return self._write(fd, data)
        if self.takes_bytes == 0:
            raise OSError(5, "Input/output error")
        return self._write(fd, data[: self.takes_bytes])


@pytest.mark.parametrize("takes_bytes", [0, 1, 30])
def test_a_write_that_fails_or_stops_half_way_leaves_no_trace(tmp_path, monkeypatch, takes_bytes):
    """The record is kept in memory and written later, behind those before it."""
    outbox = box(tmp_path)
    disk = BrokenDisk(monkeypatch, outbox)
    fill(outbox, range(3))
    disk.takes_bytes = takes_bytes
    fill(outbox, range(3, 6))
    assert outbox.degraded is not None
    for _ in range(3):
        outbox.sync()
    assert outbox.degraded is not None
    assert segments(tmp_path) == ["00000001.jsonl"]
    lines = (tmp_path / HOME / "00000001.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 3

    disk.takes_bytes = None
    outbox.sync()
    assert outbox.degraded is None
    fill(outbox, range(6, 8))
    crash(outbox)
    adopted = heir(tmp_path)
    assert numbers(everything(adopted)) == list(range(8))
    assert adopted.corrupt == 0


def test_a_sync_that_fails_is_told_and_takes_nothing_away(tmp_path, monkeypatch):
    """Records go on to the disk; only that they might not survive a power cut."""
    outbox = box(tmp_path)
    fill(outbox, range(2))

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", fail)
        outbox.sync()
        assert outbox.degraded is not None
        assert "cannot be synced: Input/output error" in outbox.degraded
        fill(outbox, range(2, 4))
    outbox.sync()

    assert outbox.degraded is None
    crash(outbox)
    assert numbers(everything(heir(tmp_path))) == [0, 1, 2, 3]


def test_a_sync_covers_records_cursor_and_the_names_of_new_files(tmp_path, monkeypatch):
    """Whatever a power cut could take; and nothing that it has covered before."""
    synced: list[str] = []

    def note(real: Callable[[int], None]) -> Callable[[int], None]:
        def sync(fd: int) -> None:
            synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), tmp_path))  # noqa: PTH115
            real(fd)

        return sync

    monkeypatch.setattr("os.fsync", note(os.fsync))
    monkeypatch.setattr("os.fdatasync", note(os.fdatasync))
    outbox = box(tmp_path, sizes=SMALL)
    outbox.set_base_ms(5)
    assert synced == []  # whoever waits to send the first event does not wait for the disk

    fill(outbox, range(10))
    outbox.sync()
    grown = [f"{HOME}/00000001.jsonl", f"{HOME}/00000002.jsonl"]
    assert synced == [*grown, f"{HOME}/cursor", HOME, JOB, "."]
    synced.clear()
    fill(outbox, range(10, 16))
    outbox.sync()
    assert synced == [f"{HOME}/00000002.jsonl", f"{HOME}/00000003.jsonl", HOME]
    synced.clear()
    outbox.sync()
    assert synced == []

    fill(outbox, range(16, 17))
    outbox.acknowledge(1)
    outbox.sync()
    assert synced == [f"{HOME}/00000003.jsonl", f"{HOME}/cursor"]
    outbox.acknowledge(17)
    synced.clear()
    outbox.sync()
    assert synced == [f"{HOME}/cursor"]
