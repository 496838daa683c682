"""The files of one outbox, all of them open."""

from __future__ import annotations

import contextlib

from baqup_agent.bus.outbox.cursor import Cursor, CursorFile, read_cursor
from baqup_agent.bus.outbox.incarnation import Incarnation
from baqup_agent.bus.outbox.reserve import Reserve, read_reserve
from baqup_agent.bus.outbox.room import Sizes
from baqup_agent.bus.outbox.segments import Segment, Segments


class Disk:
    """The files of one outbox.

    Args:
        incarnation: the directory; taken over, unless this fails.
        sizes: see `Sizes`.
        repair: whether anything may be changed; False leaves every byte as it is.

    Attributes:
        segments: the records.
        found: the cursor as it was found.
        kept_status: the status that was found in the reserve, as JSON.
        reserve_damaged: whether there was one that cannot be read.

    Raises:
        OSError: a file cannot be opened.
    """

    def __init__(self, incarnation: Incarnation, sizes: Sizes, *, repair: bool) -> None:
        self.incarnation = incarnation
        self.repair = repair
        self.segments = Segments(incarnation.fd, sizes.segment_bytes)
        self.found = read_cursor(incarnation.fd)
        self.kept_status, self.reserve_damaged = read_reserve(incarnation.fd)
        self._cursor = CursorFile(incarnation.fd) if repair else None
        self._reserve = _reserve(incarnation.fd, sizes.reserve_bytes) if repair else None

    def remove(self, numbers: list[int]) -> None:
        """Delete segments that are acknowledged."""
        if self.repair:
            self.segments.remove(numbers)

    def write_cursor(self, cursor: Cursor) -> None:
        """Remember how far things are; if it fails, some of it will be sent again."""
        if self._cursor is not None:
            with contextlib.suppress(OSError):
                self._cursor.write(cursor)

    def keep_status(self, line: bytes) -> bool:
        """Write a status to the reserve; return whether it is there."""
        return self._reserve is not None and self._reserve.keep(line)

    def clear_reserve(self) -> None:
        """Forget the status in the reserve."""
        if self._reserve is not None:
            self._reserve.clear()

    def renew_reserve(self) -> None:
        """Hold back again what a full disk did not let us hold back."""
        if self._reserve is not None:
            self._reserve.renew()

    def sync(self, grown: list[tuple[Segment, int]], *, reserve: bool, names: bool) -> None:
        """Make sure that files survive a power cut.

        Args:
            grown: segments, and the sizes they have by now.
            reserve: whether there is something in the reserve.
            names: whether files were added.

        Raises:
            OSError: they may not.
        """
        self.segments.sync(grown)
        if reserve and self._reserve is not None:
            self._reserve.sync()
        if self._cursor is not None:
            self._cursor.sync()
        self.incarnation.sync_names(changed=names)

    def close(self, *, remove: bool) -> str | None:
        """Close the files and let go of the lock.

        Args:
            remove: delete it all; nothing in it is needed any more.

        Returns:
            What could not be removed, as one line.
        """
        leftover = self.incarnation.remove() if remove else None
        self.segments.close()
        for file in (self._cursor, self._reserve):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
        self.incarnation.close()
        return leftover


def _reserve(directory: int, size_bytes: int) -> Reserve | None:
    """Open the reserve; an outbox can do without one."""
    try:
        return Reserve(directory, size_bytes)
    except OSError:
        return None
