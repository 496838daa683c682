"""Messages that the bus has not confirmed yet, in memory and bounded.

The publisher takes messages from here and settles each once it has arrived. A durable outbox can
stand in this place: it needs the same few methods.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from baqup_agent.bus.messages import Event, Message, Status

#: Most events that wait at a time. An event takes about 2 kB, so this bounds memory to some 20 MB.
EVENTS_MAX = 10_000

#: Kinds of which only the latest message counts, in order of urgency, and the seconds between two
#: of them. An agent may report progress for every block it copies; the bus need not hear it all.
GAPS_S = {"heartbeat": 0.01, "progress": 0.2}


class Cell(NamedTuple):
    """A waiting message and the number under which it was put."""

    ticket: int
    message: Message


class PendingMessages:
    """The publisher's queue; the publisher's lock guards it.

    Heartbeats go first, since they tell that the agent lives. Events and statuses keep their
    order. Progress waits out its gap, but goes before a status, which ends the story. When
    `EVENTS_MAX` is reached, the newest of the least grave events is given up for a graver one;
    a status is always kept.

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
        self._latest: dict[str, Cell | None] = dict.fromkeys(GAPS_S)
        self._not_before = dict.fromkeys(GAPS_S, float("-inf"))
        self._queue: OrderedDict[int, Cell] = OrderedDict()
        self._by_rank: dict[int, dict[int, None]] = {}

    def put(self, message: Message) -> bool:
        """Add a message; return whether there may be more to do than before."""
        self.last_ticket += 1
        cell = Cell(self.last_ticket, message)
        if message.kind in self._latest:
            replaced = self._latest[message.kind] is not None
            self._latest[message.kind] = cell
            return not replaced
        if isinstance(message, Event):
            if not self._has_room(message.rank):
                self.dropped += 1
                return False
            self._by_rank.setdefault(message.rank, {})[cell.ticket] = None
        self._queue[cell.ticket] = cell
        return True

    def head(self, now_s: float, *, hurry: bool = False) -> Cell | None:
        """Return the message to send next, or None if nothing is due.

        Args:
            now_s: monotonic time.
            hurry: do not make progress wait.
        """
        first = next(iter(self._queue.values()), None)
        hurry = hurry or (first is not None and isinstance(first.message, Status))
        for kind, cell in self._latest.items():
            if cell is not None and self._wait_s(kind, now_s, hurry=hurry) <= 0:
                return cell
        if first is not None and isinstance(first.message, Event):
            # From here on it may be on its way, so it is not given up any more.
            self._by_rank[first.message.rank].pop(first.ticket, None)
        return first

    def due_in_s(self, now_s: float, *, hurry: bool = False) -> float | None:
        """Return the seconds until `head` has something, or None while nothing waits."""
        if self._queue:
            return 0.0
        waits = [
            self._wait_s(kind, now_s, hurry=hurry) for kind, cell in self._latest.items() if cell
        ]
        return min(waits, default=None)

    def settle(self, cell: Cell, now_s: float) -> None:
        """Forget a message that has arrived, or never will."""
        kind = cell.message.kind
        if kind not in self._latest:
            self._queue.pop(cell.ticket, None)
            return
        self._not_before[kind] = now_s + GAPS_S[kind]
        if self._latest[kind] is cell:
            self._latest[kind] = None

    def holds_up_to(self, ticket: int) -> bool:
        """Whether a message put no later than ``ticket`` still waits."""
        first = next(iter(self._queue), None)
        if first is not None and first <= ticket:
            return True
        return any(cell is not None and cell.ticket <= ticket for cell in self._latest.values())

    def _wait_s(self, kind: str, now_s: float, *, hurry: bool) -> float:
        if hurry and kind == "progress":
            return 0.0
        return max(0.0, self._not_before[kind] - now_s)

    def _has_room(self, rank: int) -> bool:
        if len(self._queue) < self._events_max:
            return True
        least = min((known for known, tickets in self._by_rank.items() if tickets), default=rank)
        if least >= rank:
            return False
        newest, _ = self._by_rank[least].popitem()
        del self._queue[newest]
        self.dropped += 1
        return True
