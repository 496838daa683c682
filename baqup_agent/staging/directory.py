"""The job's directory in staging: made, checked, locked and held open (Contract §4).

    {staging}/{job_id}/             `JobDirectory.fd`
      .staging/                     `JobDirectory.staging_fd`
      .baqup-status.json            kept, whoever wrote it

Both directories stay open and everything in them is done through their descriptors. So a second
process that cleans up after us, a link put in our way, or a renamed parent cannot make us write
or delete anywhere else; and a lock on the job's directory keeps two processes from working on one
job at a time: the second would remove what the first is about to promise.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path

from baqup_agent.contract import MANIFEST_NAME, ORPHAN_STATUS_NAME, STAGING_NAME
from baqup_agent.errors import AlreadyPublished, IOFailure, OutputError
from baqup_agent.observability.sink import LogSink
from baqup_agent.staging.durable import (
    empty_directory,
    exists,
    make_directory,
    mount_of,
    open_directory,
    sync_directory,
)
from baqup_agent.staging.failures import translated
from baqup_agent.staging.job_id import check_job_id

#: Name of the orphan status file while it is being written.
ORPHAN_SCRATCH_NAME = ORPHAN_STATUS_NAME + ".tmp"

_KEPT = frozenset({ORPHAN_STATUS_NAME})


class JobDirectory:
    """Two open directories, and the lock on the job.

    Made by `prepare` or `attach`. Closing gives up the lock; the directories stay on disk.

    Attributes:
        path: the job's directory.
        staging_path: its ``.staging``.
        fd: descriptor of the first; -1 once closed.
        staging_fd: descriptor of the second; -1 once closed.
    """

    def __init__(self, path: Path, fd: int, staging_fd: int) -> None:
        self.path = path
        self.staging_path = path / STAGING_NAME
        self.fd = fd
        self.staging_fd = staging_fd

    @classmethod
    def prepare(cls, root: Path, job_id: str, log: LogSink) -> JobDirectory:
        """Make the directories for a new attempt at the job.

        What an earlier attempt left without publishing it is removed.

        Args:
            root: the root of staging; created if its parent exists.
            job_id: the job's UUID.
            log: is told of leftovers, and of what the filesystem cannot do.

        Raises:
            ConfigError: the job id is no UUID.
            OutputError: a directory cannot be made or written to, is a link, or lies on another
                filesystem; or another process works on this job.
            AlreadyPublished: the job's directory holds a manifest.
        """
        path = root / check_job_id(job_id)
        with ExitStack() as stack:
            fd = enter_job_directory(root, job_id)
            stack.callback(os.close, fd)
            _lock(fd, path, log)
            _refuse_published(fd, path)
            _clear(fd, path, log)
            staging_fd = _make_staging(fd, path)
            stack.callback(os.close, staging_fd)
            _require_one_mount(fd, staging_fd, path)
            with translated(OutputError, "sync", path):
                if not sync_directory(fd):
                    log.warn("staging cannot sync directories; a power cut may undo publication")
            stack.pop_all()
        return cls(path, fd, staging_fd)

    @classmethod
    def attach(cls, root: Path, job_id: str, log: LogSink) -> JobDirectory:
        """Open the directories of a job that something else has filled.

        Raises:
            ConfigError: the job id is no UUID.
            OutputError: one of them is absent or a link; or another process works on this job.
            AlreadyPublished: the job's directory holds a manifest.
        """
        path = root / check_job_id(job_id)
        with ExitStack() as stack:
            with translated(OutputError, "open", path):
                fd = open_directory(path)
            stack.callback(os.close, fd)
            _lock(fd, path, log)
            _refuse_published(fd, path)
            with translated(OutputError, "open", path / STAGING_NAME):
                staging_fd = open_directory(STAGING_NAME, fd)
            stack.callback(os.close, staging_fd)
            _require_one_mount(fd, staging_fd, path)
            stack.pop_all()
        return cls(path, fd, staging_fd)

    def remove_staging(self) -> None:
        """Delete ``.staging`` with all that is in it, and nothing else.

        Raises:
            IOFailure: something in it cannot be deleted.
        """
        with translated(IOFailure, "remove", self.staging_path):
            empty_directory(self.staging_fd)
            if exists(STAGING_NAME, self.fd):
                os.rmdir(STAGING_NAME, dir_fd=self.fd)
            sync_directory(self.fd)

    def close(self) -> None:
        """Close both directories and give up the lock; once only."""
        for fd in (self.staging_fd, self.fd):
            if fd >= 0:
                os.close(fd)
        self.fd = self.staging_fd = -1

    def __del__(self) -> None:
        self.close()


def enter_job_directory(root: Path, job_id: str) -> int:
    """Open the job's directory, made where it was missing; the caller closes it.

    Raises:
        ConfigError: the job id is no UUID.
        OutputError: it, or the root, cannot be made or opened.
    """
    path = root / check_job_id(job_id)
    root_fd = _open_root(root)
    try:
        with translated(OutputError, "create", path):
            make_directory(job_id, root_fd)
            # Also where it was there: an attempt that was killed may have made it unsynced.
            sync_directory(root_fd)
        with translated(OutputError, "open", path):
            return open_directory(job_id, root_fd)
    finally:
        os.close(root_fd)


def _open_root(root: Path) -> int:
    with translated(OutputError, "create", root):
        made = make_directory(root)
    with translated(OutputError, "open", root):
        fd = open_directory(root, follow=True)
    if made:
        _sync_parent(root)
    return fd


def _sync_parent(root: Path) -> None:
    with translated(OutputError, "sync", root.parent):
        fd = open_directory(root.parent, follow=True)
        try:
            sync_directory(fd)
        finally:
            os.close(fd)


def _lock(fd: int, path: Path, log: LogSink) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(
            f"{str(path)!r} is in use by another process; one process works on a job, "
            "end the other one first"
        ) from error
    except OSError as error:
        # Some network filesystems cannot lock a directory. The lock is a second line of defence.
        log.warn("staging cannot be locked", path=str(path), reason=str(error))


def _refuse_published(fd: int, path: Path) -> None:
    with translated(OutputError, "look into", path):
        published = exists(MANIFEST_NAME, fd)
    if published:
        raise AlreadyPublished(
            f"{str(path)!r} holds a manifest already; published artifacts are never touched, "
            "use a new BAQUP_JOB_ID"
        )


def _clear(fd: int, path: Path, log: LogSink) -> None:
    with translated(OutputError, "clear leftovers in", path):
        removed = empty_directory(fd, keep=_KEPT)
    if removed:
        log.info("leftovers of an unpublished attempt removed", path=str(path), entries=removed)


def _make_staging(fd: int, path: Path) -> int:
    with translated(OutputError, "create", path / STAGING_NAME):
        make_directory(STAGING_NAME, fd)
        return open_directory(STAGING_NAME, fd)


def _require_one_mount(fd: int, staging_fd: int, path: Path) -> None:
    if mount_of(fd) != mount_of(staging_fd):
        raise OutputError(
            f"{str(path / STAGING_NAME)!r} lies on another filesystem than {str(path)!r}; "
            "artifacts are published by renaming them, so unmount it"
        )
