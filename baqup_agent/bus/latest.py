"""Heartbeats and progress that wait for the bus: in memory, and only the latest of each.

A controller reads them to see where an agent stands now. What they said before is of no use, so
a newer one takes the place of one that waits, and none of them outlives the process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from baqup_agent.bus.topology import Wire


class Waiting(NamedTuple):
    """A waiting message and the number under which it was put."""

    ticket: int
    message: Wire


class LatestMessages:
    """Waiting heartbeats, one for each state of the lifecycle, and at most one progress.

    They leave in the order in which they came; the publisher's lock guards them.

    Attributes:
        last_ticket: number of the latest message put; 0 before the first.
    """

    def __init__(self) -> None:
        self.last_ticket = 0
        self._slots: OrderedDict[Hashable, Waiting] = OrderedDict()

    def put(self, message: Wire) -> None:
        """Add a message in place of the one that it makes obsolete."""
        self.last_ticket += 1
        slot = _slot(message)
        self._slots.pop(slot, None)
        self._slots[slot] = Waiting(self.last_ticket, message)

    def head(self) -> Waiting | None:
        """Return the message to send next, or None while nothing waits."""
        return next(iter(self._slots.values()), None)

    def settle(self, waiting: Waiting) -> None:
        """Forget a message that has arrived, or never will."""
        slot = _slot(waiting.message)
        if self._slots.get(slot) is waiting:
            del self._slots[slot]

    def holds_up_to(self, ticket: int) -> bool:
        """Whether a message put no later than ``ticket`` still waits."""
        first = self.head()
        return first is not None and first.ticket <= ticket

    def drop_heartbeats(self) -> None:
        """Give up the beats of an outage but the newest: nobody waits for that past."""
        beats = [slot for slot, held in self._slots.items() if held.message["type"] == "heartbeat"]
        for slot in beats[:-1]:
            del self._slots[slot]


def _slot(message: Wire) -> Hashable:
    if message["type"] == "heartbeat":
        return message["state"], message.get("substate")
    slot: Hashable = message["type"]
    return slot
