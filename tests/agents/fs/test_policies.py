"""What a snapshot leaves out by policy, what it is refused, and what it says of both."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.agents.fs import archiving
from baqup_agent.agents.fs.incidents import SAMPLE_PATHS
from baqup_agent.errors import Aborted, DataError, IOFailure, JobCancelled
from baqup_agent.staging.manifest import Manifest
from tests.agent_process import AgentProcess
from tests.agents.fs.jobs import Jobs

#: Starts agent-fs as root without the right to read everything, or as whoever runs the tests.
WITHOUT_RIGHTS = """
import ctypes, os, sys
if os.geteuid() == 0:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):  # to override permissions, and to override them for reading
        assert libc.prctl(24, capability, 0, 0, 0) == 0  # 24 drops it from the bounding set
os.execv(sys.executable, [sys.executable, "-m", "baqup_agent.agents.fs", *sys.argv[1:]])
"""


def names(published: Path) -> list[str]:
    listed = subprocess.run(
        ["tar", "-tf", published / "data.tar"], check=True, capture_output=True, text=True
    )
    return sorted(listed.stdout.splitlines())


def refusing(monkeypatch: pytest.MonkeyPatch, *refused: str) -> None:
    """Let the system refuse to open some files."""
    opened = os.open

    def opening(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if isinstance(path, str | bytes) and os.fsdecode(path) in refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", opening)


def test_refused_files_are_a_warning(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default what cannot be read is left out, told, and listed in the manifest."""
    for number in range(25):
        (source / f"closed-{number:02}").touch()
    (source / "open").touch()
    refusing(monkeypatch, *(f"closed-{number:02}" for number in range(25)))

    published = jobs.snapshot(source)

    assert names(published) == ["./", "./open"]
    assert jobs.last.codes() == {"PERMISSION_DENIED": 25}
    assert not jobs.last.job.components
    told = Manifest.read(published).source_metadata["incidents"]
    assert told["PERMISSION_DENIED"]["count"] == 25
    paths = told["PERMISSION_DENIED"]["sample_paths"]
    assert len(paths) == len(set(paths)) == SAMPLE_PATHS
    assert all(path.startswith("closed-") for path in paths)


def test_refused_files_can_be_a_partial_failure(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the policy 'partial' the archive is one component, and what it misses the other."""
    (source / "closed").touch()
    (source / "open").touch()
    refusing(monkeypatch, "closed")

    published = jobs.snapshot(source, unreadable="partial")

    assert names(published) == ["./", "./open"]
    components = jobs.last.job.components
    assert components.summary() == {"total": 2, "succeeded": 1, "failed": 1}
    (failed,) = components.failed
    assert failed.error is not None
    assert failed.error.code == "PERMISSION_DENIED"
    assert "1 files or directories of the source are missing, 'closed' first" in str(failed.error)


def test_a_readable_source_is_no_partial_failure(jobs: Jobs, source: Path) -> None:
    """With the policy 'partial' a source that is read whole succeeds in both components."""
    (source / "open").touch()

    jobs.snapshot(source, unreadable="partial")

    assert jobs.last.job.components.summary() == {"total": 2, "succeeded": 2, "failed": 0}


def test_without_an_archive_there_is_no_partial_failure(jobs: Jobs, source: Path) -> None:
    """With the policy 'partial' a snapshot that fails does so by its own error."""
    (source / "link").symlink_to("x")

    with pytest.raises(DataError, match="symbolic link"):
        jobs.snapshot(source, unreadable="partial", follow_symlinks="fail")

    (failed,) = jobs.last.job.components.failed
    assert (failed.name, jobs.last.job.components.all_failed) == ("data.tar", True)
    assert not list(jobs.staging_dir.rglob("data.tar"))


@pytest.mark.parametrize("mode", ["fail", "warn", "skip"])
def test_a_snapshot_that_fails_has_its_own_exit_code(
    tmp_path: Path, source: Path, mode: str
) -> None:
    """A limit that is exceeded ends the job with 65 under the policy 'partial', too."""
    (source / "one").touch()
    (source / "two").touch()
    with contextlib.ExitStack() as stack:
        agent = AgentProcess(
            tmp_path,
            "snapshot",
            program=[sys.executable, "-m", "baqup_agent.agents.fs"],
            environ={
                "BAQUP_SOURCE_PATH": str(source),
                "BAQUP_SOURCE_MAX_FILES": "1",
                "BAQUP_SOURCE_UNREADABLE": "partial",
                "BAQUP_AGENT_PARTIAL_FAILURE_MODE": mode,
            },
        )
        stack.callback(agent.end)

        assert agent.wait() == 65
        assert agent.status["status"] == "failed"
        assert "BAQUP_SOURCE_MAX_FILES=1" in agent.status["error"]["message"]
        assert agent.manifest is None


@contextlib.contextmanager
def leased(path: Path, asked: Callable[[int], object]) -> Iterator[None]:
    """Hold a lease on a file for writing, as Samba does for its clients.

    Args:
        path: the file.
        asked: called with the lease's descriptor each time the kernel wants it back.
    """
    with path.open("rb+") as file:
        before = signal.signal(signal.SIGIO, lambda *_: asked(file.fileno()))
        try:
            try:
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            except OSError as error:
                pytest.skip(f"the filesystem of temporary files has no leases: {error.strerror}")
            yield
        finally:
            signal.signal(signal.SIGIO, before)


def test_a_lease_on_a_file_is_waited_for(jobs: Jobs, source: Path) -> None:
    """Who opens a file that another program holds by a lease gets it when that gives it back."""
    (source / "shared").write_bytes(b"x")

    with leased(source / "shared", lambda fd: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)):
        published = jobs.snapshot(source)

    assert names(published) == ["./", "./shared"]
    assert jobs.last.codes() == {}


def test_a_file_whose_lease_is_kept_is_left_out(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that even the kernel does not break in its time makes the file a refused one."""
    (source / "shared").write_bytes(b"x")
    (source / "open").touch()
    monkeypatch.setattr(archiving, "_patience_s", lambda: 0.2)

    with leased(source / "shared", lambda _fd: None):
        published = jobs.snapshot(source, unreadable="partial")

    assert names(published) == ["./", "./open"]
    assert jobs.last.paths("PERMISSION_DENIED") == ["shared"]
    assert jobs.last.codes() == {"PERMISSION_DENIED": 1}
    (failed,) = jobs.last.job.components.failed
    assert failed.name == "access to everything"


def test_waiting_for_a_lease_ends_with_the_job(jobs: Jobs, source: Path) -> None:
    """A job that is cancelled does not wait for a lease."""
    (source / "shared").write_bytes(b"x")

    with (
        leased(source / "shared", lambda _fd: jobs.last.token.cancel(Aborted("enough"))),
        pytest.raises(JobCancelled),
    ):
        jobs.snapshot(source)


@pytest.mark.parametrize(("text", "patience_s"), [("7\n", 12), ("", 50), (None, 50)])
def test_leases_are_waited_for_as_long_as_the_kernel_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, patience_s: float
) -> None:
    """A little longer than the kernel's own time, or than its default where it does not say."""
    setting = tmp_path / "lease-break-time"
    if text is not None:
        setting.write_text(text)
    monkeypatch.setattr(archiving, "_LEASE_BREAK", setting)

    assert archiving._patience_s() == patience_s


def test_a_refused_file_can_end_the_job(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the policy 'fail' the first refused file ends the job, named, and not to be retried."""
    (source / "closed").touch()
    refusing(monkeypatch, "closed")

    with pytest.raises(IOFailure, match="access to 'closed' of the source was refused; let") as end:
        jobs.snapshot(source, unreadable="fail")

    assert end.value.code == "PERMISSION_DENIED"
    assert not end.value.retriable
    assert not list(jobs.staging_dir.rglob("data.tar"))


@pytest.mark.parametrize(
    ("policy", "mode", "code", "status"),
    [
        ("warn", "fail", 0, "success"),
        ("partial", "fail", 76, "partial"),
        ("partial", "warn", 0, "partial"),
        ("partial", "skip", 0, "success"),
        ("fail", "fail", 74, "failed"),
    ],
)
def test_an_unprivileged_agent_meets_a_closed_file(
    tmp_path: Path, source: Path, policy: str, mode: str, code: int, status: str
) -> None:
    """Policy and mode decide the exit code; the kernel, not a test, refuses the file."""
    (source / "open").write_bytes(b"x")
    (source / "closed").write_bytes(b"y")
    (source / "closed").chmod(0)
    with contextlib.ExitStack() as stack:
        agent = AgentProcess(
            tmp_path,
            "snapshot",
            program=[sys.executable, "-c", WITHOUT_RIGHTS],
            environ={
                "BAQUP_SOURCE_PATH": str(source),
                "BAQUP_SOURCE_UNREADABLE": policy,
                "BAQUP_AGENT_PARTIAL_FAILURE_MODE": mode,
            },
        )
        stack.callback(agent.end)

        assert agent.wait() == code
        assert agent.status["status"] == status
        assert (agent.manifest is None) is (code == 74)


@pytest.fixture
def mounted(source: Path) -> Iterator[Path]:
    """A filesystem that is mounted inside the source, and a file that is mounted on another."""
    place = source / "mount"
    place.mkdir()
    (source / "plain").write_bytes(b"plain")
    done = subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    (place / "inside").write_bytes(b"inside")
    (source / "bound").touch()
    subprocess.run(["mount", "--bind", place / "inside", source / "bound"], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", source / "bound"], check=True)
        subprocess.run(["umount", place], check=True)


def test_what_is_mounted_inside_can_be_left_out(jobs: Jobs, source: Path, mounted: Path) -> None:
    """With one filesystem only, mount points stay as empty directories, and are told."""
    published = jobs.snapshot(source, one_file_system=True)

    assert names(published) == ["./", "./mount/", "./plain"]
    assert jobs.last.codes() == {"MOUNT_POINT_SKIPPED": 2}
    assert set(jobs.last.paths("MOUNT_POINT_SKIPPED")) == {"mount", "bound"}


def test_what_is_mounted_inside_belongs_to_the_source(
    jobs: Jobs, source: Path, mounted: Path
) -> None:
    """By default a source is what one sees in it, other filesystems included."""
    published = jobs.snapshot(source)

    assert names(published) == ["./", "./bound", "./mount/", "./mount/inside", "./plain"]
    assert jobs.last.codes() == {}


def test_a_limit_that_is_near_is_told(jobs: Jobs, source: Path) -> None:
    """Once nine tenths of a large limit are used, an event says so, once."""
    for number in range(95):
        (source / str(number)).touch()

    jobs.snapshot(source, max_files=100)

    assert jobs.last.codes() == {"RESOURCE_LIMIT_APPROACHING": 1}

    jobs.snapshot(source, max_files=120)

    assert jobs.last.codes() == {}


def test_patterns_see_names_with_line_breaks(jobs: Jobs, source: Path) -> None:
    """A line break in a name is a character like any other to a pattern."""
    (source / "a\nb").mkdir()
    for name in ("a\nb/x.log", "x.log\n", "y\n.log"):
        (source / name).touch()

    listed = jobs.snapshot(source, exclude=["*.log"])

    command = ["tar", "--quoting-style=escape", "-tf", listed / "data.tar"]
    kept = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert set(kept.splitlines()) == {"./", "./a\\nb/", "./x.log\\n"}


def test_owners_and_modes_are_kept_of_what_belongs_to_others(
    jobs: Jobs, source: Path, tmp_path: Path
) -> None:
    """Owners stand in the archive by number, whoever the agent is."""
    (source / "file").touch()
    expected = f"{os.getuid()}/{os.getgid()}"
    if os.geteuid() == 0:
        os.chown(source / "file", 54321, 65432)
        expected = "54321/65432"

    published = jobs.snapshot(source)

    command = ["tar", "--numeric-owner", "-tvf", published / "data.tar", "./file"]
    assert expected in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_variables_are_described() -> None:
    """The agent's own variables are in its schema, with their words and defaults."""
    command = [sys.executable, "-m", "baqup_agent.agents.fs", "--schema"]
    schema = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    own = {name: schema["properties"][f"BAQUP_SOURCE_{name}"] for name in (
        "ONE_FILE_SYSTEM", "XATTRS", "UNREADABLE", "ANOMALY",
    )}  # fmt: skip
    assert {name: each["default"] for name, each in own.items()} == {
        "ONE_FILE_SYSTEM": False, "XATTRS": True, "UNREADABLE": "warn", "ANOMALY": "auto",
    }  # fmt: skip
    assert own["UNREADABLE"]["enum"] == ["warn", "partial", "fail"]
    assert own["ANOMALY"]["enum"] == ["auto", "warn", "fail", "ignore"]
