"""Heartbeats and progress that wait: order, and what a newer one replaces."""

from __future__ import annotations

from baqup_agent.bus.latest import LatestMessages
from baqup_agent.bus.messages import Heartbeat
from tests.bus.samples import heartbeat, progress, stamp


def waiting(*messages) -> LatestMessages:
    made = LatestMessages()
    for message in messages:
        made.put(message.to_wire())
    return made


def take_all(latest: LatestMessages) -> list[int]:
    """Settle message after message, and return their numbers."""
    taken = []
    while held := latest.head():
        latest.settle(held)
        taken.append(held.message["seq"])
    return taken


def test_messages_leave_in_the_order_in_which_they_came() -> None:
    """A newer progress, and a newer beat of the same state, replace the one that waits."""
    latest = waiting(
        Heartbeat(stamp(1), "initializing"),
        progress(stamp(2)),
        Heartbeat(stamp(4), "running"),
        Heartbeat(stamp(5), "running", "running.dumping"),
        progress(stamp(6)),
        Heartbeat(stamp(7), "running"),
        Heartbeat(stamp(8), "terminated"),
    )

    assert take_all(latest) == [1, 5, 6, 7, 8]


def test_a_replaced_message_keeps_waiting_when_its_predecessor_arrives() -> None:
    """Settling the message that was sent leaves the newer one, which came meanwhile."""
    latest = waiting(heartbeat(stamp(1)))
    sent = latest.head()
    assert sent is not None
    latest.put(heartbeat(stamp(2)).to_wire())
    latest.settle(sent)

    assert take_all(latest) == [2]


def test_it_knows_whether_something_old_still_waits() -> None:
    """A flush waits for what was put before it, and for nothing after."""
    latest = waiting(heartbeat(stamp(1)))
    assert latest.holds_up_to(latest.last_ticket)
    sent = latest.head()
    assert sent is not None
    before = latest.last_ticket
    latest.settle(sent)
    latest.put(heartbeat(stamp(2)).to_wire())

    assert not latest.holds_up_to(before)
    assert latest.holds_up_to(latest.last_ticket)


def test_the_beats_of_an_outage_are_given_up() -> None:
    """All but the newest; progress stays."""
    latest = waiting(
        Heartbeat(stamp(1), "initializing"),
        progress(stamp(2)),
        Heartbeat(stamp(3), "running"),
    )
    latest.drop_heartbeats()

    assert take_all(latest) == [2, 3]
