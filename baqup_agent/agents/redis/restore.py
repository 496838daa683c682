"""The role ``restore``: a verified RDB is laid down where a server finds it when it starts.

A running server is not restored to: none offers a way to load an RDB into it that holds at every
instant. What is laid down takes its name only once it is complete and was checked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from baqup_agent import Manifest
from baqup_agent.agents.redis.lifecycle import Steps
from baqup_agent.agents.redis.rdb import RdbCheck
from baqup_agent.agents.redis.settings import RestoreSettings, Target
from baqup_agent.agents.redis.snapshot import ARTIFACT
from baqup_agent.errors import ConfigError, DataError, IOFailure, OutputError
from baqup_agent.staging.reader import open_artifact

if TYPE_CHECKING:
    from baqup_agent import Job

_PIECE_BYTES = 1 << 20
_FILE_MODE = 0o640

#: What a restore manages on a slow disk, in bytes of the artifact.
_SLOW_BYTES_PER_S = 10_000_000

#: Where servers keep the log that they load instead of an RDB, if it is on.
_LOGS = ("appendonlydir", "appendonly.aof")


def restore(job: Job[Steps]) -> None:
    """Bring ``BAQUP_SOURCE_PATH`` to ``BAQUP_TARGET_PATH``.

    Raises:
        ConfigError: the target is not named, or is a running server.
        VerificationFailed: the backup does not hold what its manifest promises.
        DataError: it is no backup of this agent, or the RDB in it is damaged.
        OutputError: something is in the way.
        IOFailure: it could not be written.
    """
    settings = job.config.of(RestoreSettings)
    path = _place(settings.target)
    artifact, stored_bytes, job_id = _artifact(settings.source.path)
    _require_free(path)
    job.lifecycle.restore()
    check = RdbCheck()
    with (
        job.intent(
            "restore_rdb",
            expected_duration_s=5 + stored_bytes / _SLOW_BYTES_PER_S,
            detail=str(path),
        ),
        _laid_down(path, job.id) as fd,
    ):
        _fill(job, fd, settings.source.path, artifact, check)
        check.finish()
    job.progress(percent_complete=100, bytes_processed=check.size_bytes, files_processed=1)
    job.metadata(
        type="redis",
        path=str(path),
        rdb_version=check.version,
        restored_job_id=job_id,
        total_bytes_restored=check.size_bytes,
    )
    job.log.info(
        "RDB laid down; start the server on it with appendonly no, and turn the log on afterwards",
        path=str(path),
    )


def _place(target: Target) -> Path:
    if target.host is not None:
        raise ConfigError(
            "BAQUP_TARGET_HOST names a running server, and servers load an RDB at their start "
            "only; stop it, and let BAQUP_TARGET_PATH name its data directory"
        )
    if target.path is None:
        raise ConfigError(
            "BAQUP_TARGET_PATH is not set; name the file to write, or the data directory of a "
            "stopped server"
        )
    path = target.path.absolute()
    return path / ARTIFACT if path.is_dir() else path


def _artifact(backup: Path) -> tuple[str, int, str]:
    """Return the artifact's joined name, its stored bytes, and the job that wrote it."""
    manifest = Manifest.read(backup)
    names = {artifact.joined_name for artifact in manifest.artifacts}
    for name in names:
        if name == ARTIFACT or name.startswith(f"{ARTIFACT}."):
            size = sum(a.size_bytes for a in manifest.artifacts if a.joined_name == name)
            return name, size, manifest.job_id
    raise DataError(
        f"BAQUP_SOURCE_PATH {str(backup)!r} holds no {ARTIFACT!r}; name a directory published by a "
        f"snapshot of agent-redis, this one is {manifest.agent}'s"
    )


def _require_free(path: Path) -> None:
    if os.path.lexists(path):
        raise OutputError(
            f"{str(path)!r} exists; move it away, or name another BAQUP_TARGET_PATH",
            code="TARGET_EXISTS",
            retriable=False,
        )
    for name in _LOGS:
        if os.path.lexists(path.with_name(name)):
            raise OutputError(
                f"{str(path.with_name(name))!r} is there, which a server may load instead of the "
                "RDB; move it away, or name another BAQUP_TARGET_PATH",
                code="TARGET_EXISTS",
                retriable=False,
            )


@contextmanager
def _laid_down(path: Path, job_id: str) -> Iterator[int]:
    """Give a file to be filled, which takes its name at the end of the block."""
    scratch = path.with_name(f".{path.name[:200]}.{job_id[:8]}.restoring")
    try:
        scratch.unlink(missing_ok=True)  # of an attempt at this job that was killed
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(scratch, flags, _FILE_MODE)
    except OSError as error:
        raise OutputError(
            f"{str(path)!r} cannot be made: {error.strerror}; let BAQUP_TARGET_PATH be a place "
            "that the agent may write"
        ) from error
    try:
        try:
            yield fd
            _dress(fd, path.parent)
            os.fsync(fd)
        finally:
            os.close(fd)
        _name(scratch, path)
    except OSError as error:
        raise IOFailure(
            f"{str(path)!r} cannot be written: {error.strerror}; check the disk"
        ) from error
    finally:
        with suppress(OSError):
            scratch.unlink()


def _dress(fd: int, directory: Path) -> None:
    """Let the file belong to whom its directory belongs to: the server must read it."""
    if os.geteuid() == 0:
        facts = directory.stat()
        os.fchown(fd, facts.st_uid, facts.st_gid)


def _name(scratch: Path, path: Path) -> None:
    _require_free(path)
    scratch.rename(path)
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some filesystems cannot
            os.fsync(fd)
    finally:
        os.close(fd)


def _fill(job: Job[Steps], fd: int, backup: Path, artifact: str, check: RdbCheck) -> None:
    key = job.config.get("BAQUP_SECRET_ARTIFACT_KEY")
    with open_artifact(backup, artifact, key=key, on_chunk=lambda _: job.touch()) as stream:
        while piece := stream.read(_PIECE_BYTES):
            check.feed(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(fd, rest) :]
            job.progress(bytes_processed=check.size_bytes, current_file=ARTIFACT)
