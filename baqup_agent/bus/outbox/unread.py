"""The records that are not acknowledged, in the order of their tickets, as far as in memory.

    in flight      read, not acknowledged
    cached         not read; on disk, too
    (on disk)      not read; on disk only, from `Unread.load_at` on
    spilled        not read; in memory only, because the disk does not take them

Everything on disk precedes everything that is in memory only.
"""

from __future__ import annotations

from collections import deque

from baqup_agent.bus.outbox.record import Entry, Position
from baqup_agent.bus.outbox.room import Sizes


class Unread:
    """See the module. Not safe for threads by itself.

    Args:
        sizes: see `Sizes`.

    Attributes:
        load_at: where the records begin that are on disk only; None if there are none.
        load_ticket: the ticket of the first of them.
        spilled: the records in memory only.
        spilled_bytes: bytes of all records in memory only, also of those in flight.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.load_at: Position | None = None
        self.load_ticket = 0
        self.spilled: deque[Entry] = deque()
        self.spilled_bytes = 0
        self._most_bytes, self._most = sizes.cached_bytes, sizes.cached_records
        self._in_flight: deque[Entry] = deque()
        self._cached: deque[Entry] = deque()
        self._cached_bytes = 0

    @property
    def must_load(self) -> bool:
        """Whether the next record has to be read from disk."""
        return not self._cached and self.load_at is not None

    @property
    def empty(self) -> bool:
        """Whether there is no record at all."""
        return not (self._in_flight or self._cached or self.load_at or self.spilled)

    @property
    def last_in_flight(self) -> int:
        """The ticket of the record that was read last; 0 if none is in flight."""
        return self._in_flight[-1].ticket if self._in_flight else 0

    def add(self, entry: Entry) -> None:
        """Add a record that was written to disk; keep its text if there is room for it."""
        if self.load_at is not None:
            return
        cached_bytes = self._cached_bytes + entry[3]
        if cached_bytes <= self._most_bytes and len(self._cached) < self._most:
            self._cached_bytes = cached_bytes
            self._cached.append(entry)
            return
        assert entry.end is not None  # noqa: S101  it was written to disk
        self.load_at = (entry.end[0], entry.end[1] - entry.size_bytes)
        self.load_ticket = entry.ticket

    def add_loaded(self, entries: list[Entry]) -> None:
        """Add records that were read from disk."""
        self._cached.extend(entries)
        self._cached_bytes += sum(entry.size_bytes for entry in entries)

    def add_spilled(self, entry: Entry) -> None:
        """Add a record that is in memory only."""
        self.spilled.append(entry)
        self.spilled_bytes += entry.size_bytes

    def take(self, most: int, room_bytes: int, *, first: bool) -> list[Entry]:
        """Take records to be read; empty if there are none in memory, or none that fits.

        Args:
            most: at most so many.
            room_bytes: at most so many bytes.
            first: take one whatever its size.
        """
        source = self._cached or self.spilled
        taken: list[Entry] = []
        while source and len(taken) < most:
            size_bytes = source[0].size_bytes
            if size_bytes > room_bytes and (taken or not first):
                break
            room_bytes -= size_bytes
            taken.append(source.popleft())
        if source is self._cached:
            self._cached_bytes -= sum(entry.size_bytes for entry in taken)
        self._in_flight.extend(taken)
        return taken

    def rewind(self) -> None:
        """Count what is in flight as unread."""
        while self._in_flight:
            entry = self._in_flight.pop()
            if entry.end is None:
                self.spilled.appendleft(entry)
            else:
                self._cached.appendleft(entry)
                self._cached_bytes += entry.size_bytes

    def release(self, ticket: int) -> list[Entry]:
        """Forget and return what is in flight up to and including ``ticket``."""
        released: list[Entry] = []
        while self._in_flight and self._in_flight[0].ticket <= ticket:
            entry = self._in_flight.popleft()
            if entry.end is None:
                self.spilled_bytes -= entry.size_bytes
            released.append(entry)
        return released

    def in_memory_only(self) -> list[Entry]:
        """Return the records that are nowhere on disk, in order."""
        return [entry for entry in self._in_flight if entry.end is None] + list(self.spilled)

    def returned(self, entry: Entry, end: Position) -> None:
        """Note that the first of those that are in memory only was written to disk."""
        self.spilled_bytes -= entry.size_bytes
        on_disk = entry._replace(end=end)
        if self.spilled and self.spilled[0] is entry:
            self.spilled.popleft()
            self.add(on_disk)
        else:
            self._in_flight[self._in_flight.index(entry)] = on_disk
