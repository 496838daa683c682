"""Disk space that is held back, so that the status of a job can be kept on a full disk.

A status that does not fit into a segment is written into the space that the reserve occupies
already. (Freeing the space and writing elsewhere would give it to whoever fills the disk.)
"""

from __future__ import annotations

import contextlib
import os

from baqup_agent.bus.outbox.directory import read_file
from baqup_agent.bus.outbox.record import STATUS, decode_line, kind_of
from baqup_agent.bus.outbox.segment_files import LONGEST_LINE_BYTES

RESERVE_NAME = "reserve"

_EMPTY = b"\0"
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Reserve:
    """The reserve of one outbox.

    Args:
        directory: descriptor of the directory that it lies in.
        size_bytes: how much space to hold back, 0 for none.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, directory: int, size_bytes: int) -> None:
        self._fd = os.open(RESERVE_NAME, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600, dir_fd=directory)
        self._size_bytes = size_bytes
        self.renew()

    def renew(self) -> None:
        """Hold back what is missing of the space, if the disk has it."""
        # A disk that is full from the beginning leaves us without: there is nothing to hold back.
        with contextlib.suppress(OSError):
            if os.fstat(self._fd).st_size < self._size_bytes:
                os.posix_fallocate(self._fd, 0, self._size_bytes)

    def keep(self, line: bytes) -> bool:
        """Store the line of a status in place of one stored before; return whether it fitted."""
        try:
            if os.pwrite(self._fd, line, 0) == len(line):
                return True
        except OSError:
            pass
        self.clear()
        return False

    def clear(self) -> None:
        """Forget the status; the space stays reserved."""
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, _EMPTY, 0)

    def sync(self) -> None:
        """Make sure that a stored status survives a power cut.

        Raises:
            OSError: it may not.
        """
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file; the space stays reserved until the file is removed."""
        os.close(self._fd)


def read_reserve(directory: int) -> tuple[str | None, bool]:
    """Return the status that a reserve holds, if any, and whether it was damaged.

    Raises:
        OSError: it cannot be read at present.
    """
    content = read_file(RESERVE_NAME, directory, LONGEST_LINE_BYTES) or b""
    if content[:1] in {b"", _EMPTY}:
        return None, False
    text = decode_line(content.partition(b"\n")[0])
    if text is None or kind_of(text) != STATUS:
        return None, True
    return text, False
