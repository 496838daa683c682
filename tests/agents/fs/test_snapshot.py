"""The role snapshot: what it keeps, what it leaves out and tells, what it refuses."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.agents.fs.meter import Meter
from baqup_agent.agents.fs.outlook import Outlook
from baqup_agent.errors import (
    Aborted,
    ConfigError,
    DataError,
    IOFailure,
    JobCancelled,
    LimitExceeded,
    SourceUnavailable,
)
from baqup_agent.staging.manifest import Manifest
from tests.agents.fs.jobs import Jobs
from tests.trees import picture

AS_ROOT = os.geteuid() == 0


def content(published: Path) -> dict[str, bytes]:
    """Return what GNU tar extracts from the artifact: names and contents."""
    out = published.parent.parent / f"by-tar-{published.name}"
    out.mkdir()
    subprocess.run(["tar", "-xpf", published / "data.tar", "-C", out], check=True)
    return {os.fsdecode(n): t.content for n, t in picture(out).items() if t.kind == "file"}


def names(published: Path) -> list[str]:
    listed = subprocess.run(
        ["tar", "-tf", published / "data.tar"], check=True, capture_output=True, text=True
    )
    return listed.stdout.splitlines()


def test_gnu_tar_extracts_the_same_tree(jobs: Jobs, source: Path, tmp_path: Path) -> None:
    """The artifact is an ordinary archive: tar makes an identical tree of it."""
    (source / "sub" / "empty").mkdir(parents=True)
    (source / "sub" / "file").write_bytes(b"content")
    (source / "sub" / "second").hardlink_to(source / "sub" / "file")
    (source / os.fsdecode(b"\xff\n")).symlink_to("sub")
    (source / "sub" / ("n" * 200)).write_bytes(b"x" * 5000)
    (source / "sub" / "file").chmod(0o640)
    out = tmp_path / "out"
    out.mkdir()

    published = jobs.snapshot(source)
    subprocess.run(["tar", "-xpf", published / "data.tar", "-C", out], check=True)

    assert picture(out) == picture(source)


def test_directories_stand_before_their_contents(jobs: Jobs, source: Path) -> None:
    """Members are relative to './', the root is the first, each directory before what it holds."""
    for folder in ("a/b/c", "a/d", "e"):
        (source / folder).mkdir(parents=True)
        (source / folder / "file").touch()

    listed = names(jobs.snapshot(source))

    assert listed[0] == "./"
    seen: set[str] = set()
    for name in listed:
        parent = name.rstrip("/").rpartition("/")[0] + "/"
        assert name == "./" or parent in seen
        seen.add(name)
    assert len(listed) == len(set(listed)) == 9


def test_the_manifest_tells_about_the_source(jobs: Jobs, source: Path) -> None:
    """Counts and sizes of the source are in the manifest."""
    (source / "sub").mkdir()
    (source / "sub" / "file").write_bytes(b"12345")
    (source / "link").symlink_to("sub")
    (source / "out").write_bytes(b"excluded")

    published = jobs.snapshot(source, exclude=["out"])

    assert Manifest.read(published).source_metadata == {
        "type": "filesystem",
        "path": str(source),
        "files_included": 2,
        "files_excluded": 1,
        "total_bytes_source": 5,
    }


def test_progress_grows_to_the_whole(jobs: Jobs, source: Path) -> None:
    """Progress counts files and bytes, and ends at one hundred percent."""
    for number in range(20):
        (source / str(number)).write_bytes(bytes(100_000))

    jobs.snapshot(source)

    job = jobs.last.job
    job._progress.flush()
    last = jobs.last.progress[-1]
    assert last["percent_complete"] == 100
    assert last["bytes_processed"] == 2_000_000
    assert last["files_processed"] == 20


def test_progress_knows_a_percentage_before_the_end(jobs: Jobs, source: Path) -> None:
    """A quick look ahead makes a percentage and a remaining time possible."""
    (source / "file").write_bytes(bytes(8 * 2**20))
    reports: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("baqup_agent.agents.fs.meter.SHOW_EVERY_S", 0.0)
        patch.setattr("baqup_agent.agents.fs.outlook.SOUND_S", 0.0)
        patch.setattr(
            "baqup_agent.job.job.Job.progress", lambda _job, **members: reports.append(members)
        )
        jobs.snapshot(source)

    percentages = [r["percent_complete"] for r in reports if r.get("percent_complete") is not None]
    assert percentages == sorted(percentages)
    assert any(20 < percentage < 80 for percentage in percentages)
    assert any(report.get("estimated_remaining_seconds") is not None for report in reports)


def test_a_large_source_is_counted_while_it_is_archived(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first look does not finish is counted later, a little at each report."""
    for number in range(200):
        (source / str(number)).write_bytes(b"x")
    monkeypatch.setattr("baqup_agent.agents.fs.snapshot.FIRST_LOOK_S", 0.0)
    monkeypatch.setattr("baqup_agent.agents.fs.meter.SHOW_EVERY_S", 0.0)
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "baqup_agent.job.job.Job.progress", lambda _job, **members: reports.append(members)
    )

    jobs.snapshot(source)

    percentages = [report["percent_complete"] for report in reports]
    assert any(percentage is not None for percentage in percentages[:-1])


EXCLUDES: list[tuple[list[str], set[str]]] = [
    (["*.log"], {"a.txt", "keep.txt", "sub/c.txt", "sub/deeper/d.txt", "build/e"}),
    (["/a.txt"], {"b.log", "keep.txt", "sub/b.log", "sub/c.txt", "sub/deeper/d.txt", "build/e"}),
    (["build/"], {"a.txt", "b.log", "keep.txt", "sub/b.log", "sub/c.txt", "sub/deeper/d.txt"}),
    (["*.txt", "!keep.txt"], {"b.log", "keep.txt", "sub/b.log", "build/e"}),
    (["sub", "!sub/c.txt"], {"a.txt", "b.log", "keep.txt", "build/e"}),
    (["**/deeper"], {"a.txt", "b.log", "keep.txt", "sub/b.log", "sub/c.txt", "build/e"}),
    (["sub/*.txt", "# a comment", ""], {"a.txt", "b.log", "keep.txt", "sub/b.log",
                                        "sub/deeper/d.txt", "build/e"}),
    (["*"], set()),
]  # fmt: skip


@pytest.mark.parametrize(("patterns", "kept"), EXCLUDES, ids=lambda value: " ".join(sorted(value)))
def test_excludes_mean_what_they_mean_to_git(
    jobs: Jobs, source: Path, patterns: list[str], kept: set[str]
) -> None:
    """Patterns select as in a .gitignore file."""
    for name in (
        "a.txt",
        "b.log",
        "keep.txt",
        "sub/b.log",
        "sub/c.txt",
        "sub/deeper/d.txt",
        "build/e",
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()

    published = jobs.snapshot(source, exclude=patterns)

    assert {name for name in names(published) if not name.endswith("/")} == {
        "./" + name for name in kept
    }


def test_excluded_directories_are_not_entered(jobs: Jobs, source: Path) -> None:
    """What is inside an excluded directory is neither read nor counted."""
    (source / "big").mkdir()
    for number in range(10):
        (source / "big" / str(number)).touch()
    entered: list[str] = []
    scan = os.scandir

    def watched(fd: int) -> Any:
        entered.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        return scan(fd)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", watched)
        published = jobs.snapshot(source, exclude=["big/"])

    assert "big" not in entered
    assert Manifest.read(published).source_metadata["files_excluded"] == 1


def test_excludes_apply_to_names_that_are_no_text(jobs: Jobs, source: Path) -> None:
    """Names that are no UTF-8 can be excluded and are kept otherwise."""
    for name in (b"\xff.tmp", b"\xff.txt"):
        (source / os.fsdecode(name)).touch()

    found = content(jobs.snapshot(source, exclude=["*.tmp"]))

    assert [os.fsencode(name) for name in found] == [b"\xff.txt"]


def test_a_malformed_pattern_is_a_configuration_error(jobs: Jobs, source: Path) -> None:
    """A pattern that git would not accept ends the job before anything is read."""
    with pytest.raises(ConfigError, match="BAQUP_SOURCE_EXCLUDE has a pattern that is none"):
        jobs.snapshot(source, exclude=["!"])


def test_sockets_fifos_and_devices_are_left_out(jobs: Jobs, source: Path) -> None:
    """What has no content is left out, and that is told."""
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "socket"))
    (source / "file").touch()
    expected = {"fifo", "socket"}
    if AS_ROOT:
        os.mknod(source / "device", 0o600 | 0o020000, os.makedev(1, 3))
        expected.add("device")

    published = jobs.snapshot(source)

    assert jobs.last.codes() == {"SPECIAL_FILE_SKIPPED": len(expected)}
    assert set(jobs.last.paths("SPECIAL_FILE_SKIPPED")) == expected
    assert list(content(published)) == ["file"]


def while_reading(act: Callable[[], None]) -> pytest.MonkeyPatch:
    """Let something happen after the first piece of a file was read."""
    patch, read = pytest.MonkeyPatch(), Meter.read

    def reading(meter: Meter, count: int) -> None:
        read(meter, count)
        patch.undo()
        act()

    patch.setattr(Meter, "read", reading)
    return patch


SIZE = 3 * 2**20


@pytest.mark.parametrize("change", ["shrinks", "grows", "is rewritten", "is touched"])
def test_a_file_that_changes_while_it_is_read_is_told(
    jobs: Jobs, source: Path, change: str
) -> None:
    """A changed file takes the size it had, is told, and does not end the job."""
    file = source / "file"
    file.write_bytes(b"x" * SIZE)

    def act() -> None:
        if change == "shrinks":
            os.truncate(file, 1_500_000)
        elif change == "grows":
            with file.open("ab") as more:
                more.write(b"y" * SIZE)
        elif change == "is rewritten":
            file.write_bytes(b"z" * SIZE)
        else:
            os.utime(file)

    patch = while_reading(act)
    try:
        published = jobs.snapshot(source)
    finally:
        patch.undo()

    assert jobs.last.codes() == {"FILE_CHANGED": 1}
    assert jobs.last.paths("FILE_CHANGED") == ["file"]
    found = content(published)["file"]
    assert len(found) == SIZE
    assert found[:1_000_000] == b"x" * 1_000_000
    if change == "shrinks":
        assert found == b"x" * 1_500_000 + bytes(SIZE - 1_500_000)


def is_called(path: Any, name: str) -> bool:
    return isinstance(path, str | bytes) and os.fsencode(path) == name.encode()


def before_opening(name: str, act: Callable[[], None]) -> pytest.MonkeyPatch:
    """Let something happen between finding a file and opening it."""
    patch, opened = pytest.MonkeyPatch(), os.open

    def opening(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if is_called(path, name):
            patch.undo()
            act()
        return opened(path, flags, *rest, **more)

    patch.setattr(os, "open", opening)
    return patch


REPLACEMENTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "gone": ("FILE_VANISHED", lambda _path: None),
    "a link": ("FILE_CHANGED", lambda path: path.symlink_to("/etc/hostname")),
    "a fifo": ("FILE_CHANGED", os.mkfifo),
    "a directory": ("FILE_CHANGED", lambda path: path.mkdir()),
}


@pytest.mark.parametrize("what", REPLACEMENTS)
def test_a_file_that_is_replaced_is_left_out(jobs: Jobs, source: Path, what: str) -> None:
    """A file that is gone, or is something else when it is opened, is left out and told."""
    (source / "fickle").write_bytes(b"x")
    (source / "steady").write_bytes(b"y")
    code, make = REPLACEMENTS[what]

    def act() -> None:
        (source / "fickle").unlink()
        make(source / "fickle")

    patch = before_opening("fickle", act)
    try:
        published = jobs.snapshot(source)
    finally:
        patch.undo()

    assert jobs.last.codes() == {code: 1}
    assert content(published) == {"steady": b"y"}


@pytest.mark.parametrize(("kind", "call"), [("link", "readlink"), ("fifo", "stat")])
def test_what_vanishes_while_it_is_looked_at_is_told(
    jobs: Jobs, source: Path, kind: str, call: str
) -> None:
    """Links and special files that are gone when they are looked at are told, too."""
    if kind == "link":
        (source / "fickle").symlink_to("x")
    else:
        os.mkfifo(source / "fickle")
    original = getattr(os, call)

    def vanished(path: Any, *rest: Any, **more: Any) -> Any:
        if is_called(path, "fickle"):
            raise FileNotFoundError(2, "No such file or directory")
        return original(path, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, call, vanished)
        jobs.snapshot(source)

    assert jobs.last.codes() == {"FILE_VANISHED": 1}


def test_a_sick_disk_under_a_link_ends_the_job(jobs: Jobs, source: Path) -> None:
    """An I/O error while a link is read is no matter of that link."""
    (source / "link").symlink_to("x")

    def broken(*_: Any, **__: Any) -> str:
        raise OSError(5, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "readlink", broken)
        with pytest.raises(IOFailure, match=r"directory '\.' of the source cannot be read"):
            jobs.snapshot(source)


def test_a_directory_that_vanishes_is_told(jobs: Jobs, source: Path) -> None:
    """A directory that is gone before it is entered is left out."""
    (source / "fickle").mkdir()
    (source / "steady").touch()
    with pytest.MonkeyPatch.context() as patch:
        # The look ahead would take the act for itself.
        patch.setattr(Outlook, "look", lambda *_: None)
        second = before_opening("fickle", (source / "fickle").rmdir)
        try:
            published = jobs.snapshot(source)
        finally:
            second.undo()

    assert jobs.last.codes() == {"FILE_VANISHED": 1}
    assert names(published) == ["./", "./steady"]


def test_a_directory_that_becomes_a_link_is_not_followed(
    jobs: Jobs, source: Path, tmp_path: Path
) -> None:
    """A directory replaced by a link to outside leads nowhere."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (source / "fickle").mkdir()

    def act() -> None:
        (source / "fickle").rmdir()
        (source / "fickle").symlink_to("../outside")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outlook, "look", lambda *_: None)
        second = before_opening("fickle", act)
        try:
            published = jobs.snapshot(source)
        finally:
            second.undo()

    assert jobs.last.codes() == {"FILE_CHANGED": 1}
    assert names(published) == ["./"]


def refusing(name: str, number: int) -> pytest.MonkeyPatch:
    """Let the system refuse to open one thing."""
    patch, opened = pytest.MonkeyPatch(), os.open

    def opening(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if is_called(path, name):
            raise OSError(number, os.strerror(number))
        return opened(path, flags, *rest, **more)

    patch.setattr(os, "open", opening)
    return patch


def test_what_must_not_be_read_is_left_out_and_told(jobs: Jobs, source: Path) -> None:
    """A refused file is left out, a refused directory is kept empty, and both are told."""
    (source / "file").write_bytes(b"x")
    (source / "closed").mkdir(mode=0o700)
    (source / "closed" / "inside").touch()
    (source / "other").write_bytes(b"y")
    for name, kept in (
        ("file", ["closed/", "closed/inside", "other"]),
        ("closed", ["closed/", "file", "other"]),
    ):
        patch = refusing(name, 13)
        try:
            published = jobs.snapshot(source)
        finally:
            patch.undo()

        assert jobs.last.codes() == {"PERMISSION_DENIED": 1}
        assert jobs.last.paths("PERMISSION_DENIED") == [name]
        assert sorted(names(published)) == ["./", *("./" + each for each in kept)]


def test_a_sick_disk_ends_the_job(jobs: Jobs, source: Path) -> None:
    """An I/O error of the source is no matter of one file: the job fails, naming it."""
    (source / "file").write_bytes(b"x")
    for name in ("file", "sick"):
        (source / "sick").mkdir(exist_ok=True)
        patch = refusing(name, 5)
        try:
            with pytest.raises(IOFailure, match=f"{name}' of the source cannot be read: Input"):
                jobs.snapshot(source)
        finally:
            patch.undo()


@pytest.mark.parametrize("size", [1, 100_000])
def test_an_error_while_reading_a_file_names_it(jobs: Jobs, source: Path, size: int) -> None:
    """A read error is told with the file's name, be the file small or not."""
    (source / "file").write_bytes(bytes(size))

    def broken(*_: Any) -> int:
        raise OSError(5, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        for call in ("pread", "preadv", "read", "readv"):
            patch.setattr(os, call, broken)
        with pytest.raises(IOFailure, match="'file' of the source cannot be read: Input/output"):
            jobs.snapshot(source)


def test_limits_end_the_job(jobs: Jobs, source: Path) -> None:
    """More files or a deeper tree than allowed is refused, and told as an event."""
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "one").touch()
    (source / "two").touch()
    (source / "link").symlink_to("two")

    jobs.snapshot(source, max_files=3, max_depth=3)
    for limits, message in (
        ({"max_files": 2}, "BAQUP_SOURCE_MAX_FILES=2"),
        ({"max_depth": 2}, "BAQUP_SOURCE_MAX_DEPTH=2 at 'a/b/one'"),
    ):
        with pytest.raises(LimitExceeded, match=message):
            jobs.snapshot(source, **limits)
        assert jobs.last.codes() == {"RESOURCE_LIMIT_EXCEEDED": 1}


def test_a_cancelled_job_stops(jobs: Jobs, source: Path) -> None:
    """Cancellation is noticed between files and inside a large one."""
    (source / "file").write_bytes(bytes(SIZE))
    reads: list[int] = []
    read = Meter.read

    def cancelling(meter: Meter, count: int) -> None:
        reads.append(count)
        jobs.last.token.cancel(Aborted("enough"))
        read(meter, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Meter, "read", cancelling)
        # Reporting progress would notice it as well, some time.
        patch.setattr("baqup_agent.agents.fs.meter.SHOW_EVERY_S", 3600.0)
        with pytest.raises(JobCancelled):
            jobs.snapshot(source)

    assert 0 < sum(reads) < SIZE
    assert not list(jobs.staging_dir.rglob("manifest.json"))


@pytest.mark.parametrize("kind", ["absent", "file", "dangling"])
def test_a_source_that_is_no_directory_is_unavailable(
    jobs: Jobs, tmp_path: Path, kind: str
) -> None:
    """A source that is not there, or is no directory, is told in one line with a remedy."""
    place = tmp_path / "no source"
    if kind == "file":
        place.touch()
    elif kind == "dangling":
        place.symlink_to("nothing")

    with pytest.raises(SourceUnavailable, match=r"no source' cannot be read.*must be a directory"):
        jobs.snapshot(place)


def test_a_source_may_be_reached_by_a_link(jobs: Jobs, source: Path, tmp_path: Path) -> None:
    """The configured path itself may be a link; it is the operator's word."""
    (source / "file").write_bytes(b"x")
    (source / "own").symlink_to(source / "file")
    (tmp_path / "alias").symlink_to("source")

    published = jobs.snapshot(tmp_path / "alias")

    assert content(published)["file"] == b"x"
    assert jobs.last.codes() == {"SYMLINK_REWRITTEN": 1}


@pytest.mark.parametrize(
    "place", ["staging", "staging/inner", ".", "alias", "alias/inner", "shortcut"]
)
def test_source_and_staging_must_not_contain_each_other(
    jobs: Jobs, tmp_path: Path, place: str
) -> None:
    """Neither may lie in the other, whatever name it goes by."""
    (tmp_path / "staging" / "inner").mkdir(parents=True)
    (tmp_path / "alias").symlink_to("staging")
    (tmp_path / "shortcut").symlink_to("staging/inner")

    with pytest.raises(ConfigError, match=r"BAQUP_.* lies inside BAQUP_.*choose") as error:
        jobs.snapshot(tmp_path / place)

    assert "BAQUP_SOURCE_PATH" in error.value.message
    assert "BAQUP_STAGING_DIR" in error.value.message
    assert str(tmp_path / "staging") in error.value.message


def test_directories_with_alike_names_are_apart(jobs: Jobs, tmp_path: Path) -> None:
    """A name that begins like the other's is no directory inside it."""
    (tmp_path / "staging-source").mkdir()

    assert names(jobs.snapshot(tmp_path / "staging-source")) == ["./"]


def test_the_walk_needs_few_descriptors(jobs: Jobs, source: Path) -> None:
    """A tree much deeper than the number of open files allowed is walked."""
    import resource

    place = source
    for _ in range(600):
        place /= "d"
        place.mkdir()
    (place / "leaf").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 220, hard))
    try:
        published = jobs.snapshot(source)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert len(names(published)) == 602


def test_a_refused_link_ends_the_job_before_it_is_published(jobs: Jobs, source: Path) -> None:
    """A failed snapshot leaves no manifest and no artifact beside it."""
    (source / "link").symlink_to("x")

    with pytest.raises(DataError):
        jobs.snapshot(source, follow_symlinks="fail")

    assert not list(jobs.staging_dir.glob("*/data.tar"))
