from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from baqup_agent.config.settings import ArtifactSettings
from baqup_agent.errors import (
    AlreadyPublished,
    ConfigError,
    InternalError,
    IOFailure,
    NoArtifact,
    OutputError,
)
from baqup_agent.staging.area import Staging
from baqup_agent.staging.verification import verify

from .conftest import manifest_of, mounted, names, put, tree


def one_line(error: OutputError, *words: object) -> None:
    """The error is one line that names all of these."""
    assert "\n" not in error.message
    for word in words:
        assert str(word) in error.message


# prepare


def test_prepare_makes_the_directories(staging, root, job_id):
    """The root is made too, where its parent is there."""
    assert staging.directory == root / job_id
    assert names(staging.directory) == [".staging"]
    assert not staging.published


def test_what_prepare_makes_is_not_for_everybody(make_staging, root):
    """Modes are under the umask, and never include others."""
    previous = os.umask(0)
    try:
        staging = make_staging()
    finally:
        os.umask(previous)

    for directory in (root, staging.directory, staging.directory / ".staging"):
        assert directory.stat().st_mode & 0o777 == 0o750


def test_a_root_that_is_a_link_to_a_directory_is_the_operators_choice(make_staging, tmp_path):
    """Only below the root are links refused."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    staging = make_staging(at=tmp_path / "link")

    assert (tmp_path / "real" / staging.directory.name / ".staging").is_dir()


def test_a_root_without_a_parent_is_refused(make_staging, tmp_path):
    """A mistyped path is not created in full."""
    with pytest.raises(OutputError) as caught:
        make_staging(at=tmp_path / "no" / "such")

    one_line(caught.value, tmp_path / "no" / "such", "No such file", "create its parent")
    assert caught.value.exit_code == 73


def test_a_root_that_is_a_file_is_refused(make_staging, tmp_path):
    """The path and the remedy are named."""
    (tmp_path / "file").touch()

    with pytest.raises(OutputError) as caught:
        make_staging(at=tmp_path / "file")

    one_line(caught.value, tmp_path / "file", "Not a directory", "put a directory there")


def test_a_root_that_cannot_be_written_to_is_refused(read_only, make_staging):
    """Found out at the start, not after hours of work."""
    with pytest.raises(OutputError) as caught:
        make_staging(at=read_only)

    one_line(caught.value, read_only, "BAQUP_STAGING_DIR")
    assert names(read_only) == []


def test_a_job_directory_that_is_a_link_is_refused(make_staging, root, job_id, tmp_path):
    """Nothing is made or removed where the link leads."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").touch()
    root.mkdir()
    (root / job_id).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OutputError) as caught:
        make_staging()

    one_line(caught.value, root / job_id, "link")
    assert names(tmp_path / "elsewhere") == ["precious"]


def test_a_job_directory_that_is_a_file_is_refused(make_staging, root, job_id):
    """It is left alone."""
    root.mkdir()
    (root / job_id).write_text("not ours")

    with pytest.raises(OutputError, match="put a directory there"):
        make_staging()

    assert (root / job_id).read_text() == "not ours"


def test_a_published_job_is_never_touched(published, make_staging):
    """The second attempt at a job that has a manifest ends at once."""
    before = tree(published)

    with pytest.raises(AlreadyPublished) as caught:
        make_staging()

    one_line(caught.value, published, "manifest", "BAQUP_JOB_ID")
    assert caught.value.exit_code == 73
    assert tree(published) == before
    assert verify(published).ok


def test_leftovers_of_an_attempt_that_was_not_published_are_removed(
    make_staging, root, job_id, log, tmp_path
):
    """Only inside the job's directory, no link followed, the orphan status kept."""
    precious = tmp_path / "precious"
    (precious / "folder").mkdir(parents=True)
    (precious / "file").write_text("keep")
    job = root / job_id
    (job / ".staging" / "scratch" / "deep").mkdir(parents=True)
    (job / ".staging" / "scratch" / "deep" / "file").touch()
    (job / ".staging" / "scratch" / "link").symlink_to(precious)
    (job / ".staging" / "data.tar.zst").touch()
    (job / ".staging" / os.fsdecode(b"caf\xe9")).touch()
    (job / "moved.tar.zst").touch()
    (job / "link").symlink_to(precious / "file")
    (job / "folder").symlink_to(precious)
    (job / ".baqup-status.json").write_text("{}")
    (job / ".baqup-status.json.tmp").touch()
    (root / "another-job").mkdir()

    make_staging()

    assert names(job) == [".baqup-status.json", ".staging"]
    assert names(job / ".staging") == []
    assert tree(precious) == {"file": b"keep"}
    assert names(root) == sorted([job_id, "another-job"])
    assert ("info", "leftovers of an unpublished attempt removed") in log.records


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_staging_that_is_no_directory_is_a_leftover(kind, make_staging, root, job_id, tmp_path):
    """It is replaced by a real one; what a link points to is left alone."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (root / job_id).mkdir(parents=True)
    hidden = root / job_id / ".staging"
    if kind == "link":
        hidden.symlink_to(precious)
    else:
        hidden.touch()

    make_staging()

    assert hidden.is_dir()
    assert not hidden.is_symlink()
    assert names(precious) == ["file"]


def test_a_staging_on_another_filesystem_is_refused_untouched(make_staging, root, job_id):
    """Artifacts could not be published by renaming them; found out at the start."""
    with mounted(root / job_id / ".staging", "-t", "tmpfs", "-o", "size=1m", "tmpfs") as mount:
        (mount / "precious").touch()

        with pytest.raises(OutputError) as caught:
            make_staging()

        assert names(mount) == ["precious"]
    one_line(caught.value, root / job_id, "unmount")


def test_a_bind_mount_of_the_same_filesystem_is_refused_untouched(
    make_staging, root, job_id, tmp_path
):
    """Both have the same device number, and yet a rename between them fails."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").touch()

    with mounted(root / job_id / ".staging", "--bind", str(other)) as mount:
        assert mount.stat().st_dev == (root / job_id).stat().st_dev
        with pytest.raises(OutputError) as caught:
            make_staging()

    one_line(caught.value, root / job_id, "unmount")
    assert names(other) == ["precious"]


def test_a_staging_that_lies_elsewhere_after_all_is_refused(make_staging, monkeypatch):
    """The check does not rely on leftovers alone."""
    devices = iter([(1, ""), (2, "")])
    monkeypatch.setattr("baqup_agent.staging.directory.mount_of", lambda _fd: next(devices))

    with pytest.raises(OutputError, match="another filesystem"):
        make_staging()


def test_a_job_in_the_works_is_not_taken_over(staging, make_staging):
    """A second process would remove what the first is about to promise."""
    put(staging, "data", b"x")

    with pytest.raises(OutputError) as caught:
        make_staging()

    one_line(caught.value, staging.directory, "in use")
    assert verify(staging.publish(manifest_of(staging))).ok


def test_a_job_that_was_let_go_can_be_tried_again(staging, make_staging):
    """What the first attempt left is gone."""
    put(staging, "first", b"x")
    staging.close()

    again = make_staging()
    put(again, "second", b"y")

    assert names(again.publish(manifest_of(again))) == ["manifest.json", "second.zst"]


def test_a_filesystem_without_locks_or_directory_sync_is_used_and_told(
    make_staging, monkeypatch, log
):
    """Some network filesystems have neither; the work goes on with a warning."""
    real = os.fsync

    def fsync(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):  # noqa: PTH112
            raise OSError(22, os.strerror(22))
        real(fd)

    def flock(_fd: int, _operation: int) -> None:
        raise OSError(37, os.strerror(37))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr("fcntl.flock", flock)
    staging = make_staging()
    put(staging, "data", b"x")

    assert verify(staging.publish(manifest_of(staging))).ok
    warnings = {message for level, message in log.records if level == "warn"}
    assert "staging cannot be locked" in warnings
    assert any("cannot sync directories" in message for message in warnings)


@pytest.mark.parametrize("job", ["", "..", "../../etc", "nightly", "/tmp"])
def test_a_job_id_that_is_no_uuid_never_becomes_a_path(job, root):
    """The configuration is at fault, whatever the caller checked before."""
    with pytest.raises(ConfigError, match="BAQUP_JOB_ID"):
        Staging(root, job, ArtifactSettings(), log=None)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"compression_level": 99}, "BAQUP_ARTIFACT_COMPRESS_LEVEL"),
        ({"checksum_algorithm": "md5"}, "BAQUP_ARTIFACT_CHECKSUM_ALGORITHM"),
        ({"compression": "rar"}, "BAQUP_ARTIFACT_COMPRESS_ALGORITHM"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_made(
    settings, word, make_staging, root
):
    """A bad value ends the job at its start."""
    with pytest.raises(ConfigError, match=word):
        make_staging(**settings)

    assert not root.exists()


def test_nothing_can_be_written_before_prepare(make_staging):
    """The state in which an artifact is possible is named."""
    with pytest.raises(InternalError, match="running"):
        make_staging(prepare=False).artifact("data")


# artifact


@pytest.mark.parametrize(
    ("settings", "options", "name"),
    [
        ({}, {}, "data.tar.zst"),
        ({}, {"compress": False}, "data.tar"),
        ({}, {"compress": True}, "data.tar.zst"),
        ({}, {"compress": "gzip"}, "data.tar.gz"),
        ({}, {"compress": "lz4"}, "data.tar.lz4"),
        ({}, {"compress": "none"}, "data.tar"),
        ({"compression": "gzip"}, {}, "data.tar.gz"),
        ({"compression": "gzip"}, {"compress": True}, "data.tar.gz"),
        ({"compression": "none"}, {}, "data.tar"),
        ({"compression": "none"}, {"compress": True}, "data.tar.zst"),
        ({"compression_level": 22}, {"compress": "gzip"}, "data.tar.gz"),
    ],
)
def test_the_compression_decides_the_suffix(settings, options, name, make_staging):
    """The configured one by default; an artifact may choose."""
    staging = make_staging(**settings)

    assert put(staging, "data.tar", b"content", **options) == name
    assert staging.artifacts[0].filename == name


def test_what_was_written_is_counted_before_compression(staging):
    """The ratio of the two sizes is reported; what was given up does not count."""
    put(staging, "data", b"x" * 1000)
    put(staging, "more", b"y" * 500, compress=False)
    staging.artifact("open").write(b"z" * 100)
    name = put(staging, "gone", b"w" * 50)
    staging.discard(name)

    assert staging.bytes_in == 1500


def test_an_unknown_compression_is_the_agents_bug(staging):
    """The choice is named."""
    with pytest.raises(InternalError, match=r"'rar' names no compression; use one of zstd"):
        staging.artifact("data", compress="rar")


def test_a_fallback_is_told(make_staging, monkeypatch):
    """Another algorithm, its suffix, and the word of it for an event."""
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    heard = []
    staging = make_staging(
        compression="lz4", on_fallback=lambda asked, used: heard.append((asked, used))
    )

    assert put(staging, "data", b"x") == "data.zst"
    assert heard == [("lz4", "zstd")]
    assert staging.artifacts[0].compression == "zstd"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "blake3"])
def test_the_configured_checksum_is_taken(algorithm, make_staging):
    """And the published directory verifies with it."""
    staging = make_staging(checksum_algorithm=algorithm)
    put(staging, "data", b"content")

    assert staging.artifacts[0].checksum_algorithm == algorithm
    assert verify(staging.publish(manifest_of(staging))).ok


@pytest.mark.parametrize("name", ["", "a/b", "..", "manifest.json", "x" * 256, "a\nb"])
def test_a_bad_name_leaves_nothing_behind(name, staging):
    """The author's bug is found before a file is made."""
    with pytest.raises(InternalError) as caught:
        staging.artifact(name)

    assert caught.value.code == "ARTIFACT_NAME_INVALID"
    assert names(staging.directory / ".staging") == []


def test_a_name_must_leave_room_for_the_suffix(staging):
    """It is the published name that filesystems limit."""
    with pytest.raises(InternalError, match=r"'\.zst'") as caught:
        staging.artifact("x" * 252)

    assert caught.value.code == "ARTIFACT_NAME_INVALID"
    put(staging, "x" * 251, b"fits")


def test_a_name_can_be_used_once(staging):
    """While it is written and after; by the published name, so that another suffix is another."""
    with staging.artifact("data"), pytest.raises(InternalError) as caught:
        staging.artifact("data")
    assert caught.value.code == "ARTIFACT_DUPLICATE"
    assert "'data.zst'" in caught.value.message

    with pytest.raises(InternalError) as caught:
        staging.artifact("data")
    assert caught.value.code == "ARTIFACT_DUPLICATE"

    put(staging, "data", b"x", compress=False)
    assert [artifact.filename for artifact in staging.artifacts] == ["data.zst", "data"]


def test_artifacts_can_be_written_by_several_threads(staging):
    """Each by one of them; none is lost."""
    content = os.urandom(300_000)
    threads = [
        threading.Thread(target=put, args=(staging, f"part-{number}", content))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(staging.artifacts) == 8
    assert verify(staging.publish(manifest_of(staging))).ok


def test_a_discarded_artifact_is_gone_and_its_name_free(staging):
    """A component that failed late takes its artifact back."""
    name = put(staging, "data", b"first")
    put(staging, "other", b"x")

    staging.discard(name)

    assert [artifact.filename for artifact in staging.artifacts] == ["other.zst"]
    assert names(staging.directory / ".staging") == ["other.zst"]
    put(staging, "data", b"second")


def test_what_is_not_sealed_cannot_be_discarded(staging):
    """The message lists what can."""
    put(staging, "data", b"x")

    with pytest.raises(InternalError, match=r"'nothing'.*'data.zst'"):
        staging.discard("nothing")


# publish


def test_publish_moves_everything_and_takes_staging_away(staging):
    """The directory holds the artifacts and the manifest, nothing else."""
    put(staging, "b", b"1")
    put(staging, "a", b"2", compress=False)
    manifest = manifest_of(staging)

    directory = staging.publish(manifest)

    assert directory == staging.directory
    assert names(directory) == ["a", "b.zst", "manifest.json"]
    assert staging.published
    found = verify(directory)
    assert found.ok
    assert found.manifest == manifest


def test_a_job_without_artifacts_is_not_published(staging):
    """An empty backup is no backup."""
    with pytest.raises(NoArtifact, match="at least one"):
        staging.publish(manifest_of(staging))

    assert not staging.published


def test_an_artifact_that_is_still_open_stops_the_publication(staging):
    """A writer that was never closed is named, and nothing is moved."""
    put(staging, "data", b"x")
    staging.artifact("forgotten")

    with pytest.raises(InternalError, match=r"'forgotten.zst'.*'with'"):
        staging.publish(manifest_of(staging))

    assert names(staging.directory) == [".staging"]


@pytest.mark.parametrize("change", ["job", "missing", "extra", "altered"])
def test_a_manifest_that_is_not_this_jobs_is_refused(change, staging):
    """It must list exactly what was sealed."""
    put(staging, "data", b"x")
    put(staging, "more", b"x")
    first, second = staging.artifacts
    wrong = {
        "job": {"job_id": str(uuid4())},
        "missing": {"artifacts": [first]},
        "extra": {"artifacts": [first, second, type(first)("x", 0, "sha256", "0" * 64)]},
        "altered": {"artifacts": [first, type(first)("more.zst", 0, "sha256", "0" * 64)]},
    }[change]

    with pytest.raises(InternalError, match="must list"):
        staging.publish(manifest_of(staging, **wrong))

    assert names(staging.directory) == [".staging"]


def test_a_manifest_that_readers_would_refuse_is_not_published(staging):
    """Found before the first file is moved."""
    put(staging, "data", b"x")

    with pytest.raises(InternalError, match="created_at"):
        staging.publish(manifest_of(staging, created_at="today"))

    assert names(staging.directory) == [".staging"]
    assert verify(staging.publish(manifest_of(staging))).ok


def test_after_publication_staging_takes_nothing_more(staging):
    """What is published is not changed, and not published twice."""
    put(staging, "data", b"x")
    manifest = manifest_of(staging)
    staging.publish(manifest)

    for attempt in (
        lambda: staging.artifact("late"),
        lambda: staging.discard("data.zst"),
        lambda: staging.publish(manifest),
    ):
        with pytest.raises(InternalError, match="published already"):
            attempt()
    staging.remove()
    assert verify(staging.directory).ok


def test_scratch_files_of_an_author_do_not_spoil_the_publication(staging, log):
    """They stay where they are, invisible to the controller, and a warning tells."""
    put(staging, "data", b"x")
    (staging.directory / ".staging" / "scratch").touch()

    directory = staging.publish(manifest_of(staging))

    found = verify(directory)
    assert found.ok
    assert found.notes == ("'.staging' still holds 1 unpublished entries",)
    assert ("warn", "staging could not be removed") in log.records
    staging.remove()
    assert verify(directory).notes == ()


def test_a_stranger_who_replaces_staging_cannot_get_anything_published(staging, tmp_path):
    """Descriptors lead to our own directory, wherever its name points meanwhile."""
    put(staging, "data", b"ours")
    hidden = staging.directory / ".staging"
    hidden.rename(tmp_path / "moved away")
    hidden.mkdir()
    (hidden / "data.zst").write_text("theirs")

    directory = staging.publish(manifest_of(staging))

    assert verify(directory).ok
    assert (directory / "data.zst").read_bytes() != b"theirs"


def test_a_cleanup_by_a_stranger_leads_to_an_error_not_to_a_false_promise(staging):
    """What was removed under our feet is not promised."""
    put(staging, "data", b"x")
    (staging.directory / ".staging" / "data.zst").unlink()

    with pytest.raises(IOFailure, match="cannot publish"):
        staging.publish(manifest_of(staging))

    assert not staging.published
    assert not (staging.directory / "manifest.json").exists()


# remove, close


def test_remove_deletes_this_jobs_staging_only(staging, root):
    """The orphan status and other jobs stay."""
    put(staging, "data", b"x")
    out = staging.artifact("open")
    (staging.directory / ".staging" / "scratch").mkdir()
    staging.write_orphan_status({"status": "failed"})
    other = root / str(uuid4()) / ".staging"
    other.mkdir(parents=True)

    staging.remove()

    assert names(staging.directory) == [".baqup-status.json"]
    assert other.is_dir()
    assert out.closed
    assert staging.open_writers == ()


def test_remove_without_prepare_touches_nothing(make_staging, root, job_id):
    """A job that was refused has no right to clean up."""
    (root / job_id / ".staging").mkdir(parents=True)

    make_staging(prepare=False).remove()

    assert (root / job_id / ".staging").is_dir()


def test_close_keeps_everything_on_disk(staging):
    """What is staged stays for whoever looks into a failure."""
    put(staging, "data", b"x")
    out = staging.artifact("open", compress=False)
    out.write(os.urandom(1 << 20))

    staging.close()
    staging.close()

    assert names(staging.directory / ".staging") == ["data.zst", "open"]
    with pytest.raises(InternalError, match="closed"):
        out.write(b"x")
    with pytest.raises(InternalError, match="not prepared"):
        staging.artifact("more")


def test_no_descriptor_is_left_open(make_staging, root):
    """Neither after a publication nor after refusals."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("open descriptors are listed on Linux")
    root.mkdir()
    before = len(names(descriptors))
    for number in range(5):
        staging = make_staging(job=str(uuid4()))
        put(staging, "data", b"x")
        if number % 2:
            staging.artifact("open")
            staging.remove()
        else:
            staging.publish(manifest_of(staging))
            with pytest.raises(AlreadyPublished):
                _reopened(make_staging, staging)
        staging.close()

    assert len(names(descriptors)) == before


def _reopened(make_staging, staging):
    staging.close()
    return make_staging(job=staging.directory.name)
