"""The files of one artifact: a single one, or parts of a largest size (Contract §4).

What is cut is the stream of stored bytes, after compression and encryption. So the parts, one
after the other, are the very file that would have been written without a limit, and each can be
verified by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen

from baqup_agent.errors import IOFailure, LimitExceeded
from baqup_agent.staging.artifact import MAX_PARTS, Part, part_name
from baqup_agent.staging.checksum import Hasher
from baqup_agent.staging.directory import JobDirectory
from baqup_agent.staging.part import PartFile

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@frozen
class StoredFile:
    """A file that is complete and synced.

    Attributes:
        filename: its name.
        size_bytes: its size.
        checksum: the checksum of its bytes.
        part: which piece of the artifact it is; None if it is all of it.
    """

    filename: str
    size_bytes: int
    checksum: str
    part: Part | None


class PartSeries:
    """Takes the stored bytes of one artifact, and begins a new file whenever one is full.

    As long as there is one file it has the artifact's own name, and an artifact that fits into
    one keeps it.

    Args:
        job: the job's directory.
        filename: the artifact's name.
        hasher: makes the hasher of each file.
        limit_bytes: the largest size of a file; 0 for any.

    Raises:
        OutputError: the first file cannot be created.

    Attributes:
        filename: the artifact's name.
        size_bytes: bytes stored so far, in all files.
    """

    def __init__(
        self, job: JobDirectory, filename: str, hasher: Callable[[], Hasher], limit_bytes: int = 0
    ) -> None:
        self.filename = filename
        self.size_bytes = 0
        self._job = job
        self._hasher = hasher
        self._limit_bytes = limit_bytes
        self._current = PartFile(job, filename, hasher())
        self._files = [self._current]
        self._checksums: list[str] = []
        self._closed = False

    def write(self, data: ReadableBuffer) -> None:
        """Store bytes.

        Raises:
            IOFailure: they could not be stored, not all of them.
            OutputError: a further file cannot be created.
            LimitExceeded: there would be more files than their names can count.
        """
        view = memoryview(data).cast("B")
        while view:
            room = self._room() if self._limit_bytes else len(view)
            self._current.write(view[:room])
            self.size_bytes += min(room, len(view))
            view = view[room:]

    def seal(self) -> tuple[StoredFile, ...]:
        """Sync and close the last file; return all of them.

        Raises:
            IOFailure: it could not be synced, or somebody else wrote to it.
        """
        self._checksums.append(self._current.seal())
        count = len(self._files)
        return tuple(
            StoredFile(
                file.filename,
                file.size_bytes,
                checksum,
                Part(self.filename, number, count) if count > 1 else None,
            )
            for number, (file, checksum) in enumerate(
                zip(self._files, self._checksums, strict=True), start=1
            )
        )

    def remove(self, *, close: bool = True) -> None:
        """Delete every file.

        Args:
            close: whether to close what is open; not while another thread may write to it.

        Raises:
            IOFailure: one is there and cannot be deleted; the others are deleted all the same.
        """
        self._closed = True
        first: IOFailure | None = None
        for file in self._files:
            try:
                file.remove(close=close)
            except IOFailure as error:
                first = first or error
        if first is not None:
            raise first

    def close(self) -> None:
        """Close the files as they are."""
        self._closed = True
        self._current.close()

    def _room(self) -> int:
        if self._current.size_bytes >= self._limit_bytes:
            self._begin_next()
        return self._limit_bytes - self._current.size_bytes

    def _begin_next(self) -> None:
        number = len(self._files) + 1
        if number > MAX_PARTS:
            raise LimitExceeded(
                f"the artifact {self.filename!r} has more than {MAX_PARTS} parts of "
                f"{self._limit_bytes} bytes; raise BAQUP_ARTIFACT_SPLIT_SIZE"
            )
        if self._closed:
            raise IOFailure(f"the artifact {self.filename!r} was given up")
        self._checksums.append(self._current.seal())
        if number == 2:  # noqa: PLR2004  only now it is known that the artifact has parts
            self._current.rename(part_name(self.filename, 1))
        self._current = PartFile(self._job, part_name(self.filename, number), self._hasher())
        self._files.append(self._current)
