"""Fixtures of the staging tests: a root, a job, and staging areas that are closed at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from baqup_agent.config.settings import ArtifactSettings
from baqup_agent.observability.sink import NullLog
from baqup_agent.staging.area import Staging
from baqup_agent.staging.manifest import Manifest

CREATED_AT = "2026-01-15T03:04:41.218043Z"


class RecordingLog(NullLog):
    """Keeps what it is told, as (level, message)."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str]] = []

    def bind(self, component: str) -> RecordingLog:
        return self

    def info(self, message: str, **context: object) -> None:
        self.records.append(("info", message))

    def warn(self, message: str, **context: object) -> None:
        self.records.append(("warn", message))


def manifest_of(staging: Staging, **changes: object) -> Manifest:
    """The manifest that an honest agent would publish now."""
    members: dict[str, object] = {
        "job_id": staging.directory.name,
        "agent": "agent-test",
        "role": "snapshot",
        "created_at": CREATED_AT,
        "artifacts": staging.artifacts,
    }
    return Manifest(**(members | changes))


def put(staging: Staging, name: str, content: bytes, **options: object) -> str:
    """Write a whole artifact and return its file name."""
    with staging.artifact(name, **options) as out:
        out.write(content)
    return out.name


def names(directory: Path | str) -> list[str]:
    """What lies in a directory, sorted."""
    return sorted(path.name for path in Path(directory).iterdir())


def tree(directory: Path) -> dict[str, bytes]:
    """Every regular file below a directory, with its content."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "staging"


@pytest.fixture
def job_id() -> str:
    return str(uuid4())


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture
def make_staging(root: Path, job_id: str, log: RecordingLog) -> Iterator[Callable[..., Staging]]:
    """Makes prepared staging areas; all of them are closed at the end."""
    made: list[Staging] = []

    def make(
        *, at: Path = root, job: str = job_id, prepare: bool = True, **options: object
    ) -> Staging:
        settings = {
            key: options.pop(key)
            for key in ("compression", "compression_level", "checksum_algorithm")
            if key in options
        }
        staging = Staging(at, job, ArtifactSettings(**settings), log=log, **options)
        made.append(staging)
        if prepare:
            staging.prepare()
        return staging

    yield make
    for staging in made:
        staging.close()


@pytest.fixture
def staging(make_staging: Callable[..., Staging]) -> Staging:
    return make_staging()


@pytest.fixture
def published(staging: Staging) -> Path:
    """A published directory with one compressed and one plain artifact, let go of."""
    put(staging, "data.sql", b"row\n" * 1000)
    put(staging, "notes.txt", b"plain text", compress=False)
    directory = staging.publish(manifest_of(staging))
    staging.close()
    return directory


@contextmanager
def mounted(target: Path, *arguments: str) -> Iterator[Path]:
    """Mount something for the length of a test; the test is skipped where that is not allowed."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting takes root on Linux")
    target.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", *arguments, str(target)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    try:
        yield target
    finally:
        subprocess.run(["umount", str(target)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of one mebibyte."""
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=1m", "tmpfs") as target:
        yield target


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory in which nothing can be created."""
    if os.geteuid() != 0:
        directory = tmp_path / "closed"
        directory.mkdir(mode=0o555)
        yield directory
        directory.chmod(0o755)
        return
    with mounted(tmp_path / "closed", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs") as target:
        yield target
