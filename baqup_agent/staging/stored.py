"""The bytes of an artifact as they are stored, its parts one after the other (Contract §4)."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from baqup_agent.errors import BaqupError
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.checking import (
    Damage,
    Finding,
    Stamp,
    stamp_of,
    unopened,
    wrong_checksum,
    wrong_size,
)
from baqup_agent.staging.checksum import CHUNK_BYTES, Hasher, new_hash
from baqup_agent.staging.durable import open_regular
from baqup_agent.staging.whole import Whole

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class StoredBytes(io.RawIOBase):
    """Reads the files of an artifact in their order; holds one of them open at a time.

    Without stamps each file is hashed while it is read. Its last bytes are handed out only if
    the checksum of all of them holds; if not, reading raises.

    Args:
        whole: what to read.
        path: the directory, for messages.
        directory: its descriptor, which must stay open.
        stamps: those of files that were found intact; a file that has changed since is refused.
        on_chunk: is told the bytes of each piece that was read; what it raises ends the reading.

    Raises:
        VerificationFailed: a file is missing or has another size; also raised by reading.
        IOFailure: a file cannot be read; also raised by reading.
        ConfigError: the package of a checksum is not installed.

    Attributes:
        failure: what reading raised.
    """

    def __init__(
        self,
        whole: Whole,
        path: Path,
        directory: int,
        stamps: Mapping[str, Stamp] | None = None,
        on_chunk: Callable[[int], None] | None = None,
    ) -> None:
        self.failure: BaqupError | None = None
        self._path = path
        self._directory = directory
        self._stamps = stamps
        self._on_chunk = on_chunk
        self._waiting = list(reversed(whole.files))
        self._fd: int | None = None
        self._hasher: Hasher | None = None
        self._missing = 0
        for file in whole.files:
            # All of them before the first byte: a part that is not there shall cost no time.
            os.close(self._opened(file))
            if stamps is None:
                new_hash(file.checksum_algorithm)

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer with the next bytes; return 0 at the end."""
        view = memoryview(buffer).cast("B")
        while self._fd is not None or self._waiting:
            if count := self._read(view):
                return count
        return 0

    def finish(self) -> None:
        """Hash what is left, so that all checksums are known to hold."""
        if self._stamps is not None:
            return
        rest = bytearray(CHUNK_BYTES)
        while self.readinto(rest):
            pass

    def close(self) -> None:
        """Close the file that is open."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
        super().close()

    def _read(self, view: memoryview) -> int:
        """Read from the current file; 0 if it has ended, and the next one's turn is come."""
        if self._fd is None:
            self._begin(self._waiting[-1])
        file = self._waiting[-1]
        assert self._fd is not None  # noqa: S101  `_begin` opened it or raised
        try:
            count = os.readv(self._fd, [view[: self._missing]]) if self._missing else 0
        except OSError as error:
            raise self._failed(unopened(file, error)) from error
        if self._hasher is not None:
            self._hasher.update(view[:count])
        if self._on_chunk is not None:
            self._on_chunk(count)
        self._missing -= count
        if not self._missing or not count:
            self._end(file)
        return count

    def _begin(self, file: Artifact) -> None:
        self._fd = self._opened(file)
        self._missing = file.size_bytes
        if self._stamps is None:
            self._hasher = new_hash(file.checksum_algorithm)

    def _end(self, file: Artifact) -> None:
        if self._missing:
            raise self._failed(wrong_size(file, file.size_bytes - self._missing))
        if self._hasher is not None and self._hasher.hexdigest() != file.checksum_value:
            raise self._failed(wrong_checksum(file, self._hasher.hexdigest()))
        self._waiting.pop()
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _opened(self, file: Artifact) -> int:
        try:
            fd = open_regular(file.filename, self._directory)
        except OSError as error:
            raise self._failed(unopened(file, error)) from error
        finding = self._changed(file, fd)
        if finding is None:
            return fd
        os.close(fd)
        raise self._failed(finding)

    def _changed(self, file: Artifact, fd: int) -> Finding | None:
        stamp = stamp_of(fd)
        size = os.fstat(fd).st_size
        if size != file.size_bytes:
            return wrong_size(file, size)
        if self._stamps is None or self._stamps[file.filename] == stamp:
            return None
        return Finding(
            Damage.CORRUPT,
            f"{file.filename!r} has changed since it was verified; keep other processes away from "
            "published artifacts, and verify again",
        )

    def _failed(self, finding: Finding) -> BaqupError:
        path = self._path / self._waiting[-1].filename if self._waiting else self._path
        self.failure = finding.damage.error(f"{finding.message} ({str(path)!r})")
        return self.failure
