"""The outbox: what was published and not yet acknowledged by the bus (Contract §3).

Rules, and what they are for:

- A record is on its way to the disk, by one ``write``, before `append` returns. The process may
  be killed at any instant from then on. (A power cut is what `sync` is for.)
- The bus is served in the order of tickets. The records of one segment have consecutive tickets.
- What the disk will not take is kept in memory, in bounds, and brought to the disk once it will.
- Reading stays in memory as long as the reader keeps up. When it does not, the texts are let go
  and read back later.
- `append` may be called by any thread; the rest is for one thread at a time. The lock is held
  for steps in memory and single writes, never while a file is read or synced.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType

from baqup_agent.bus.outbox import forked
from baqup_agent.bus.outbox.cursor import Cursor
from baqup_agent.bus.outbox.disk import Disk
from baqup_agent.bus.outbox.incarnation import Identity
from baqup_agent.bus.outbox.record import STATUS, Entry, Position, Record, encode_line, new_entry
from baqup_agent.bus.outbox.room import DEFAULT_SEVERITY, SHARES, Sizes, ceilings
from baqup_agent.bus.outbox.segments import Segments
from baqup_agent.bus.outbox.unread import Unread

#: How much is written at once when records in memory return to the disk, bytes.
_RETURN_BYTES = 64 * 1024

#: How much `Outbox.acknowledge` reads at once to come to a ticket that was never read.
_SKIPPED_RECORDS = 1024


class Outbox:
    """One outbox; made by `open_outbox`, or by `adopt` for those of dead processes.

    Args:
        identity: whose it is.
        disk: its files; None for an outbox in memory.
        sizes: see `Sizes`.
        degraded: why it is in memory, as one line.

    Attributes:
        identity: whose it is.
        last_ticket: the ticket of the latest record; 0 before the first.
        corrupt: how many records were found damaged, and left out.
        found_events: how many events an earlier process left.
        found_statuses: likewise.
        degraded: why records are in memory only, or may not survive a power cut, as one line;
            None while all is well.
        leftover: after `close`: what could not be removed and why; None if nothing.
    """

    def __init__(
        self, identity: Identity, disk: Disk | None, sizes: Sizes, *, degraded: str | None = None
    ) -> None:
        self.identity = identity
        self.last_ticket = 0
        self.corrupt = self.found_events = self.found_statuses = 0
        self.degraded = degraded
        self.leftover: str | None = None
        self._sizes = sizes
        self._disk = disk
        self._segments = disk.segments if disk is not None else None
        self._lock = threading.Lock()
        self._closed = False
        # Whether new records go to memory because the disk did not take the last one.
        self._spilling = False
        self._ceilings = ceilings(sizes.limit_bytes)
        self._ceiling = self._ceilings[DEFAULT_SEVERITY]
        self._memory_ceilings = ceilings(sizes.memory_bytes)
        self._used_bytes = 0
        self._unread = Unread(sizes)
        self._acknowledged = 0
        self._position: Position = (0, 0)
        self._base_ms: int | None = None
        self._dropped: dict[str, int] = {}
        # Whether the cursor's file does not tell of all of them.
        self._untold = False
        self._disowned = False
        # The ticket of the status that is in the reserve, 0 for none.
        self._reserved = 0
        if disk is not None:
            self._take_up(disk)
        forked.track(self)

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many events were refused for want of room, by severity."""
        return MappingProxyType(self._dropped)

    @property
    def used_bytes(self) -> int:
        """Bytes of the records that are not acknowledged."""
        return self._used_bytes

    @property
    def base_ms(self) -> int | None:
        """The milliseconds from which this incarnation's stream ids count, once decided."""
        return self._base_ms

    # Appending.

    def append(self, kind: str, severity: str, text: str) -> int:
        """Keep a message until it is acknowledged; never waits and never raises.

        Args:
            kind: ``event`` or ``status``.
            severity: of an event; decides what is refused as the outbox fills up.
            text: the message's JSON.

        Returns:
            Its ticket; 0 if it was refused, which is counted, or the outbox is closed. A forked
            child has no outbox: in its process, all is refused.
        """
        line = encode_line(text)
        size_bytes = len(line)
        with self._lock:
            segments = self._segments
            if segments is None or self._spilling:
                return self._spill(kind, severity, text, line)
            used_bytes = self._used_bytes + size_bytes
            if used_bytes > self._ceilings.get(severity, self._ceiling) and kind != STATUS:
                return self._drop(severity)
            ticket = self.last_ticket + 1
            try:
                end = segments.write(line, ticket)
            except OSError as error:
                self._fail(error)
                return self._spill(kind, severity, text, line)
            self.last_ticket = ticket
            self._used_bytes = used_bytes
            if (unread := self._unread).load_at is None:
                unread.add(new_entry(ticket, kind, text, size_bytes, end))
            return ticket

    def _spill(self, kind: str, severity: str, text: str, line: bytes) -> int:
        """Keep a message in memory; a status in the reserve, too."""
        if self._closed:
            return self._drop(severity) if self._disowned else 0
        known = severity if severity in SHARES else DEFAULT_SEVERITY
        size_bytes = self._unread.spilled_bytes + len(line)
        if kind != STATUS and size_bytes > self._memory_ceilings[known]:
            return self._drop(severity)
        self.last_ticket += 1
        if kind == STATUS and self._disk is not None and self._disk.keep_status(line):
            self._reserved = self.last_ticket
        self._used_bytes += len(line)
        self._unread.add_spilled(Entry(self.last_ticket, kind, text, len(line), None))
        return self.last_ticket

    def _drop(self, severity: str) -> int:
        known = severity if severity in SHARES else DEFAULT_SEVERITY
        self._dropped[known] = self._dropped.get(known, 0) + 1
        self._untold = True
        return 0

    def _fail(self, error: OSError) -> None:
        """From here on keep what comes in memory."""
        self._spilling = True
        if self._disk is not None:
            self._disk.segments.seal()
            self._explain("written", error)

    def _explain(self, what: str, error: OSError) -> None:
        if self._disk is not None and self.degraded is None:
            reason = error.strerror or str(error)
            self.degraded = f"{self._disk.incarnation.path} cannot be {what}: {reason}"

    # Reading.

    def read(self, most: int, most_bytes: int) -> list[Record]:
        """Return the next records in the order of tickets; does not wait for any.

        Args:
            most: at most so many.
            most_bytes: at most so many bytes of them, but one record whatever its length.

        Returns:
            The records; empty if there is nothing that was not read.

        Raises:
            OSError: there are some that cannot be read from disk at present. None is skipped: a
                later call goes on at the same place.
        """
        taken: list[Record] = []
        room_bytes = most_bytes
        while len(taken) < most and not self._closed:
            try:
                while self._unread.must_load and self._segments is not None:
                    self._load(self._segments)
            except OSError:
                if taken:  # they are read; the next call will tell
                    break
                raise
            with self._lock:
                piece = self._unread.take(most - len(taken), room_bytes, first=not taken)
                if self._unread.empty:  # of what was damaged on disk, nothing is left to send
                    self._acknowledged = self.last_ticket
            if not piece:
                break
            room_bytes -= sum(entry.size_bytes for entry in piece)
            taken += [Record(ticket, kind, text) for ticket, kind, text, _, _ in piece]
        return taken

    def _load(self, segments: Segments) -> None:
        """Read the next piece from disk."""
        at = self._unread.load_at
        assert at is not None  # noqa: S101  there is something to load
        piece = segments.load(at, self._unread.load_ticket, self._sizes.chunk_bytes)
        with self._lock:
            self._unread.add_loaded(piece.entries)
            if not piece.judged:
                self.corrupt += piece.damaged
                self._used_bytes -= piece.lost_bytes
            self._unread.load_ticket = piece.ticket
            self._unread.load_at = piece.position if piece.position < segments.end else None

    def rewind(self) -> None:
        """Have `read` begin again with the first record that is not acknowledged."""
        with self._lock:
            self._unread.rewind()

    # Acknowledging.

    def acknowledge(self, ticket: int) -> None:
        """Let go of the records up to and including ``ticket``: the bus has them.

        Raises:
            OSError: some of them were never read, and cannot be read from disk at present.
                Nothing is acknowledged, and `read` begins again.
        """
        ticket = min(ticket, self.last_ticket)
        skipped = self._skip_to(ticket)
        with self._lock:
            released = self._unread.release(ticket)
            if skipped:  # what was read here beyond the ticket, nobody has seen
                self._unread.rewind()
            self._acknowledged = max(self._acknowledged, ticket)
            self._used_bytes -= sum(entry.size_bytes for entry in released)
            if self._reserved <= self._acknowledged:
                self._clear_reserve()
            done = self._advance(released)
        if done and self._disk is not None:
            self._disk.remove(done)

    def _skip_to(self, ticket: int) -> bool:
        """Read on to a ticket; return whether that was necessary."""
        skipped = False
        try:
            while max(self._acknowledged, self._unread.last_in_flight) < ticket:
                skipped = True
                if not self.read(_SKIPPED_RECORDS, self._sizes.cached_bytes):
                    break
        except OSError:
            self.rewind()
            raise
        return skipped

    def _advance(self, released: list[Entry]) -> list[int]:
        """Move the cursor behind records; return the segments that lie wholly before it."""
        segments = self._segments
        position = next((entry.end for entry in reversed(released) if entry.end), None)
        if segments is None or position is None:
            return []
        if not self._used_bytes and segments.live_bytes > self._sizes.idle_bytes:
            segments.seal()
        self._position = position
        self._write_cursor()
        return segments.finished(position)

    def _write_cursor(self) -> None:
        self._untold = False
        if self._disk is not None:
            self._disk.write_cursor(Cursor(self._position, self._base_ms, self._dropped))

    def _clear_reserve(self) -> None:
        if self._reserved and self._disk is not None:
            self._disk.clear_reserve()
        self._reserved = 0

    def holds_up_to(self, ticket: int) -> bool:
        """Whether a record up to and including ``ticket`` is not acknowledged."""
        with self._lock:
            return self._acknowledged < min(ticket, self.last_ticket)

    # Durability.

    def set_base_ms(self, base_ms: int) -> None:
        """Remember `base_ms` beyond the death of the process; after a `sync`, beyond a power cut.

        Does not wait for the disk.

        Args:
            base_ms: milliseconds since the epoch.
        """
        with self._lock:
            self._base_ms = base_ms
            self._write_cursor()
            self._write_cursor()  # the other slot, too: damage to one must not lose it

    def sync(self) -> None:
        """Make sure that what is not acknowledged survives a power cut; may take its time.

        Records that the disk would not take are offered to it again.
        """
        if self._disk is not None and self._disk.repair:
            self._return_to_disk(self._disk)
            self._sync(self._disk)

    def _sync(self, disk: Disk) -> None:
        with self._lock:
            if self._untold:
                self._write_cursor()
            grown = disk.segments.unsynced() if self._used_bytes else []
            names, disk.segments.names_changed = disk.segments.names_changed, False
        try:
            disk.sync(grown, reserve=self._reserved > 0, names=names)
        except OSError as error:
            disk.segments.names_changed |= names
            self._explain("synced", error)
        else:
            if not self._spilling:
                self.degraded = None

    def _return_to_disk(self, disk: Disk) -> None:
        """Write what is in memory only to the disk, piece by piece, if it takes it by now."""
        while self._spilling:
            with self._lock:
                try:
                    self._return_piece(disk)
                except OSError:
                    return

    def _return_piece(self, disk: Disk) -> None:
        written_bytes = 0
        for entry in self._unread.in_memory_only():
            if written_bytes >= _RETURN_BYTES:
                return
            end = disk.segments.write(encode_line(entry.text), entry.ticket)
            self._unread.returned(entry, end)
            written_bytes += entry.size_bytes
        self._spilling = False
        self.degraded = None
        self._clear_reserve()
        disk.renew_reserve()

    # Beginning and end.

    def _take_up(self, disk: Disk) -> None:
        """Go on where an earlier process stopped."""
        self._position, self._base_ms = disk.found.position, disk.found.base_ms
        self._dropped = dict(disk.found.dropped)
        disk.segments.recover(self._position, repair=disk.repair)
        stock = disk.segments.take_stock()
        self.last_ticket = stock.last_ticket
        self.corrupt = stock.corrupt + disk.reserve_damaged
        self.found_events, self.found_statuses = stock.events, stock.statuses
        self._used_bytes = stock.used_bytes
        self._unread.load_at, self._unread.load_ticket = stock.first, 1
        if disk.kept_status is not None:
            self._take_up_status(disk, disk.kept_status)

    def _take_up_status(self, disk: Disk, text: str) -> None:
        size_bytes = len(encode_line(text))
        self.found_statuses += 1
        self.last_ticket += 1
        self._reserved = self.last_ticket
        self._used_bytes += size_bytes
        self._unread.add_spilled(Entry(self.last_ticket, STATUS, text, size_bytes, None))
        self._spilling = True
        if disk.repair:
            self._return_to_disk(disk)  # so that whatever comes next comes after it

    def close(self) -> None:
        """Let go of the outbox, which goes if everything is acknowledged, and stays otherwise.

        Nothing can be appended or read afterwards. Harmless when repeated.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._segments = None
        if self._used_bytes:
            self.sync()
        with self._lock:
            disk, self._disk = self._disk, None
            if disk is not None:
                self.leftover = disk.close(remove=disk.repair and not self._used_bytes)

    def disown(self) -> None:
        """In a forked child: have nothing to do with the files, which are the parent's."""
        self._lock = threading.Lock()
        self._closed = self._disowned = True
        self._disk = self._segments = None
