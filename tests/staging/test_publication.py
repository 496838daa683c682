from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from baqup_agent.contract import MANIFEST_NAME
from baqup_agent.errors import (
    AlreadyPublished,
    ConfigError,
    IOFailure,
    OutputError,
    VerificationFailed,
)
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.checksum import compute_checksum
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.publication import atomic_write
from baqup_agent.staging.verification import verify

from .conftest import CREATED_AT, manifest_of, names, put

SCRIPT = Path(__file__).with_name("one_attempt.py")
PROJECT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT)}


def promise_holds(directory: Path) -> bool:
    """A manifest means that everything verifies. Returns whether there is one."""
    present = (directory / MANIFEST_NAME).exists()
    assert verify(directory).ok == present, verify(directory).problems
    return present


# the order of steps


def test_the_steps_are_taken_in_the_order_that_survives_a_power_cut(staging, monkeypatch):
    """Files before directories, parts before the manifest, each on disk before the next."""
    put(staging, "b", b"x", compress=False)
    put(staging, "a", b"x", compress=False)
    manifest = manifest_of(staging)
    steps: list[str] = []
    _record(monkeypatch, steps, staging.directory)

    staging.publish(manifest)

    assert steps == [
        "write manifest.json",
        "fsync manifest.json",
        "fsync .staging",
        "rename b",
        "rename a",
        "fsync job",
        "rename manifest.json",
        "fsync job",
        "rmdir .staging",
    ]


def test_every_directory_is_synced_before_the_work_begins(make_staging, monkeypatch, root, job_id):
    """A power cut must not take the job's directory away from under its artifacts."""
    steps: list[str] = []
    _record(monkeypatch, steps, root / job_id)

    make_staging()

    assert steps == [
        "mkdir root",
        "fsync parent",
        "mkdir job",
        "fsync root",
        "mkdir .staging",
        "fsync job",
    ]


def test_a_sealed_part_is_on_disk(staging, monkeypatch):
    """Publication relies on it, and does not sync parts again."""
    steps: list[str] = []
    with staging.artifact("data") as out:
        out.write(b"x")
        _record(monkeypatch, steps, staging.directory)

    assert steps == ["write data.zst", "fsync data.zst"]


def _record(monkeypatch, steps: list[str], job: Path) -> None:
    names = {job: "job", job.parent: "root", job.parent.parent: "parent"}

    def of(fd: int) -> str:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        return names.get(path, path.name)

    def spy(name, label):
        real = getattr(os, name)

        def call(*args, **kwargs):
            steps.append(f"{name} {label(args)}")
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    spy("write", lambda args: of(args[0]))
    spy("fsync", lambda args: of(args[0]))
    spy("rename", lambda args: args[0])
    spy("rmdir", lambda args: args[0])
    # An absolute path stays what it is; a name is one in the job's directory, or the job's own.
    spy("mkdir", lambda args: names.get(job.parent / args[0], args[0]))


# faults


@pytest.mark.parametrize("number", [5, 28], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename", "close"])
def test_a_fault_at_any_step_never_makes_a_false_promise(call, number, make_staging, monkeypatch):
    """The n-th call of each kind fails, for every n there is; the error is one of the tree's."""
    faults = 0
    for nth in range(1, 40):
        staging = make_staging(job=str(uuid4()))
        put(staging, "data.sql", b"x" * 1000)
        put(staging, "notes", b"x", compress=False)
        manifest = manifest_of(staging)
        with monkeypatch.context() as patch:
            fired = _fail(patch, call, nth, number)
            error = _error_of(staging.publish, manifest)
        if error is not None:
            faults += 1
            assert os.strerror(number) in error.message
            assert "\n" not in error.message
        assert promise_holds(staging.directory) == staging.published
        if not fired:
            assert staging.published
            break
    else:
        pytest.fail("the sweep never came to an end")
    assert faults >= 1


def _error_of(publish, manifest) -> OutputError | IOFailure | None:
    try:
        publish(manifest)
    except (OutputError, IOFailure) as error:
        return error
    return None


def _fail(patch, call: str, nth: int, number: int) -> list[int]:
    real = getattr(os, call)
    calls: list[int] = []
    fired: list[int] = []

    def fake(*args, **kwargs):
        calls.append(1)
        if len(calls) == nth:
            if call == "close":
                real(*args, **kwargs)
            fired.append(1)
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    patch.setattr(os, call, fake)
    return fired


def test_a_fault_after_the_manifests_rename_leaves_it_published(staging, monkeypatch):
    """The caller learns of the error, and that the backup is visible all the same."""
    put(staging, "data", b"x")
    real = os.fsync

    def fsync(fd: int) -> None:
        if staging.published:
            raise OSError(5, os.strerror(5))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(IOFailure):
        staging.publish(manifest_of(staging))

    assert staging.published
    assert promise_holds(staging.directory)


def test_a_rename_that_reports_an_error_and_was_done_counts_as_done(staging, monkeypatch):
    """Network filesystems do that when a reply is lost."""
    put(staging, "data", b"x")
    real = os.rename

    def rename(name, target, **kwargs):
        real(name, target, **kwargs)
        if name == MANIFEST_NAME:
            raise FileNotFoundError(2, os.strerror(2))

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(IOFailure):
        staging.publish(manifest_of(staging))

    assert staging.published


def test_a_full_disk_at_publication_is_told_and_nothing_is_visible(small_disk, make_staging):
    """On a real filesystem without a free byte for the manifest."""
    staging = make_staging(at=small_disk / "staging")
    put(staging, "data", b"x")
    _fill(small_disk / "filler")

    with pytest.raises((OutputError, IOFailure), match="free space"):
        staging.publish(manifest_of(staging, source_metadata={"note": "x" * 20_000}))

    assert not staging.published
    assert not promise_holds(staging.directory)


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler:
        for _ in range(1000):
            try:
                filler.write(bytes(4096))
            except OSError:
                return
    pytest.fail("the disk is not full")


# kills


def test_killed_before_any_step_an_attempt_never_leaves_a_false_promise(tmp_path):
    """Every step of a first attempt, and one of a second attempt upon what the first left."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), "-", "sweep"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    verified = sum(promise_holds(tmp_path / fact["job"]) for fact in facts)

    assert done.stderr == ""
    assert sum(fact["killed"] for fact in facts) > 40
    assert sum(fact["again"] for fact in facts) > 20
    assert sum(fact["published"] for fact in facts) > 5
    assert verified > 15
    for fact in facts[::10]:
        # A published job is refused, anything else is done afresh; both end with a good backup.
        subject = [sys.executable, str(SCRIPT), str(tmp_path), fact["job"]]
        subprocess.run(subject, env=ENVIRONMENT, check=True, capture_output=True, timeout=60)
        assert promise_holds(tmp_path / fact["job"])


def test_killed_by_the_kernel_within_a_system_call_the_promise_holds(tmp_path):
    """The same from outside: a tracer kills at the n-th call of each kind."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed; the sweep from within ran")
    kills = verified = 0
    for call in ["renameat", "mkdirat", "unlinkat", "fsync"]:
        for nth in range(1, 30):
            job_id = str(uuid4())
            killed = _traced(tmp_path, job_id, f"{call}:signal=KILL:when={nth}")
            kills += killed
            verified += promise_holds(tmp_path / job_id)
            if not killed:
                break

    assert kills >= 15
    assert verified >= 6


def _traced(root: Path, job_id: str, injection: str) -> bool:
    trace = injection.partition(":")[0]
    tracer = f"strace -f -qq -o {os.devnull} -e trace={trace} -e inject={injection}".split()
    done = subprocess.run(
        [*tracer, sys.executable, str(SCRIPT), str(root), job_id],
        env=ENVIRONMENT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 0:
        assert done.stdout == b"published\n"
        return False
    assert done.returncode == -9, done.stderr
    return True


# the preview's atomic_write


@pytest.fixture
def filled(root: Path, job_id: str) -> Path:
    """A ``.staging`` that was filled by hand, as with the preview release."""
    hidden = root / job_id / ".staging"
    hidden.mkdir(parents=True)
    (hidden / "data.tar").write_bytes(b"content")
    (hidden / "more.tar").write_bytes(b"")
    write_manifest(hidden, job_id, "data.tar", "more.tar")
    return hidden


def write_manifest(hidden: Path, job_id: str, *names: str) -> None:
    artifacts = [
        Artifact(name, (hidden / name).stat().st_size, "sha256", compute_checksum(hidden / name))
        for name in names
    ]
    manifest = Manifest(job_id, "agent-test", "snapshot", CREATED_AT, artifacts)
    (hidden / MANIFEST_NAME).write_bytes(manifest.to_bytes())


def test_atomic_write_publishes_what_was_filled_by_hand(filled, root, job_id, log):
    """The result is the text of the job's directory; it verifies and staging is gone."""
    result = atomic_write(str(root), job_id, log)

    assert result == str(root / job_id)
    assert names(result) == ["data.tar", "manifest.json", "more.tar"]
    assert verify(result).ok
    assert ("info", "artifacts published") in log.records


def test_atomic_write_syncs_what_others_wrote(filled, root, job_id, log, monkeypatch):
    """Whoever filled staging may not have done so."""
    steps: list[str] = []
    _record(monkeypatch, steps, root / job_id)

    atomic_write(root, job_id, log)

    assert steps[:4] == [
        "fsync data.tar",
        "fsync more.tar",
        "fsync manifest.json",
        "fsync .staging",
    ]


def _without_manifest(hidden: Path) -> None:
    (hidden / MANIFEST_NAME).unlink()


def _without_artifact(hidden: Path) -> None:
    (hidden / "data.tar").unlink()


def _with_other_bytes(hidden: Path) -> None:
    (hidden / "data.tar").write_bytes(b"CONTENT")


def _with_unlisted(hidden: Path) -> None:
    (hidden / "forgotten.tar").touch()


def _of_another_job(hidden: Path) -> None:
    write_manifest(hidden, str(uuid4()), "data.tar", "more.tar")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (_without_manifest, "no manifest"),
        (_without_artifact, "missing"),
        (_with_other_bytes, "sha256"),
        (_with_unlisted, "unlisted"),
        (_of_another_job, "job_id"),
    ],
)
def test_atomic_write_refuses_what_does_not_verify(damage, word, filled, root, job_id, log):
    """One line says why; nothing was moved."""
    damage(filled)
    before = names(filled)

    with pytest.raises(VerificationFailed, match=word) as caught:
        atomic_write(root, job_id, log)

    assert "\n" not in caught.value.message
    assert names(filled) == before
    assert names(root / job_id) == [".staging"]


def test_atomic_write_never_replaces_what_is_published(published, log):
    """Also not with something that would verify."""
    before = (published / MANIFEST_NAME).read_bytes()
    hidden = published / ".staging"
    hidden.mkdir()
    (hidden / "data.tar").touch()
    write_manifest(hidden, published.name, "data.tar")

    with pytest.raises(AlreadyPublished):
        atomic_write(published.parent, published.name, log)

    assert (published / MANIFEST_NAME).read_bytes() == before


@pytest.mark.parametrize("make", ["nothing", "job", "link"])
def test_atomic_write_needs_directories_of_its_own(make, root, job_id, log, tmp_path):
    """Absent or a link: the path is named."""
    root.mkdir()
    if make == "job":
        (root / job_id).mkdir()
    if make == "link":
        (tmp_path / "elsewhere" / ".staging").mkdir(parents=True)
        (root / job_id).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OutputError, match=job_id):
        atomic_write(root, job_id, log)


def test_atomic_write_takes_no_path_for_a_job(root, log):
    """The id is checked before anything is opened."""
    with pytest.raises(ConfigError, match="BAQUP_JOB_ID"):
        atomic_write(root, "../elsewhere", log)
