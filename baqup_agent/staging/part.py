"""A part: one file in ``.staging`` while it is being written (Contract §4)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from baqup_agent.errors import IOFailure, OutputError
from baqup_agent.staging.checksum import Hasher
from baqup_agent.staging.directory import JobDirectory
from baqup_agent.staging.durable import create_file, exists, write_all
from baqup_agent.staging.failures import translated
from baqup_agent.staging.writeback import WRITEBACK_BYTES, begin_writeback

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class PartFile:
    """A new file whose checksum grows with it.

    Args:
        job: the job's directory; the file is created in its ``.staging``.
        filename: the file's name, now and after publication.
        hasher: takes every byte that is stored.

    Raises:
        OutputError: the file cannot be created.

    Attributes:
        filename: its name.
        path: where it is, for messages.
        size_bytes: bytes stored so far.
    """

    def __init__(self, job: JobDirectory, filename: str, hasher: Hasher) -> None:
        self.filename = filename
        self.path: Path = job.staging_path / filename
        self.size_bytes = 0
        self._begun_bytes = 0
        self._job = job
        self._hasher = hasher
        with translated(OutputError, "create", self.path):
            self._fd: int | None = create_file(filename, job.staging_fd)

    def write(self, data: ReadableBuffer) -> None:
        """Store bytes and take them into the checksum.

        Raises:
            IOFailure: they could not be stored, not all of them.
        """
        size = memoryview(data).nbytes
        with translated(IOFailure, "write", self.path):
            write_all(self._descriptor(), data)
        self._hasher.update(data)
        self.size_bytes += size
        if self.size_bytes - self._begun_bytes >= WRITEBACK_BYTES:
            begin_writeback(self._descriptor(), self._begun_bytes)
            self._begun_bytes = self.size_bytes

    def seal(self) -> str:
        """Sync and close the file; return the checksum of its bytes.

        Raises:
            IOFailure: it could not be synced, or somebody else wrote to it.
        """
        with translated(IOFailure, "sync", self.path):
            fd = self._descriptor()
            stored = os.fstat(fd).st_size
            os.fsync(fd)
            self.close()
        if stored != self.size_bytes:
            raise IOFailure(
                f"{str(self.path)!r} has {stored} bytes where {self.size_bytes} were written; "
                "keep other processes away from staging"
            )
        return self._hasher.hexdigest()

    def rename(self, filename: str) -> None:
        """Give the file another name, which must be free.

        Raises:
            OutputError: the name is taken.
            IOFailure: it cannot be renamed.
        """
        target = self._job.staging_path / filename
        if exists(filename, self._job.staging_fd):
            raise OutputError(f"{str(target)!r} exists already; keep other processes away")
        with translated(IOFailure, "rename", self.path):
            directory = self._job.staging_fd
            os.rename(self.filename, filename, src_dir_fd=directory, dst_dir_fd=directory)
        self.filename, self.path = filename, target

    def remove(self, *, close: bool = True) -> None:
        """Delete the file.

        Args:
            close: whether to close it if it is open.

        Raises:
            IOFailure: it is there and cannot be deleted.
        """
        with translated(IOFailure, "remove", self.path):
            if close:
                self.close()
            try:
                os.unlink(self.filename, dir_fd=self._job.staging_fd)
            except FileNotFoundError:
                return

    def close(self) -> None:
        """Close the file as it is; once only."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _descriptor(self) -> int:
        if self._fd is None:
            raise IOFailure(f"{str(self.path)!r} is closed already; write before it is sealed")
        return self._fd
