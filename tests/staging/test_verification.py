from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.checking import check_files
from baqup_agent.staging.checksum import CHUNK_BYTES
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.verification import Damage, verify

from .conftest import CREATED_AT, manifest_of, put
from .forms import AES, AGE, Form, files_of, flip, incompressible, publish, rewrite


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


@pytest.mark.parametrize("parallelism", [1, 4])
def test_progress_counts_every_byte(parallelism, make_staging):
    """It grows to the sum of all sizes, and is told in the caller's thread."""
    staging = make_staging()
    put(staging, "large", os.urandom(6 * CHUNK_BYTES + 5), compress=False)
    put(staging, "small", b"x", compress=False)
    seen = []
    threads = set()

    def progressed(*counts: int) -> None:
        seen.append(counts)
        threads.add(threading.get_ident())

    directory = staging.publish(manifest_of(staging))
    found = verify(directory, on_progress=progressed, parallelism=parallelism)

    total = 6 * CHUNK_BYTES + 6
    done = [count for count, _ in seen]
    assert found.bytes_checked == total
    assert done == sorted(set(done))
    assert done[-1] == total
    assert len(done) == 8
    assert {whole for _, whole in seen} == {total}
    assert threads == {threading.get_ident()}


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


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> Path:
    """A published directory with one artifact in five parts."""
    root = tmp_path_factory.mktemp("split")
    return publish(root, Form("none", split=True), incompressible(300_000))


@pytest.fixture
def parts(split, tmp_path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(split, tmp_path / split.name))


def test_a_split_artifact_verifies(split):
    """Each part by itself."""
    found = verify(split)

    assert found.ok
    assert found.damage is None
    assert [check.artifact.part.number for check in found.checks] == [1, 2, 3, 4, 5]


def test_a_missing_part_is_incomplete(parts):
    """In the middle; the others are found intact."""
    files_of(parts)[2].unlink()

    found = verify(parts)

    assert found.damage is Damage.INCOMPLETE
    assert len(found.problems) == 1
    assert "data.part00003" in found.problems[0]
    assert [check.problem is None for check in found.checks] == [True, True, False, True, True]


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_part_that_the_manifest_does_not_list_is_missed(place, parts):
    """The count says how many there must be."""
    rewrite(parts, lambda artifacts: artifacts.pop(place))

    found = verify(parts)

    assert not found.ok
    assert "data" in found.problems[0]


@pytest.mark.parametrize(
    "change",
    [{"count": 6}, {"count": 4}, {"number": 2}, {"number": 0}, {"of": "other"}],
    ids=str,
)
def test_a_part_that_lies_about_its_place_is_refused(change, parts):
    """Number, count and name must belong together."""
    rewrite(parts, lambda artifacts: artifacts[0]["part"].update(change))

    assert not verify(parts).ok


def test_parts_in_each_others_places_are_corrupt(parts):
    """Both of them."""
    one, two, *_ = files_of(parts)
    one.rename(parts / "x")
    two.rename(one)
    (parts / "x").rename(two)

    found = verify(parts)

    assert found.damage is Damage.CORRUPT
    assert [check.problem is None for check in found.checks] == [False, False, True, True, True]


def test_parts_of_two_runs_are_not_taken_for_one(parts, tmp_path):
    """They have the same names and sizes."""
    other = publish(tmp_path / "other", Form("none", split=True), incompressible(300_000, seed=2))
    shutil.copy(files_of(other)[3], files_of(parts)[3])

    found = verify(parts)

    assert found.damage is Damage.CORRUPT
    assert [check.problem is None for check in found.checks] == [True, True, True, False, True]


@pytest.mark.parametrize("encryption", [AES, AGE])
def test_encrypted_artifacts_are_verified_without_their_key(encryption, tmp_path):
    """The checksum is that of the bytes as stored."""
    directory = publish(tmp_path, Form("zstd", encryption, split=True), incompressible(200_000))

    assert verify(directory).ok
    flip(directory, 100_000)
    assert verify(directory).damage is Damage.CORRUPT


def test_many_files_at_once_are_found_as_one_by_one(tmp_path):
    """With damage of several kinds among them."""
    directory = publish(tmp_path, Form("none", split=True), incompressible(6_000_000))
    flip(directory, 1_000_000)
    files_of(directory)[40].unlink()
    os.truncate(files_of(directory)[60], 5)

    one_by_one, at_once = (verify(directory, parallelism=count) for count in (1, 8))

    assert one_by_one == at_once
    assert len(at_once.problems) == 3
    assert at_once.damage is Damage.CORRUPT


@pytest.mark.parametrize("parallelism", [1, 8])
def test_what_a_listener_raises_ends_the_check(parallelism, tmp_path):
    """A job that is cancelled does not hash to the end, and leaves no thread behind."""

    class Stop(BaseException):
        pass

    def stop(_done: int, _total: int) -> None:
        raise Stop

    directory = publish(tmp_path, Form("none", split=True), bytes(6_000_000))
    with pytest.raises(Stop):
        verify(directory, on_progress=stop, parallelism=parallelism)

    assert not [t for t in threading.enumerate() if t.name.startswith("checksum")]


def sparse(directory: Path, sizes: list[int]) -> list[Artifact]:
    """Files of zeros, and entries that promise something else."""
    artifacts = [Artifact(f"file-{at}", size, "sha256", "0" * 64) for at, size in enumerate(sizes)]
    for artifact in artifacts:
        (directory / artifact.filename).touch()
        os.truncate(directory / artifact.filename, artifact.size_bytes)
    return artifacts


def test_files_of_all_sizes_are_told_in_their_order(tmp_path):
    """Whichever of them is hashed first."""
    artifacts = sparse(tmp_path, [size << 20 for size in (1, 5, 2, 4, 3)])
    directory = os.open(tmp_path, os.O_RDONLY)
    checks = check_files(artifacts, directory, parallelism=3)
    os.close(directory)

    assert [check.artifact for check in checks] == artifacts


def test_a_check_that_was_ended_reads_no_further(tmp_path, monkeypatch):
    """The threads stop at their next chunk."""
    artifacts = sparse(tmp_path, [64 << 20] * 4)
    honest, read = os.readv, []

    def counted(fd: int, buffers: list) -> int:
        read.append(honest(fd, buffers))
        return read[-1]

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "readv", counted)
    directory = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(KeyboardInterrupt):
        check_files(artifacts, directory, stop, parallelism=2)
    os.close(directory)

    assert sum(read) < 64 << 20


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (_flip, Damage.CORRUPT),
        (_cut, Damage.CORRUPT),
        (_remove, Damage.INCOMPLETE),
        (_link, Damage.CORRUPT),
        (_pipe, Damage.CORRUPT),
        (lambda directory: (directory / "extra").touch(), Damage.FOREIGN),
        (lambda directory: (directory / "manifest.json").write_text("{"), Damage.CORRUPT),
        (lambda directory: (directory / "manifest.json").unlink(), Damage.INCOMPLETE),
    ],
    ids=["flip", "cut", "remove", "link", "pipe", "extra", "bad manifest", "no manifest"],
)
def test_incomplete_is_told_apart_from_corrupt(damage, kind, published):
    """Whoever waits for a backup to appear must know which it is."""
    damage(published)

    found = verify(published)

    assert found.damage is kind
    assert [finding.damage for finding in found.findings] == [kind]


def test_the_gravest_damage_names_the_whole(published):
    """A corrupt file outweighs one that is missing, and both a stranger."""
    (published / "extra").touch()
    assert verify(published).damage is Damage.FOREIGN
    _remove(published)
    assert verify(published).damage is Damage.INCOMPLETE
    flip(published, 5)
    assert verify(published).damage is Damage.CORRUPT


def test_the_root_of_staging_is_not_taken_for_a_broken_backup(published):
    """Nothing is to be discarded: the directory of a job is to be named."""
    found = verify(published.parent)

    assert found.damage is Damage.MISNAMED
    assert f"name {published.parent}/JOB_ID" in found.problems[0]
    assert str(published) in found.problems[0]
    assert "discard" not in found.problems[0]
