"""The role restore: verified first, into an empty directory only, and nowhere else."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from baqup_agent.agents.fs.incomplete import MARKER
from baqup_agent.errors import (
    Aborted,
    BaqupError,
    ConfigError,
    DataError,
    JobCancelled,
    LimitExceeded,
    OutputError,
    PathEscape,
    SourceUnavailable,
    VerificationFailed,
)
from baqup_agent.security.member import Kind, Member
from baqup_agent.staging.archive import ArchiveWriter
from tests.agents.fs.jobs import Jobs
from tests.staging.archives import Sink, content_of
from tests.trees import picture


@pytest.fixture
def published(jobs: Jobs, source: Path) -> Path:
    """A published backup of a small tree."""
    (source / "sub").mkdir()
    (source / "sub" / "file").write_bytes(b"content")
    return jobs.snapshot(source)


def rewrite(published: Path, archive: bytes | None = None, **changes: object) -> None:
    """Change a published directory so that its manifest still holds."""
    path = published / "manifest.json"
    manifest = json.loads(path.read_text())
    entry = manifest["artifacts"][0]
    if archive is not None:
        (published / "data.tar").write_bytes(archive)
        entry["size_bytes"] = len(archive)
        entry["checksum"]["value"] = hashlib.sha256(archive).hexdigest()
    entry.update(changes)
    path.write_text(json.dumps(manifest))


def refused(
    error: type[BaqupError], match: str, jobs: Jobs, published: Path, target: Path, **more: object
) -> None:
    with pytest.raises(error, match=match) as caught:
        jobs.restore(published, target, **more)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("kind", ["absent", "empty", "link to empty"])
def test_an_absent_or_empty_target_is_filled(
    jobs: Jobs, source: Path, published: Path, target: Path, kind: str
) -> None:
    """The target is made if it is absent, and used if it is an empty directory."""
    place = target
    if kind != "absent":
        target.mkdir()
    if kind == "link to empty":
        place = target.with_name("alias")
        place.symlink_to("target")

    jobs.restore(published, place)

    assert picture(target) == picture(source)


def test_restore_tells_what_it_did(jobs: Jobs, published: Path, target: Path) -> None:
    """Progress ends at the whole, and the job's metadata says what was restored."""
    jobs.restore(published, target)

    job = jobs.last.job
    job._progress.flush()
    last = jobs.last.progress[-1]
    assert (last["percent_complete"], last["bytes_processed"], last["files_processed"]) == (
        100,
        7,
        1,
    )
    assert job.source_metadata["restored_job_id"] == published.name
    assert job.source_metadata["files_restored"] == 1


@pytest.mark.parametrize("kind", ["a file in it", "a file", "a dangling link", "no parent"])
def test_a_target_that_cannot_be_filled_is_refused(
    jobs: Jobs, published: Path, target: Path, kind: str
) -> None:
    """A target that is not empty, no directory, or cannot be made is left as it is."""
    if kind == "a file in it":
        target.mkdir()
        (target / "theirs").write_bytes(b"precious")
    elif kind == "a file":
        target.write_bytes(b"precious")
    elif kind == "a dangling link":
        target.symlink_to("nothing")
    else:
        target = target / "below" / "nothing"
    before = picture(target) if target.is_dir() else None

    refused(OutputError, "BAQUP_TARGET_PATH", jobs, published, target)

    assert (picture(target) if target.is_dir() else None) == before
    assert kind == "a file in it" or not target.is_dir()


def test_the_target_is_looked_at_before_the_backup_is_read(
    jobs: Jobs, published: Path, target: Path
) -> None:
    """A target that will not do is told at once, not after hours of checking."""
    target.mkdir()
    (target / "theirs").touch()
    (published / "data.tar").write_bytes(b"corrupt")

    refused(OutputError, "not empty", jobs, published, target)


DAMAGES = ["no manifest", "no artifact", "a flipped bit", "cut short", "longer", "other checksum"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("exists", [False, True])
def test_a_backup_that_does_not_verify_is_not_restored(
    jobs: Jobs, published: Path, target: Path, damage: str, exists: bool
) -> None:
    """Without a manifest that holds, the target is not even made."""
    if exists:
        target.mkdir()
        os.utime(target, ns=(1, 1))
    artifact = published / "data.tar"
    content = bytearray(artifact.read_bytes())
    if damage == "no manifest":
        (published / "manifest.json").unlink()
    elif damage == "no artifact":
        artifact.unlink()
    elif damage == "a flipped bit":
        content[len(content) // 2] ^= 1
        artifact.write_bytes(content)
    elif damage == "cut short":
        artifact.write_bytes(content[:-1])
    elif damage == "longer":
        artifact.write_bytes(content + b"x")
    else:
        rewrite(published, checksum={"algorithm": "sha256", "value": "0" * 64})

    refused(VerificationFailed, ".", jobs, published, target)

    assert target.exists() == exists
    if exists:
        assert target.stat().st_mtime_ns == 1


def test_a_backup_with_a_second_artifact_is_verified_whole(
    jobs: Jobs, published: Path, target: Path
) -> None:
    """Every artifact must hold, also those that are not restored."""
    path = published / "manifest.json"
    manifest = json.loads(path.read_text())
    other = {**manifest["artifacts"][0], "filename": "other.bin"}
    manifest["artifacts"].append(other)
    path.write_text(json.dumps(manifest))

    refused(VerificationFailed, r"'other\.bin' is missing", jobs, published, target)
    assert not target.exists()

    (published / "other.bin").write_bytes((published / "data.tar").read_bytes())
    jobs.restore(published, target)
    assert (target / "sub" / "file").read_bytes() == b"content"


def test_a_backup_of_another_agent_is_refused(jobs: Jobs, published: Path, target: Path) -> None:
    """A manifest without an archive of this agent's is bad data."""
    (published / "data.tar").rename(published / "dump.sql")
    rewrite(published, filename="dump.sql")

    refused(DataError, "lists no artifact 'data.tar'", jobs, published, target)

    assert not target.exists()


def test_a_hostile_archive_is_refused(jobs: Jobs, published: Path, target: Path) -> None:
    """An archive whose checksum holds is not trusted for that."""
    out = Sink()
    archive = ArchiveWriter(out)
    archive.add(Member(Kind.DIRECTORY, b"", 0o755))
    archive.add(Member(Kind.SYMLINK, b"l", 0o777, link=b"../outside"))
    with content_of(b"x") as content:
        archive.add_file(Member(Kind.FILE, b"l/new", 0o644, size=1), content)
    archive.close()
    rewrite(published, out.getvalue())
    (target.parent / "outside").mkdir()

    refused(PathEscape, "points out of the target", jobs, published, target)

    assert list((target.parent / "outside").iterdir()) == []


def test_limits_hold_for_restoring_too(jobs: Jobs, published: Path, target: Path) -> None:
    """An archive with more than the limits allow is refused."""
    refused(LimitExceeded, "more than 1 levels", jobs, published, target, max_depth=1)


def test_a_source_that_is_not_there_is_unavailable(
    jobs: Jobs, tmp_path: Path, target: Path
) -> None:
    """A published directory that does not exist is told as that."""
    jobs.staging_dir.mkdir()

    refused(SourceUnavailable, "BAQUP_SOURCE_PATH", jobs, jobs.staging_dir / "gone", target)

    assert not target.exists()


@pytest.mark.parametrize("place", ["staging/new", "staging", ".", "source/new"])
def test_target_staging_and_source_are_apart(
    jobs: Jobs, source: Path, tmp_path: Path, place: str
) -> None:
    """The target lies neither in staging nor in the source, nor they in it."""
    published = jobs.snapshot(source)
    elsewhere = source / "published"
    published.rename(elsewhere)
    place = place.replace("source", "source/published")

    refused(ConfigError, "BAQUP_TARGET_PATH.*inside|inside BAQUP_TARGET_PATH", jobs, elsewhere,
            tmp_path / place)  # fmt: skip

    assert not (tmp_path / place / "sub").exists()


def test_a_cancelled_restore_stops(jobs: Jobs, source: Path, target: Path) -> None:
    """Cancellation is noticed while the tree is written, a few files later."""
    for number in range(100):
        (source / str(number)).write_bytes(b"x")
    published = jobs.snapshot(source)
    write = os.write

    def cancelling(fd: int, data: bytes) -> int:
        if data == b"x":
            jobs.last.token.cancel(Aborted("enough"))
        return write(fd, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", cancelling)
        with pytest.raises(JobCancelled):
            jobs.restore(published, target)

    names = {path.name for path in target.iterdir()}
    assert MARKER in names
    assert len(names) < 20
