"""The directories that a walk has found and not entered yet: a stack that stays small in memory.

One flat directory can hold a million others. All but the newest few thousand are therefore kept in
a file, which has no name and vanishes with the process, in the staging area: of all places the one
where a job may write.
"""

from __future__ import annotations

import marshal
import os
import tempfile
from pathlib import Path
from typing import IO, NamedTuple

from baqup_agent.errors import IOFailure

#: Directories that are kept in memory at most; one block in the file is half of that.
MOST_IN_MEMORY = 4096


class Pending(NamedTuple):
    """A directory to be entered. Paths are raw bytes from the source's root, joined by ``/``.

    Attributes:
        name: its path in the backup.
        place: where it really stands; differs from the name below a followed link.
        landing: the last place that a followed link led to on the way here; empty for the root.
        trail: for each followed link on the way, the landing before it and where it stood.
    """

    name: bytes
    place: bytes
    landing: bytes = b""
    trail: tuple[tuple[bytes, bytes], ...] = ()

    def stands_in(self, place: bytes) -> bool:
        """Whether ``place`` is a directory that had to be entered to come here, or this one."""
        stretches = (*self.trail, (self.landing, self.place))
        return any(_within(place, first) and _within(last, place) for first, last in stretches)


class PendingDirectories:
    """The stack.

    Args:
        spill_dir: where the file is made once it is needed.
    """

    def __init__(self, spill_dir: Path) -> None:
        self._spill_dir = spill_dir
        self._newest: list[Pending] = []
        self._file: IO[bytes] | None = None
        self._blocks: list[int] = []  # where each begins
        self._end = 0

    def __bool__(self) -> bool:
        return bool(self._newest or self._blocks)

    def push(self, directory: Pending) -> None:
        """Put a directory on top.

        Raises:
            IOFailure: the file cannot be written.
        """
        self._newest.append(directory)
        if len(self._newest) > MOST_IN_MEMORY:
            half = MOST_IN_MEMORY // 2
            self._spill(self._newest[:half])
            del self._newest[:half]

    def pop(self) -> Pending:
        """Take the directory on top; IndexError if there is none.

        Raises:
            IOFailure: the file cannot be read.
        """
        if not self._newest and self._blocks:
            self._newest = self._unspill()
        return self._newest.pop()

    def close(self) -> None:
        """Forget everything."""
        self._newest, self._blocks = [], []
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self, directories: list[Pending]) -> None:
        block = marshal.dumps([tuple(directory) for directory in directories])
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(  # noqa: SIM115  it stays open
                    dir=self._spill_dir, buffering=0
                )
            self._file.seek(self._end)
            view = memoryview(block)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._trouble(error) from error
        self._blocks.append(self._end)
        self._end += len(block)

    def _unspill(self) -> list[Pending]:
        start = self._blocks.pop()
        assert self._file is not None  # noqa: S101  a block lies in the file
        try:
            block = os.pread(self._file.fileno(), self._end - start, start)
        except OSError as error:
            raise self._trouble(error) from error
        self._end = start
        directories = marshal.loads(block)  # noqa: S302  our own bytes, in a file without a name
        return [Pending(*directory) for directory in directories]

    def _trouble(self, error: OSError) -> IOFailure:
        return IOFailure(
            f"the list of directories still to be read cannot be kept in "
            f"{os.fspath(self._spill_dir)!r}: {error.strerror}; "
            "give the staging area more room"
        )


def _within(inner: bytes, outer: bytes) -> bool:
    return not outer or inner == outer or inner.startswith(outer + b"/")
