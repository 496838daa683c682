"""Reading a file, a pipe or a socket piece by piece into memory that is there already."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable

#: Milliseconds after which a reader that has nothing to read looks whether it must stop.
_LOOK_MS = 100


class Source:
    """An open descriptor that is read from its position, or from an offset, on.

    Args:
        fd: what to read from; it stays open.
        offset: where to begin, leaving the descriptor's own position alone; None to move it.
        check: called while nothing comes; raises to give up.

    Attributes:
        failure: what the operating system refused; None as long as it refused nothing.
    """

    def __init__(self, fd: int, offset: int | None, check: Callable[[], None]) -> None:
        self.failure: OSError | None = None
        self._fd = fd
        self._offset = offset
        self._check = check
        self._poll: select.poll | None = None
        self._known = offset is not None  # only files have offsets

    def read_into(self, room: memoryview) -> int:
        """Read at most as many bytes as there is room for; return how many, 0 at the end.

        Raises:
            OSError: the source cannot be read.
        """
        try:
            if not self._known:
                self._look_at_the_kind()
            return self._read(room)
        except OSError as error:
            self.failure = error
            raise

    def _look_at_the_kind(self) -> None:
        """Find out whether reading can block for long: not from a file, which is always ready."""
        self._known = True
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLIN)

    def _read(self, room: memoryview) -> int:
        if self._offset is not None:
            count = os.preadv(self._fd, [room], self._offset)
            self._offset += count
            return count
        while True:
            if self._poll is not None:
                while not self._poll.poll(_LOOK_MS):
                    self._check()
            try:
                return os.readv(self._fd, [room])
            except BlockingIOError:  # somebody else took it, or it was none after all
                self._check()
