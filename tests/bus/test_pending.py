"""The publisher's queue: order, urgency and what is given up when it is full."""

from __future__ import annotations

from baqup_agent.bus.messages import Heartbeat
from baqup_agent.bus.pending import PendingMessages
from tests.bus.samples import event, heartbeat, progress, stamp, status


def take_all(pending: PendingMessages) -> list[int]:
    """Settle message after message, and return their numbers."""
    taken = []
    while cell := pending.head():
        pending.settle(cell)
        taken.append(cell.message.stamp.seq)
    return taken


def test_an_event_is_given_up_when_there_is_no_room() -> None:
    """The newest of the least grave events goes; what waited longer stays."""
    pending = PendingMessages(events_max=3)
    for seq in range(1, 6):
        pending.put(event(stamp(seq), severity="info"))

    assert take_all(pending) == [1, 2, 3]
    assert pending.dropped == 2


def test_a_graver_event_takes_the_place_of_the_newest_lighter_one() -> None:
    """An error is worth more than an info, a warning more than an info, an error most."""
    pending = PendingMessages(events_max=3)
    for seq, severity in enumerate(["info", "warn", "info", "error", "error", "error"], start=1):
        pending.put(event(stamp(seq), severity=severity))

    # 4 replaced 3, 5 replaced 1, 6 replaced 2
    assert take_all(pending) == [4, 5, 6]
    assert pending.dropped == 3


def test_of_the_lighter_events_the_newest_goes() -> None:
    """What came first tells best how the trouble began."""
    pending = PendingMessages(events_max=3)
    for seq, severity in enumerate(["info", "info", "info", "error"], start=1):
        pending.put(event(stamp(seq), severity=severity))

    assert take_all(pending) == [1, 2, 4]


def test_a_lighter_event_never_takes_the_place_of_a_graver_one() -> None:
    """It is the one that is given up."""
    pending = PendingMessages(events_max=2)
    for seq, severity in enumerate(["error", "error", "warn", "error"], start=1):
        pending.put(event(stamp(seq), severity=severity))

    assert take_all(pending) == [1, 2]


def test_a_status_is_always_kept() -> None:
    """No number of events keeps a status out, nor pushes it out."""
    pending = PendingMessages(events_max=2)
    for seq in (1, 2):
        pending.put(event(stamp(seq), severity="fatal"))
    pending.put(status(stamp(3)))
    for seq in (4, 5):
        pending.put(event(stamp(seq), severity="fatal"))

    assert take_all(pending) == [1, 2, 3]


def test_a_message_on_its_way_is_not_given_up() -> None:
    """An event that may already have been sent keeps its place."""
    pending = PendingMessages(events_max=1)
    pending.put(event(stamp(1), severity="info"))
    on_its_way = pending.head()
    pending.put(event(stamp(2), severity="error"))

    assert pending.head() is on_its_way
    assert pending.dropped == 1


def test_a_replaced_message_keeps_waiting_when_its_predecessor_arrives() -> None:
    """Settling the message that was sent leaves the newer one, which came meanwhile."""
    pending = PendingMessages()
    pending.put(heartbeat(stamp(1)))
    sent = pending.head()
    assert sent is not None
    pending.put(heartbeat(stamp(2)))
    pending.settle(sent)

    assert take_all(pending) == [2]


def test_messages_leave_in_the_order_in_which_they_came() -> None:
    """A newer progress, and a newer beat of the same state, replace the one that waits."""
    pending = PendingMessages()
    for made in (
        Heartbeat(stamp(1), "initializing"),
        progress(stamp(2)),
        event(stamp(3)),
        Heartbeat(stamp(4), "running"),
        progress(stamp(5)),
        Heartbeat(stamp(6), "running"),
        status(stamp(7)),
        Heartbeat(stamp(8), "terminated"),
    ):
        pending.put(made)

    assert take_all(pending) == [1, 3, 5, 6, 7, 8]


def test_a_put_tells_whether_there_is_more_to_do() -> None:
    """Only then is the publisher woken; replacing a waiting report changes nothing."""
    pending = PendingMessages(events_max=1)

    assert [
        pending.put(made)
        for made in (
            progress(stamp(1)),
            progress(stamp(2)),
            heartbeat(stamp(3)),
            event(stamp(4)),
            event(stamp(5)),
            status(stamp(6)),
        )
    ] == [True, False, True, True, False, True]


def test_it_knows_whether_something_old_still_waits() -> None:
    """A flush waits for what was put before it, and for nothing after."""
    pending = PendingMessages()
    assert not pending.holds_up_to(pending.last_ticket)
    pending.put(event(stamp(1)))
    pending.put(heartbeat(stamp(2)))
    before = pending.last_ticket
    for _ in range(2):
        assert pending.holds_up_to(before)
        cell = pending.head()
        assert cell is not None
        pending.settle(cell)
        pending.put(event(stamp(3)))

    assert not pending.holds_up_to(before)
    assert pending.holds_up_to(pending.last_ticket)


def test_memory_stays_flat_when_events_pass_through() -> None:
    """Nothing is remembered of what has arrived."""
    pending = PendingMessages()
    for seq in range(1, 1001):
        pending.put(event(stamp(seq, at_s=1)))
        cell = pending.head()
        assert cell is not None
        pending.settle(cell)

    assert not pending._queue
    assert not any(pending._by_rank.values())
