"""A long list that takes little memory: what has to wait until everything else is written.

Records are kept in chunks, packed; beyond a megabyte they go to a file without a name. What is
read back was written by this very process.
"""

from __future__ import annotations

import io
import marshal
import os
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, Self

#: Records that are packed together.
_CHUNK_RECORDS = 512

#: Bytes of packed records that are kept in memory.
_MEMORY_BYTES = 1024 * 1024


class Ledger:
    """Records in the order in which they were added: tuples of bytes, numbers and tuples.

    Args:
        directory: descriptor of a directory on whose filesystem the nameless file is made, if it
            allows that; otherwise it is made where temporary files are.
        memory_bytes: packed bytes from which on it is needed.
    """

    def __init__(self, directory: int, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._open: list[tuple[Any, ...]] = []
        self._file: BinaryIO = io.BytesIO()
        self._spilt = False
        #: Where each chunk begins, and behind them where the next one will.
        self._places = [0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, record: tuple[Any, ...]) -> None:
        """Add a record.

        Raises:
            OSError: the file cannot be made or written.
        """
        self._open.append(record)
        if len(self._open) == _CHUNK_RECORDS:
            self._pack()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for number in range(len(self._places) - 1):
            yield from self._chunk(number)
        yield from list(self._open)

    def __reversed__(self) -> Iterator[tuple[Any, ...]]:
        yield from reversed(list(self._open))
        for number in reversed(range(len(self._places) - 1)):
            yield from reversed(self._chunk(number))

    @property
    def spilt(self) -> bool:
        """Whether the records outgrew the memory."""
        return self._spilt

    def _pack(self) -> None:
        packed = marshal.dumps(self._open)
        self._file.seek(self._places[-1])
        self._file.write(packed)
        self._places.append(self._file.tell())
        self._open.clear()
        if not self._spilt and self._places[-1] > self._memory_bytes:
            self._spill()

    def _spill(self) -> None:
        file = _nameless(self._directory)
        file.write(self._file.getbuffer())  # type: ignore[attr-defined]
        self._file.close()
        self._file, self._spilt = file, True

    def _chunk(self, number: int) -> list[tuple[Any, ...]]:
        begin, end = self._places[number : number + 2]
        self._file.seek(begin)
        chunk: list[tuple[Any, ...]] = marshal.loads(self._file.read(end - begin))  # noqa: S302  our own
        return chunk


def _nameless(directory: int) -> BinaryIO:
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except OSError:  # not every filesystem can
        return tempfile.TemporaryFile()
    return open(fd, "w+b")  # noqa: PTH123  a descriptor
