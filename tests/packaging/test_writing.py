"""A project is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from baqup_agent.errors import OutputError, UsageError
from baqup_agent.packaging.writing import check_target, write_all

TEXTS = {"a.txt": "new a", "deep/er/b.txt": "new b", "c.txt": "new c"}


def content(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_new_folder_holds_everything_and_nothing_else(tmp_path: Path) -> None:
    """Folders above it are made as well."""
    write_all(TEXTS, tmp_path / "x" / "y")

    assert content(tmp_path) == {f"x/y/{name}": text for name, text in TEXTS.items()}


def test_an_empty_folder_that_is_there_is_used(tmp_path: Path) -> None:
    """It stays the same folder: a shell that stands in it goes on."""
    before = tmp_path.stat().st_ino

    write_all(TEXTS, tmp_path)

    assert content(tmp_path) == TEXTS
    assert tmp_path.stat().st_ino == before


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    """Only what has the name of a new file is replaced."""
    (tmp_path / "a.txt").write_text("old a")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "mine.txt").write_text("mine")

    write_all(TEXTS, tmp_path)

    assert content(tmp_path) == {**TEXTS, "deep/mine.txt": "mine"}


@pytest.mark.parametrize("obstacle", ["c.txt", "deep/er"])
def test_a_failure_half_way_leaves_everything_as_it_was(tmp_path: Path, obstacle: str) -> None:
    """What was replaced comes back, what was made is gone; a folder in the way is never removed."""
    (tmp_path / "a.txt").write_text("old a")
    if obstacle == "c.txt":
        (tmp_path / "c.txt").mkdir()
        (tmp_path / "c.txt" / "precious").write_text("mine")
    else:
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "er").write_text("mine")
    before, folders = content(tmp_path), sorted(map(str, tmp_path.rglob("*")))

    with pytest.raises(OutputError, match="nothing was changed"):
        write_all(TEXTS, tmp_path)

    assert content(tmp_path) == before
    assert sorted(map(str, tmp_path.rglob("*"))) == folders


def test_an_interrupt_half_way_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is no reason for half a project."""
    (tmp_path / "a.txt").write_text("old a")
    rename, calls = Path.rename, []

    def interrupted(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_all(TEXTS, tmp_path)

    assert content(tmp_path) == {"a.txt": "old a"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_new_folder_is_gone_again_after_a_failure(tmp_path: Path) -> None:
    """Nor is any folder above it left."""
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot be written: Not a directory"):
        write_all(TEXTS, tmp_path / "file" / "x")
    with pytest.raises(OutputError, match="cannot be written"):
        write_all({"a.txt": "", "a.txt/b.txt": ""}, tmp_path / "x" / "y")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """It names some of what is in it, and the way out."""
    for name in "abcde":
        (tmp_path / name).touch()

    with pytest.raises(UsageError, match=r"is not empty \(a, b, c, …\); .*--force"):
        check_target(tmp_path, force=False)
    check_target(tmp_path, force=True)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    """A file, and a link that leads nowhere."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    for name in ("file", "link"):
        with pytest.raises(UsageError, match=f"{name}' is no folder"):
            check_target(tmp_path / name, force=True)
    check_target(tmp_path / "absent", force=False)
