"""Publication: the move that makes a job's artifacts visible, safe against any crash (Contract §4).

The steps, in this order; what is in brackets must be on disk before the next one begins.

1. every part and the manifest lie in ``.staging``      [each file, and ``.staging``]
2. the parts are renamed into the job's directory       [the job's directory]
3. the manifest is renamed into the job's directory     [the job's directory]
4. ``.staging`` is removed

So a manifest in the job's directory means that every artifact it lists is there too, whatever
happened in between. Step 3 cannot be undone; all before it can be thrown away.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from baqup_agent.contract import MANIFEST_NAME, STAGING_NAME
from baqup_agent.errors import IOFailure, OutputError, VerificationFailed
from baqup_agent.observability.sink import LogSink
from baqup_agent.staging.directory import JobDirectory
from baqup_agent.staging.durable import (
    create_file,
    exists,
    sync_directory,
    sync_file,
    write_all,
)
from baqup_agent.staging.failures import translated
from baqup_agent.staging.job_id import check_job_id
from baqup_agent.staging.verification import verify


class Publication:
    """One publication of one job.

    Args:
        job: the job's directories, open.
        log: is told if ``.staging`` cannot be removed at the end.
    """

    def __init__(self, job: JobDirectory, log: LogSink) -> None:
        self._job = job
        self._log = log
        self._visible = False

    @property
    def visible(self) -> bool:
        """Whether the manifest is in the job's directory; safe to ask from another thread.

        The disk is asked as well, because between the rename and the note of it a thread may be
        interrupted, and because a network filesystem may rename and report an error.
        """
        return self._visible or (self._job.fd >= 0 and exists(MANIFEST_NAME, self._job.fd))

    def write_manifest(self, content: bytes) -> None:
        """Write the manifest into ``.staging`` and sync it.

        Raises:
            OutputError: the file cannot be created.
            IOFailure: its bytes cannot be stored.
        """
        path = self._job.staging_path / MANIFEST_NAME
        with translated(OutputError, "create", path):
            fd = create_file(MANIFEST_NAME, self._job.staging_fd)
        with translated(IOFailure, "write", path):
            try:
                write_all(fd, content)
                os.fsync(fd)
            finally:
                os.close(fd)

    def move(self, filenames: Sequence[str]) -> None:
        """Take the steps of the module's table, for these parts and the manifest.

        The files themselves must be synced already.

        Raises:
            IOFailure: a step failed; `visible` tells whether it was after the manifest's rename.
        """
        job = self._job
        with translated(IOFailure, "publish", job.path):
            sync_directory(job.staging_fd)
            for filename in filenames:
                self._rename(filename)
            sync_directory(job.fd)
            self._rename(MANIFEST_NAME)
            self._visible = True
            sync_directory(job.fd)
        self._remove_staging()

    def _rename(self, name: str) -> None:
        os.rename(name, name, src_dir_fd=self._job.staging_fd, dst_dir_fd=self._job.fd)

    def _remove_staging(self) -> None:
        # The backup is published and good; a scratch file left behind does not change that.
        try:
            os.rmdir(STAGING_NAME, dir_fd=self._job.fd)
        except OSError as error:
            path = str(self._job.staging_path)
            self._log.warn("staging could not be removed", path=path, reason=str(error))


def atomic_write(staging_dir: str | os.PathLike[str], job_id: str, logger: LogSink) -> str:
    """Publish what was put into ``{staging_dir}/{job_id}/.staging``, the manifest among it.

    Every file there is verified against that manifest and synced before the first one is moved.

    Args:
        staging_dir: the root of staging.
        job_id: the job's UUID.
        logger: takes what is worth a line.

    Returns:
        The job's directory, in which the artifacts and the manifest now are.

    Raises:
        ConfigError: the job id is no UUID.
        OutputError: the directories are not there or cannot be used.
        AlreadyPublished: the job's directory holds a manifest.
        VerificationFailed: there is no manifest, or it does not match what lies beside it.
        IOFailure: a step of the publication failed.
    """
    job = JobDirectory.attach(Path(staging_dir), check_job_id(job_id), logger)
    try:
        filenames = _verified(job, job_id)
        with translated(IOFailure, "sync", job.staging_path):
            for name in (*filenames, MANIFEST_NAME):
                sync_file(name, job.staging_fd)
        Publication(job, logger).move(filenames)
    finally:
        job.close()
    logger.info("artifacts published", path=str(job.path), artifacts=len(filenames))
    return str(job.path)


def _verified(job: JobDirectory, job_id: str) -> list[str]:
    found = verify(job.staging_path)
    problems = list(found.problems)
    if found.manifest is not None and found.manifest.job_id != job_id:
        problems.append(f"its job_id is {found.manifest.job_id!r}; it must be {job_id!r}")
    if found.manifest is None or problems:
        raise VerificationFailed(
            f"{str(job.staging_path)!r} cannot be published: {'; '.join(problems)}"
        )
    return [artifact.filename for artifact in found.manifest.artifacts]
