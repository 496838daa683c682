from __future__ import annotations

import os
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.checksum import CHUNK_BYTES
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.verification import verify

from .conftest import CREATED_AT, manifest_of, put


def test_a_published_directory_verifies(published):
    """Every artifact is named, every byte was read."""
    found = verify(published)

    assert found.ok
    assert (found.problems, found.notes) == ((), ())
    assert [check.artifact.filename for check in found.checks] == ["data.sql.zst", "notes.txt"]
    assert all(check.problem is None for check in found.checks)
    assert found.bytes_checked == sum(a.size_bytes for a in found.manifest.artifacts)


def _flip(directory: Path) -> None:
    content = bytearray((directory / "notes.txt").read_bytes())
    content[0] ^= 1
    (directory / "notes.txt").write_bytes(content)


def _cut(directory: Path) -> None:
    os.truncate(directory / "notes.txt", 3)


def _append(directory: Path) -> None:
    with (directory / "notes.txt").open("ab") as file:
        file.write(b"x")


def _remove(directory: Path) -> None:
    (directory / "notes.txt").unlink()


def _link(directory: Path) -> None:
    copy = directory.parent / "copy"
    (directory / "notes.txt").rename(copy)
    (directory / "notes.txt").symlink_to(copy)


def _folder(directory: Path) -> None:
    (directory / "notes.txt").unlink()
    (directory / "notes.txt").mkdir()


def _pipe(directory: Path) -> None:
    (directory / "notes.txt").unlink()
    os.mkfifo(directory / "notes.txt")


DAMAGES = {
    _flip: "sha256",
    _cut: "has 3 bytes, the manifest promises 10",
    _append: "has 11 bytes",
    _remove: "missing",
    _link: "cannot be read",
    _folder: "not a regular file",
    _pipe: "not a regular file",
}


@pytest.mark.parametrize(("damage", "word"), DAMAGES.items(), ids=lambda item: str(item)[10:20])
def test_damage_is_found_and_named(damage, word, published):
    """One line with the file's name; the other artifact is still found intact."""
    damage(published)

    found = verify(published)

    assert not found.ok
    [problem] = found.problems
    assert "'notes.txt'" in problem
    assert word in problem
    assert "\n" not in problem
    assert [check.problem for check in found.checks] == [None, problem]


@pytest.mark.parametrize("entry", ["extra.tar", "line\nbreak", ".hidden", os.fsdecode(b"\xff")])
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_the_manifest_does_not_list_is_a_problem(entry, kind, published):
    """Nobody vouches for it."""
    path = published / entry
    if kind == "file":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/nowhere")

    found = verify(published)

    assert not found.ok
    [problem] = found.problems
    assert repr(entry) in problem
    assert "unlisted" in problem
    assert "\n" not in problem


def test_many_unlisted_files_do_not_flood_the_report(published):
    """The first ones by name, the rest by number."""
    for number in range(100):
        (published / f"extra-{number:03}").touch()

    found = verify(published)

    assert len(found.problems) == 21
    assert found.problems[0].startswith("'extra-000'")
    assert found.problems[-1] == "80 more files are unlisted"


def test_the_orphan_status_is_no_stranger(published, staging):
    """Neither it nor what a kill left of it spoils a good backup."""
    staging.write_orphan_status({"status": "success"})
    (published / ".baqup-status.json.tmp").touch()

    assert verify(published).ok


@pytest.mark.parametrize(("left", "notes"), [(0, 0), (1, 1)])
def test_a_staging_that_was_left_is_at_most_a_note(left, notes, published):
    """A kill between publication and tidying up does no harm."""
    (published / ".staging").mkdir()
    for number in range(left):
        (published / ".staging" / str(number)).touch()

    found = verify(published)

    assert found.ok
    assert len(found.notes) == notes


def test_no_manifest_means_incomplete(published):
    """The reader's first rule, whatever else is there."""
    (published / "manifest.json").unlink()

    found = verify(published)

    assert not found.ok
    assert found.manifest is None
    assert found.checks == ()
    assert "incomplete" in found.problems[0]


@pytest.mark.parametrize("kind", ["absent", "file"])
def test_what_is_no_directory_is_a_problem_not_an_exception(kind, tmp_path):
    """The path is named."""
    path = tmp_path / "place"
    if kind == "file":
        path.touch()

    found = verify(path)

    assert not found.ok
    assert str(path) in found.problems[0]


def test_another_jobs_manifest_is_a_problem(published):
    """A directory that bears an id holds that job's backup."""
    moved = published.with_name(str(uuid4()))
    published.rename(moved)

    found = verify(moved)

    assert not found.ok
    assert published.name in found.problems[0]
    assert moved.name in found.problems[0]


def test_a_copy_under_a_name_of_its_own_verifies(published):
    """Whoever moves a backup away may name it as he likes."""
    moved = published.with_name("monday")
    published.rename(moved)

    assert verify(moved).ok


def test_progress_counts_every_byte(make_staging):
    """It grows to the sum of all sizes."""
    staging = make_staging()
    put(staging, "large", os.urandom(2 * CHUNK_BYTES + 5), compress=False)
    put(staging, "small", b"x", compress=False)
    seen = []

    found = verify(
        staging.publish(manifest_of(staging)), on_progress=lambda *counts: seen.append(counts)
    )

    total = 2 * CHUNK_BYTES + 6
    assert found.bytes_checked == total
    assert [done for done, _ in seen] == [CHUNK_BYTES, 2 * CHUNK_BYTES, total - 1, total]
    assert {whole for _, whole in seen} == {total}


def test_a_checksum_that_cannot_be_computed_here_is_a_problem(make_staging, monkeypatch):
    """Not checked is not verified; the remedy is named."""
    staging = make_staging(checksum_algorithm="blake3")
    put(staging, "data", b"x")
    directory = staging.publish(manifest_of(staging))
    monkeypatch.setitem(sys.modules, "blake3", None)

    found = verify(directory)

    assert not found.ok
    assert "baqup-agent[blake3]" in found.problems[0]


@settings(max_examples=200)
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_no_content_of_a_manifest_makes_verification_raise(content, tmp_path_factory):
    """It is refused, whatever it is."""
    directory = tmp_path_factory.mktemp("job")
    (directory / "manifest.json").write_bytes(content)

    assert not verify(directory).ok


def test_a_manifest_cannot_lead_out_of_its_directory(tmp_path):
    """A name with a path in it is refused before anything is opened."""
    (tmp_path / "secret").write_bytes(b"")
    directory = tmp_path / "job"
    directory.mkdir()
    wire = Manifest(
        str(uuid4()), "a", "snapshot", CREATED_AT, [Artifact("x", 0, "sha256", "0" * 64)]
    ).to_bytes()
    (directory / "manifest.json").write_bytes(wire.replace(b'"x"', b'"../secret"'))

    found = verify(directory)

    assert found.manifest is None
    assert "filename" in found.problems[0]
