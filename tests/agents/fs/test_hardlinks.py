"""Files with several names: told apart from what takes their number while a walk goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.agents.fs.hardlinks import HardLinks
from baqup_agent.agents.fs.notes import silent
from tests.agents.fs.jobs import Jobs


def after_the_first_name(monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], None]) -> None:
    """Let something happen between the archiving of a file's first name and of the others.

    That is when the second is opened: until the first is closed, nothing gets its number.
    """
    opened, met = os.open, list[str]()

    def opening(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if isinstance(path, str | bytes) and os.fsdecode(path) in {"one", "two", "three"}:
            met.append(os.fsdecode(path))
            if len(met) > 1:
                monkeypatch.undo()
                act(Path(met[0]))
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", opening)


def extracted(published: Path, out: Path) -> Path:
    out.mkdir()
    subprocess.run(["tar", "-xpf", published / "data.tar", "-C", out], check=True)
    return out


@pytest.fixture
def pair(source: Path) -> Path:
    """A source that holds one file with two names."""
    (source / "one").write_bytes(b"the data of A")
    (source / "two").hardlink_to(source / "one")
    os.utime(source / "one", ns=(1, 1))
    return source


def test_a_file_that_takes_anothers_number_keeps_its_content(
    jobs: Jobs, pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that came by a number of an archived one is no name of it, however alike they are."""
    number = (pair / "one").stat().st_ino
    reused: list[bool] = []

    def rotate(_first: Path) -> None:
        (pair / "one").unlink()
        (pair / "two").unlink()
        (pair / "one").write_bytes(b"the data of B")
        (pair / "two").hardlink_to(pair / "one")
        os.utime(pair / "one", ns=(1, 1))
        reused.append((pair / "one").stat().st_ino == number)

    after_the_first_name(monkeypatch, rotate)

    out = extracted(jobs.snapshot(pair), tmp_path / "out")

    held = sorted((out / name).read_bytes() for name in ("one", "two"))
    assert held == [b"the data of A", b"the data of B"]
    assert jobs.last.codes() == ({"FILE_CHANGED": 1} if reused == [True] else {})


def restamp(file: Path) -> None:
    file.write_bytes(b"the data of C")
    os.utime(file, ns=(1, 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "longer": lambda file: file.write_bytes(b"much longer than it was"),
    "rewritten": lambda file: file.write_bytes(b"the data of C"),
    "rewritten with its time kept": restamp,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_between_its_names_is_archived_anew(
    jobs: Jobs, pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Its other name has what stands there when that is met, and that is told with the name."""
    first: list[str] = []

    def act(name: Path) -> None:
        first.append(name.name)
        CHANGES[change](pair / name)

    after_the_first_name(monkeypatch, act)

    out = extracted(jobs.snapshot(pair), tmp_path / "out")

    (other,) = {"one", "two"} - set(first)
    assert (out / first[0]).read_bytes() == b"the data of A"
    assert (out / other).read_bytes() == (pair / other).read_bytes() != b"the data of A"
    assert jobs.last.paths("FILE_CHANGED") == [other]
    assert jobs.last.codes() == {"FILE_CHANGED": 1}


def test_names_of_a_changed_file_refer_to_what_was_archived_last(
    jobs: Jobs, pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change the names that follow are one file again."""
    (pair / "three").hardlink_to(pair / "one")
    after_the_first_name(monkeypatch, lambda name: restamp(pair / name))

    out = extracted(jobs.snapshot(pair), tmp_path / "out")

    assert sorted(path.stat().st_nlink for path in out.iterdir()) == [1, 2, 2]
    assert jobs.last.codes() == {"FILE_CHANGED": 1}


def test_hard_links_are_forgotten_when_all_names_were_met(tmp_path: Path) -> None:
    """The table of multiply named files holds only those of which names are missing."""
    (tmp_path / "one").touch()
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    (tmp_path / "three").hardlink_to(tmp_path / "one")
    found = (tmp_path / "one").stat()
    table = HardLinks(silent)

    assert table.earlier(found, b"one") is None
    table.archived(found, b"one")
    assert table.earlier(found, b"two") == b"one"
    assert len(table) == 1
    assert table.earlier(found, b"three") == b"one"
    assert len(table) == 0
    assert table.earlier(found, b"four") is None
