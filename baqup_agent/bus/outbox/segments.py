"""The numbered files of an outbox, to the last of which records are appended.

A segment is only ever appended to, and only by the process that made it: what was found on disk
is continued in a new segment. So a position, once known, stays true, and a reader needs no lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import NamedTuple

from attrs import define

from baqup_agent.bus.outbox.record import STATUS, Entry, Position
from baqup_agent.bus.outbox.segment_files import (
    LONGEST_LINE_BYTES,
    READ,
    found_segments,
    name_of,
    parse,
    usable_size,
)

#: How much is read at once while counting: so little that its records are gone again before the
#: garbage collector takes an interest in them, which would cost half as much as the counting.
_SCANNED_BYTES = 1 << 16

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


@define
class Segment:
    """What is known of one file.

    Attributes:
        number: its name as a number.
        begin: offset of the first record that was not acknowledged when the outbox was opened.
        size: offset behind its last whole record.
        first_ticket: the ticket of the record at ``begin``; the others count on from there.
        judged: whether its damaged records were counted when the outbox was opened.
        sound: whether there were none.
        synced: the size up to which it is known to survive a power cut.
    """

    number: int
    begin: int
    size: int
    first_ticket: int
    judged: bool = False
    sound: bool = False
    synced: int = 0


#: Stands where no segment is open for appending.
_NO_SEGMENT = Segment(0, 0, 0, 0)


class Loaded(NamedTuple):
    """A piece of the segments that was read back.

    Attributes:
        entries: its whole records.
        position: where to go on reading.
        ticket: the ticket of the record there.
        damaged: how many damaged records were left out.
        lost_bytes: how many bytes they have, where they were counted as in use.
        judged: whether they were counted before.
    """

    entries: list[Entry]
    position: Position
    ticket: int
    damaged: int
    lost_bytes: int
    judged: bool


class Stock(NamedTuple):
    """What was found in the segments of an earlier process.

    Attributes:
        last_ticket: the ticket of the last whole record; 0 if there is none.
        used_bytes: bytes of the whole records.
        statuses: how many of the whole records are statuses.
        events: how many are events.
        corrupt: how many records are damaged.
        first: where the records begin; None if there is none.
    """

    last_ticket: int
    used_bytes: int
    statuses: int
    events: int
    corrupt: int
    first: Position | None


class Segments:
    """The segments of one directory.

    Args:
        directory: descriptor of the directory.
        segment_bytes: see `Sizes`.

    Attributes:
        known: the segments that are not acknowledged, by number, in order.
        left: bytes that still fit into the segment that is appended to.
        names_changed: whether a file was created since the directory was synced.
    """

    def __init__(self, directory: int, segment_bytes: int) -> None:
        self.known: dict[int, Segment] = {}
        self.left = 0
        self.names_changed = False
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._live = _NO_SEGMENT
        self._fd = -1
        self._last = 0
        # The segment that is read, and its descriptor, kept open for the next piece of it.
        self._read_number = self._read_fd = -1

    @property
    def live_bytes(self) -> int:
        """Size of the segment that is appended to; 0 if there is none."""
        return self._live.size

    @property
    def end(self) -> Position:
        """Where the last record ends."""
        if not self.known:
            return (self._last, 0)
        last = next(reversed(self.known.values()))
        return (last.number, last.size)

    def write(self, line: bytes, ticket: int) -> Position:
        """Append one line with one write, to a new segment if it does not fit into this one.

        Raises:
            OSError: nothing of it was written.
        """
        size_bytes = len(line)
        if size_bytes > self.left:
            self._roll(ticket)
        try:
            written = os.write(self._fd, line)
        except OSError:
            self._undo()
            raise
        if written != size_bytes:
            self._undo()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # what a part means
        self.left -= size_bytes
        live = self._live
        live.size = size = live.size + size_bytes
        return (live.number, size)

    def seal(self) -> None:
        """Append no more to this segment; the next record begins a new one."""
        self._live = _NO_SEGMENT
        self.left = 0
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _undo(self) -> None:
        """Take back a write that stopped half way, which is how a full disk shows."""
        with contextlib.suppress(OSError):  # then a torn line stays behind the known end
            os.ftruncate(self._fd, self._live.size)
        live = self._live
        self.seal()
        if live.size == 0:
            del self.known[live.number]
            self._unlink([live.number])

    def _roll(self, ticket: int) -> None:
        """Begin a new segment; whoever has put something under its name may keep it."""
        self.seal()
        number = self._last + 1
        while self._fd < 0:
            try:
                self._fd = os.open(name_of(number), _APPEND, 0o600, dir_fd=self._directory)
            except FileExistsError:
                number += 1
        self._last = number
        self._live = self.known[number] = Segment(number, 0, 0, ticket)
        self.left = self._segment_bytes
        self.names_changed = True

    def load(self, position: Position, ticket: int, most_bytes: int) -> Loaded:
        """Read whole records from ``position`` on, up to the end of that segment.

        Args:
            position: where to begin; the beginning or the end of a record.
            ticket: the ticket of the record there.
            most_bytes: about how much to read; a longer record is read whole.

        Raises:
            OSError: they cannot be read at present, which tells nothing of what they say.
        """
        segment, offset, ticket, following = self._find(position, ticket)
        if segment is None:
            return Loaded([], self.end, ticket, 0, 0, judged=True)
        number, size = segment.number, segment.size
        data = self._read(number, offset, min(most_bytes, size - offset))
        while b"\n" not in data and offset + len(data) < size and len(data) < LONGEST_LINE_BYTES:
            more = self._read(number, offset + len(data), min(size - offset, 2 * len(data) + 4096))
            if not more:
                break
            data += more
        whole = data.rfind(b"\n") + 1
        if offset + len(data) == size or len(data) >= LONGEST_LINE_BYTES:
            whole = len(data)
        entries, damaged, lost_bytes = parse(
            data[:whole], (number, offset), ticket, sound=segment.sound
        )
        reached = offset + whole
        if whole == 0 and reached < size:  # the file is shorter than it was, or gone
            damaged, lost_bytes, reached = damaged + 1, size - offset, size
        if following is not None and reached == size:
            at, next_ticket = (following.number, following.begin), following.first_ticket
        else:
            at, next_ticket = (number, reached), ticket + len(entries) + damaged
        return Loaded(entries, at, next_ticket, damaged, lost_bytes, segment.judged)

    def _find(
        self, position: Position, ticket: int
    ) -> tuple[Segment | None, int, int, Segment | None]:
        """Return the segment of a position, the offset in it, the ticket, and the segment after it.

        What lies behind the last record of a segment is the first of the next; and so is what
        lies in a segment that is not there any more.
        """
        number, offset = position
        # In this order: once there is a next segment, nothing is appended to this one.
        following = self._after(number)
        segment = self.known.get(number)
        if segment is not None and (following is None or offset < segment.size):
            return segment, offset, ticket, following
        if following is None:
            return None, 0, ticket, None
        after = self._after(following.number)
        return following, following.begin, following.first_ticket, after

    def _read(self, number: int, offset: int, most_bytes: int) -> bytes:
        """Read a piece of a segment; nothing if the file is gone."""
        if self._read_number != number:
            self._stop_reading()
            try:
                self._read_fd = os.open(name_of(number), READ, dir_fd=self._directory)
            except FileNotFoundError:
                return b""
            self._read_number = number
        return os.pread(self._read_fd, most_bytes, offset)

    def _stop_reading(self) -> None:
        fd, self._read_fd, self._read_number = self._read_fd, -1, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)

    def close(self) -> None:
        """Close the files."""
        self._stop_reading()
        with contextlib.suppress(OSError):
            self.seal()

    def _after(self, number: int) -> Segment | None:
        return next((segment for n, segment in list(self.known.items()) if n > number), None)

    def finished(self, position: Position) -> list[int]:
        """Return and forget the segments of which everything lies before ``position``."""
        live = self._live.number
        done = [
            segment.number
            for segment in self.known.values()
            if (segment.number, segment.size) <= position and segment.number != live
        ]
        for number in done:
            del self.known[number]
        return done

    def remove(self, numbers: list[int]) -> None:
        """Delete the files of segments; what is gone already, or stays, does no harm."""
        if self._read_number in numbers:
            self._stop_reading()
        self._unlink(numbers)

    def _unlink(self, numbers: list[int]) -> None:
        for number in numbers:
            with contextlib.suppress(OSError):
                os.unlink(name_of(number), dir_fd=self._directory)

    def unsynced(self) -> list[tuple[Segment, int]]:
        """Return the segments that have grown since they were synced, with their sizes."""
        return [(known, known.size) for known in self.known.values() if known.size > known.synced]

    def sync(self, unsynced: list[tuple[Segment, int]]) -> None:
        """Make sure that segments survive a power cut.

        Raises:
            OSError: they may not.
        """
        for segment, size in unsynced:
            try:
                fd = os.open(name_of(segment.number), READ, dir_fd=self._directory)
            except FileNotFoundError:
                continue
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
            segment.synced = size

    def recover(self, cursor: Position, *, repair: bool) -> None:
        """Take up the segments that are found on disk, from the cursor on.

        Args:
            cursor: where the acknowledged records end.
            repair: remove what is acknowledged, and what a torn write left at an end.

        Raises:
            OSError: a segment cannot be opened or read at present.
        """
        found = found_segments(self._directory)
        self._last = max([*found, cursor[0]])
        kept = [number for number in found if number >= cursor[0]]
        for number in kept:
            size = usable_size(self._directory, number, repair=repair)
            begin = min(cursor[1], size) if number == cursor[0] else 0
            self.known[number] = Segment(number, begin, size, 0, judged=True, synced=size)
        if repair:
            self.remove([number for number in found if number < cursor[0]])

    def take_stock(self) -> Stock:
        """Read what was found on disk, count it, and number its records from 1.

        Raises:
            OSError: a segment cannot be read at present.
        """
        ticket, last, used_bytes, statuses, events, corrupt = 1, 0, 0, 0, 0, 0
        for segment in self.known.values():
            segment.first_ticket = ticket
            at, damaged_before = (segment.number, segment.begin), corrupt
            while at < (segment.number, segment.size):
                piece = self.load(at, ticket, _SCANNED_BYTES)
                used_bytes += sum(entry.size_bytes for entry in piece.entries)
                corrupt += piece.damaged
                found = sum(entry.kind == STATUS for entry in piece.entries)
                statuses, events = statuses + found, events + len(piece.entries) - found
                last = piece.entries[-1].ticket if piece.entries else last
                ticket += len(piece.entries) + piece.damaged
                at = piece.position
            segment.sound = corrupt == damaged_before
        begin = next(((it.number, it.begin) for it in self.known.values()), None)
        return Stock(last, used_bytes, statuses, events, corrupt, begin if last else None)
