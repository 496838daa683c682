"""The role restore with its choices: part of a tree, a list only, verified meanwhile, owners."""

from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.agents.fs.incomplete import MARKER
from baqup_agent.agents.fs.restore import restore
from baqup_agent.agents.fs.target import TARGET_VARIABLES, Target
from baqup_agent.config.declaration import declare
from baqup_agent.contract import Role
from baqup_agent.errors import (
    Aborted,
    ConfigError,
    DataError,
    IOFailure,
    JobCancelled,
    LimitExceeded,
    OutputError,
    VerificationFailed,
)
from baqup_agent.security.archive_reader.stream import ForwardStream
from baqup_agent.security.member import Kind, Member
from baqup_agent.staging.archive import ArchiveWriter
from tests.agents.fs.jobs import Jobs, Run
from tests.agents.fs.test_restore import rewrite
from tests.trees import picture

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def published(jobs: Jobs, source: Path) -> Path:
    """A published backup of a tree with something of everything."""
    (source / "etc" / "app").mkdir(parents=True)
    (source / "etc" / "app" / "conf").write_bytes(b"setting")
    (source / "etc" / "app" / "secret").write_bytes(b"hidden")
    (source / "etc" / "hosts").write_bytes(b"localhost")
    (source / "var" / "log").mkdir(parents=True)
    (source / "var" / "log" / "a.log").write_bytes(b"x" * 5000)
    (source / "var" / "log" / "b.log").hardlink_to(source / "var" / "log" / "a.log")
    (source / "var" / "link").symlink_to("log/a.log")
    (source / "etc").chmod(0o750)
    os.utime(source / "etc", ns=(5, 5))
    return jobs.snapshot(source)


def bring_back(jobs: Jobs, published: Path, target: Path, **options: Any) -> Run:
    """Run a restore with variables of the target's."""
    variables = {f"BAQUP_TARGET_{name.upper()}": value for name, value in options.items()}
    places = {"BAQUP_SOURCE_PATH": published, "BAQUP_TARGET_PATH": target}
    run = jobs.last = jobs._run(Role.RESTORE, {**places, **variables})
    run.staging.prepare()
    try:
        restore(run.job)
    finally:
        run.staging.close()
    return run


def files(target: Path) -> set[str]:
    return {str(path.relative_to(target)) for path in target.rglob("*")}


def test_the_variables_make_a_declaration() -> None:
    """The rows hold together, and what is not set has the default of its row."""
    declare(TARGET_VARIABLES, roles=("restore",))

    options = Target.of({})
    assert options == Target(
        only=(), dry_run=False, owner=None, sync=True, verify="first", max_bytes=0, max_entries=0,
        max_name=65536, max_header=2**20,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["etc/app"], {"etc", "etc/app", "etc/app/conf", "etc/app/secret"}),
        (["/etc/app/conf"], {"etc", "etc/app", "etc/app/conf"}),
        (["hosts"], {"etc", "etc/hosts"}),
        (["*.log", "!b.log"], {"var", "var/log", "var/log/a.log"}),
        (["etc", "!secret"], {"etc", "etc/app", "etc/app/conf", "etc/hosts"}),
        (["link", "conf"], {"var", "var/link", "etc", "etc/app", "etc/app/conf"}),
        (["log/"], {"var", "var/log", "var/log/a.log", "var/log/b.log"}),
    ],
)
def test_only_what_is_asked_for_comes_back(
    jobs: Jobs, source: Path, published: Path, target: Path, only: list[str], expected: set[str]
) -> None:
    """Patterns pick paths, names and directories, and the way to them comes along."""
    before = picture(source)

    bring_back(jobs, published, target, only=only)

    assert files(target) == expected
    found = picture(target)
    for name in expected - {"var/link"}:
        thing = before[name.encode()]
        assert found[name.encode()]._replace(first_name=b"") == thing._replace(first_name=b"")


def test_a_second_name_of_a_file_that_is_left_out_is_the_file(
    jobs: Jobs, source: Path, published: Path, target: Path
) -> None:
    """Whichever name of a file is asked for, its content comes with it."""
    for number, name in enumerate(("a.log", "b.log")):
        place = target.with_name(f"target{number}")
        bring_back(jobs, published, place, only=[name])

        assert files(place) == {"var", "var/log", f"var/log/{name}"}
        found = (place / "var" / "log" / name).stat()
        assert found.st_mtime_ns == (source / "var" / "log" / "a.log").stat().st_mtime_ns
        assert (found.st_size, found.st_nlink) == (5000, 1)


def test_a_pattern_that_picks_nothing_is_told(jobs: Jobs, published: Path, target: Path) -> None:
    """What matches nothing is a mistake of the one who asked."""
    with pytest.raises(ConfigError, match=r"BAQUP_TARGET_ONLY \['nothing'\] picks nothing"):
        bring_back(jobs, published, target, only=["nothing"])


@pytest.mark.parametrize("only", [(), ("etc/app",)])
def test_a_dry_run_lists_and_leaves_the_target_alone(
    jobs: Jobs, published: Path, target: Path, only: tuple[str, ...]
) -> None:
    """The list is an artifact with one object for each member; nothing is made."""
    run = bring_back(jobs, published, target, only=only, dry_run=True)

    assert not target.exists()
    (artifact,) = run.staging.artifacts
    listed = [
        json.loads(line)
        for line in (jobs.staging_dir / run.job.id / ".staging" / artifact.filename)
        .read_text()
        .splitlines()
    ]
    assert artifact.filename == "restore-plan.jsonl"
    paths = {line["path"]: line for line in listed}
    assert paths["etc/app/conf"]["size_bytes"] == 7
    assert paths["etc/app/conf"]["kind"] == "file"
    assert ("var/link" in paths) == (only == ())
    if not only:
        assert paths["var/link"]["link"] == "log/a.log"
    metadata = run.job.source_metadata
    assert metadata["dry_run"] is True
    assert metadata["files_restored"] == 0
    assert metadata["entries_planned"] == len(listed)


@pytest.mark.parametrize("options", [{"dry_run": True}, {"only": ["small"]}], ids=["dry", "only"])
def test_cancellation_is_heard_while_large_files_are_passed_over(
    jobs: Jobs, source: Path, target: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read and not written takes its time too."""
    for number in range(12):
        (source / f"large-{number}").write_bytes(bytes(1 << 20))
    (source / "small").write_bytes(b"x")
    published = jobs.snapshot(source)
    places: list[int] = []
    read = ForwardStream._fill

    def cancelling(stream: ForwardStream) -> bool:
        places.append(stream.at)
        if stream.at > 2 << 20:
            jobs.last.token.cancel(Aborted("enough"))
        return read(stream)

    monkeypatch.setattr(ForwardStream, "_fill", cancelling)

    with pytest.raises(JobCancelled):
        bring_back(jobs, published, target, **options)

    assert places[-1] < 6 << 20


def test_a_dry_run_finds_what_is_wrong(jobs: Jobs, published: Path, target: Path) -> None:
    """A hostile or damaged archive is refused without writing, too."""
    out = io.BytesIO()
    archive = ArchiveWriter(out)
    archive.add(Member(Kind.SYMLINK, b"l", 0o777, link=b"../outside"))
    archive.close()
    rewrite(published, out.getvalue())

    with pytest.raises(DataError, match="points out"):
        bring_back(jobs, published, target, dry_run=True)
    assert not target.exists()


def test_a_streamed_restore_is_the_same_tree(
    jobs: Jobs, source: Path, published: Path, target: Path
) -> None:
    """Verified while it is written, an intact backup comes back as ever, without a mark."""
    bring_back(jobs, published, target, verify="streamed")

    assert picture(target) == picture(source)


def test_a_streamed_restore_of_a_damaged_backup_stays_marked(
    jobs: Jobs, source: Path, target: Path
) -> None:
    """When the checksum turns out wrong, the target says that it is incomplete, and stays so."""
    for number in range(4):
        (source / str(number)).write_bytes(bytes(2**20))
    published = jobs.snapshot(source)
    rewrite(published, checksum={"algorithm": "sha256", "value": "0" * 64})

    with pytest.raises(VerificationFailed):
        bring_back(jobs, published, target, verify="streamed")

    assert len(files(target)) > 1
    assert "not completed" in (target / MARKER).read_text()
    with pytest.raises(OutputError, match=r"did not complete.*empty it") as caught:
        bring_back(jobs, published, target)
    assert not caught.value.retriable


def test_what_is_in_the_way_is_named(jobs: Jobs, published: Path, target: Path) -> None:
    """A target that is not empty is refused with the names of some of what is in it."""
    target.mkdir()
    for name in ("one", "two"):
        (target / name).touch()

    with pytest.raises(OutputError, match="it holds 'one', 'two'; name an empty"):
        bring_back(jobs, published, target)

    for name in ("three", "four", "five"):
        (target / name).touch()
    with pytest.raises(OutputError, match="and more"):
        bring_back(jobs, published, target)


@pytest.mark.parametrize(
    ("option", "value", "variable"),
    [
        ("max_bytes", "1K", "BAQUP_TARGET_MAX_BYTES"),
        ("max_entries", 3, "BAQUP_TARGET_MAX_ENTRIES"),
        ("max_name", 10, "BAQUP_TARGET_MAX_NAME"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_limits_name_their_variable(
    jobs: Jobs, published: Path, target: Path, option: str, value: object, variable: str,
    dry_run: bool,
) -> None:  # fmt: skip
    """A backup that holds more than is allowed is refused, and the line tells what to raise."""
    with pytest.raises(LimitExceeded, match=f"raise {variable}"):
        bring_back(jobs, published, target, dry_run=dry_run, **{option: value})


def test_a_member_with_the_name_of_the_mark_is_left_out(
    jobs: Jobs, source: Path, target: Path
) -> None:
    """A backup of an incomplete target is restored, but does not mark the new one."""
    (source / MARKER).write_text("old")
    (source / "f").write_text("x")

    run = bring_back(jobs, jobs.snapshot(source), target)

    assert files(target) == {"f"}
    assert run.codes() == {"SPECIAL_FILE_SKIPPED": 1}


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
@pytest.mark.parametrize("owner", ["keep", "ignore", None])
def test_owners_are_kept_as_asked(jobs: Jobs, source: Path, target: Path, owner: str) -> None:
    """Root keeps owners and set-id bits unless told otherwise."""
    (source / "f").write_text("x")
    os.chown(source / "f", 4711, 4712)
    (source / "f").chmod(0o4755)

    run = bring_back(jobs, jobs.snapshot(source), target, owner=owner)

    found = (target / "f").stat()
    if owner == "ignore":
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, 0, 0o755)
        assert run.codes() == {"SET_ID_CLEARED": 1}
    else:
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (4711, 4712, 0o4755)


@pytest.mark.parametrize("sync", [True, False])
def test_the_target_is_on_the_disk_before_the_mark_is_gone(
    jobs: Jobs, published: Path, target: Path, sync: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default the filesystem is synced once, while the target is still marked."""
    seen = []
    monkeypatch.setattr(
        "baqup_agent.agents.fs.incomplete.sync_filesystem",
        lambda _fd: seen.append((target / MARKER).exists()),
    )

    bring_back(jobs, published, target, sync=sync)

    assert seen == ([True] if sync else [])
    assert not (target / MARKER).exists()


def test_a_disk_that_fails_at_the_sync_leaves_the_mark(
    jobs: Jobs, published: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When bringing everything to the disk fails, that is an I/O failure and the mark stays."""

    def fail(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("baqup_agent.agents.fs.incomplete.sync_filesystem", fail)

    with pytest.raises(IOFailure, match="Input/output error"):
        bring_back(jobs, published, target)

    assert (target / MARKER).exists()
