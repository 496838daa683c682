"""The stack of directories still to be entered: small in memory, complete, last in first out."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from baqup_agent.agents.fs import pending
from baqup_agent.agents.fs.pending import Pending, PendingDirectories
from baqup_agent.errors import IOFailure
from tests.agents.fs.jobs import Jobs
from tests.trees import picture


def directory(number: int) -> Pending:
    name = b"\xff\n%d" % number
    return Pending(name, b"place/" + name, b"place", ((b"", b"a"), (b"b", b"b/\n")))


def test_directories_come_back_last_first(tmp_path: Path) -> None:
    """However many were put on the stack, they come back as they were, the last one first."""
    stack = PendingDirectories(tmp_path)
    for number in range(20_000):
        stack.push(directory(number))
        if number % 3 == 0:
            assert stack.pop() == directory(number)
            stack.push(directory(number))

    back = [stack.pop() for _ in range(20_000)]

    assert back == [directory(number) for number in reversed(range(20_000))]
    assert not stack
    stack.close()


def test_the_stack_stays_small(tmp_path: Path) -> None:
    """Fifty thousand directories take less memory than half as many would in a list."""
    stack = PendingDirectories(tmp_path)
    tracemalloc.start()
    try:
        for number in range(50_000):
            stack.push(Pending(b"%0100d" % number, b"%0100d" % number))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        stack.close()

    assert peak < 5_000_000


def test_the_file_of_the_stack_has_no_name(tmp_path: Path) -> None:
    """What overflows to disk leaves nothing behind, even if the process is killed."""
    stack = PendingDirectories(tmp_path)
    for number in range(10_000):
        stack.push(directory(number))

    assert not list(tmp_path.iterdir())

    stack.close()
    assert not stack


def test_the_room_on_disk_is_used_again(tmp_path: Path) -> None:
    """Filling and emptying the stack over and over takes no more disk than doing it once."""
    stack = PendingDirectories(tmp_path)
    sizes = []
    for _ in range(5):
        for number in range(10_000):
            stack.push(directory(number))
        assert stack._file is not None
        sizes.append(os.fstat(stack._file.fileno()).st_size)
        while stack:
            stack.pop()
    stack.close()

    assert len(set(sizes)) == 1


def test_a_stack_without_a_place_to_overflow_to_is_told(tmp_path: Path) -> None:
    """A staging area that takes no file ends the job with an I/O error that names it."""
    stack = PendingDirectories(tmp_path / "gone")

    def fill() -> None:
        for number in range(10_000):
            stack.push(directory(number))

    with pytest.raises(IOFailure, match=r"gone': No such file or directory; give the staging"):
        fill()
    stack.close()


def test_wide_directories_come_back(
    jobs: Jobs, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree whose directories overflow at every level is archived whole."""
    monkeypatch.setattr(pending, "MOST_IN_MEMORY", 8)
    for outer in range(20):
        for inner in range(20):
            (source / str(outer) / str(inner)).mkdir(parents=True)
            (source / str(outer) / str(inner) / "file").touch()

    jobs.restore(jobs.snapshot(source), target)

    assert picture(target) == picture(source)


def test_links_that_are_followed_in_circles_end_beyond_the_overflow(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a directory stands in is known of it even after it was put on disk."""
    monkeypatch.setattr(pending, "MOST_IN_MEMORY", 2)
    for number in range(10):
        (source / f"d{number}" / "in").mkdir(parents=True)
        (source / f"d{number}" / "in" / "up").symlink_to("../../.." if number % 2 else "..")
    (source / "also").symlink_to("d1/in")

    jobs.snapshot(source, follow_symlinks="follow")

    assert jobs.last.codes() == {"SYMLINK_EXTERNAL": 6, "SYMLINK_SKIPPED": 5}


def test_a_directory_above_where_a_link_led_is_no_circle(jobs: Jobs, source: Path) -> None:
    """Only what was entered on the way is a circle, not what merely lies above such a place."""
    (source / "a").mkdir()
    (source / "z" / "w").mkdir(parents=True)
    (source / "z" / "file").write_bytes(b"x")
    (source / "a" / "l").symlink_to("../z/w")
    (source / "z" / "w" / "m").symlink_to("..")

    jobs.snapshot(source, follow_symlinks="follow")

    # a/l/m is z, and holds the file once more; its w is where a/l led, and z/w/m is z itself.
    assert jobs.last.job.source_metadata["files_included"] == 2
    assert set(jobs.last.paths("SYMLINK_SKIPPED")) == {"a/l/m/w", "z/w/m"}
