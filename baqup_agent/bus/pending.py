"""Messages that the bus has not confirmed yet, in memory and bounded.

The publisher takes messages from here and settles each once it has arrived. A durable outbox can
stand in this place: it needs the same few methods.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from baqup_agent.bus.messages import Event, Heartbeat, Message, Progress

#: Most events that wait at a time. An event takes about 2 kB, so this bounds memory to some 20 MB.
EVENTS_MAX = 10_000


class Cell(NamedTuple):
    """A waiting message and the number under which it was put."""

    ticket: int
    message: Message


class PendingMessages:
    """The publisher's queue; the publisher's lock guards it.

    Messages leave in the order in which they came. A newer progress takes the place of one that
    still waits, at the end of the queue, and so does a newer heartbeat of the same state: the
    controller sees every state, but not every beat of an outage. When `EVENTS_MAX` is reached,
    the newest of the least grave events is given up for a graver one; a status is always kept.

    Args:
        events_max: see `EVENTS_MAX`.

    Attributes:
        last_ticket: number of the latest message put; 0 before the first.
        dropped: events given up.
    """

    def __init__(self, events_max: int = EVENTS_MAX) -> None:
        self.last_ticket = 0
        self.dropped = 0
        self._events_max = events_max
        self._events = 0
        self._queue: OrderedDict[int, Cell] = OrderedDict()
        self._latest: dict[Hashable, int] = {}
        self._by_rank: dict[int, dict[int, None]] = {}

    def put(self, message: Message) -> bool:
        """Add a message; return whether there may be more to do than before."""
        self.last_ticket += 1
        ticket = self.last_ticket
        if isinstance(message, Event):
            if not self._has_room(message.rank):
                self.dropped += 1
                return False
            self._by_rank.setdefault(message.rank, {})[ticket] = None
            self._events += 1
        replaced = self._replace(message, ticket)
        self._queue[ticket] = Cell(ticket, message)
        return not replaced

    def head(self) -> Cell | None:
        """Return the message to send next, or None while nothing waits."""
        first = next(iter(self._queue.values()), None)
        if first is not None and isinstance(first.message, Event):
            # From here on it may be on its way, so it is not given up any more.
            self._by_rank[first.message.rank].pop(first.ticket, None)
        return first

    def settle(self, cell: Cell) -> None:
        """Forget a message that has arrived, or never will."""
        self._queue.pop(cell.ticket, None)
        self._events -= isinstance(cell.message, Event)

    def holds_up_to(self, ticket: int) -> bool:
        """Whether a message put no later than ``ticket`` still waits."""
        first = next(iter(self._queue), None)
        return first is not None and first <= ticket

    def _replace(self, message: Message, ticket: int) -> bool:
        """Take out the waiting message that ``message`` makes obsolete; return whether one was."""
        if isinstance(message, Heartbeat):
            slot: Hashable = (message.state, message.substate)
        elif isinstance(message, Progress):
            slot = message.kind
        else:
            return False
        before = self._latest.get(slot)
        self._latest[slot] = ticket
        return before is not None and self._queue.pop(before, None) is not None

    def _has_room(self, rank: int) -> bool:
        if self._events < self._events_max:
            return True
        least = min((known for known, tickets in self._by_rank.items() if tickets), default=rank)
        if least >= rank:
            return False
        newest, _ = self._by_rank[least].popitem()
        del self._queue[newest]
        self._events -= 1
        self.dropped += 1
        return True
