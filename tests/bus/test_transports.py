"""What every way to the bus has to do, held against each of them."""

from __future__ import annotations

import pytest

from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.errors import BusRefused
from tests.bus.backends import Backend
from tests.bus.samples import AGENT, JOB, event, heartbeat, progress, stamp, status

OWNERS = {"heartbeat": AGENT, "progress": JOB, "status": JOB}


@pytest.fixture
def bus(backend: Backend) -> Backend:
    backend.transport.connect()
    return backend


@pytest.mark.parametrize(
    "message",
    [
        heartbeat(stamp(1)),
        heartbeat(stamp(2), full=True),
        progress(stamp(3)),
        progress(stamp(4), full=True),
        status(stamp(5)),
        status(stamp(6), failed=True),
    ],
    ids=lambda message: f"{message.kind}-{message.stamp.seq}",
)
def test_a_latest_message_is_read_back_as_it_was_sent(bus: Backend, message) -> None:
    """A heartbeat, progress or status is what the bus holds for its owner."""
    bus.transport.send(message.to_wire())

    assert bus.latest(message.kind, OWNERS[message.kind]) == message.to_wire()


def test_events_are_kept_in_the_order_they_were_sent(bus: Backend) -> None:
    """A stream holds every event, oldest first."""
    sent = [event(stamp(seq)).to_wire() for seq in range(1, 51)]
    for message in sent:
        bus.transport.send(message)

    assert bus.events() == sent


def test_events_can_be_sent_together(bus: Backend) -> None:
    """A batch is what its events are one by one, also when it is sent again."""
    sent = [event(stamp(seq)).to_wire() for seq in range(1, 51)]
    bus.transport.send(sent[0])
    base_ms = bus.transport.top_ms(JOB)
    for _ in range(2):
        bus.transport.append(sent, base_ms)

    assert bus.events() == sent


def test_every_message_is_announced_whole(bus: Backend) -> None:
    """The live notification is the message itself."""
    sent = [
        made.to_wire()
        for made in (
            heartbeat(stamp(1), full=True),
            progress(stamp(2)),
            event(stamp(3)),
            status(stamp(4)),
        )
    ]
    for message in sent:
        bus.transport.send(message)

    assert bus.notifications() == sent


def test_an_older_message_never_replaces_a_newer_one(bus: Backend) -> None:
    """A stale heartbeat, progress or status is discarded without a notification."""
    newer = [made(stamp(9, at_s=9)) for made in (heartbeat, progress, status)]
    older = [made(stamp(10, at_s=8.999999)) for made in (heartbeat, progress, status)]
    for message in (*newer, *older):
        bus.transport.send(message.to_wire())

    assert [bus.latest(m.kind, OWNERS[m.kind]) for m in newer] == [m.to_wire() for m in newer]
    assert bus.notifications() == [m.to_wire() for m in newer]


def test_members_that_are_gone_vanish(bus: Backend) -> None:
    """An intent that ended does not survive in the hash of the next heartbeat."""
    bus.transport.send(heartbeat(stamp(1), full=True).to_wire())
    bus.transport.send(heartbeat(stamp(2)).to_wire())

    found = bus.latest("heartbeat", AGENT)
    assert found is not None
    assert {"intent", "substate", "last_progress_at"}.isdisjoint(found)


def test_an_event_that_is_sent_again_is_there_once(bus: Backend) -> None:
    """Repeating a send whose answer was lost does no harm."""
    sent = [event(stamp(seq)).to_wire() for seq in (1, 2, 3)]
    for message in (*sent, sent[2], sent[2]):
        bus.transport.send(message)

    assert bus.events() == sent


def test_two_agents_of_one_job_lose_none_of_each_others_events(bus: Backend) -> None:
    """A second process with a clock that is behind adds its events after those that are there."""
    first = [event(stamp(seq, at_s=100 + seq)).to_wire() for seq in (1, 2, 3)]
    second = [event(stamp(seq, at_s=seq, agent="agent-fs-second")).to_wire() for seq in (1, 2, 3)]
    for message in (*first, *second, second[2]):
        bus.transport.send(message)

    assert bus.events() == [*first, *second]


def test_odd_names_are_carried(bus: Backend) -> None:
    """A file name that is no UTF-8, or full of control characters, breaks no encoding."""
    made = progress(stamp(1))
    odd = "caf\udce9/\x00\x1b[31m\u2028\U0001f600\r\n"
    bus.transport.send(type(made)(made.stamp, current_file=odd).to_wire())

    found = bus.latest("progress", JOB)
    assert found is not None
    assert found["current_file"] == "caf\\xe9/\x00\x1b[31m\u2028\U0001f600\r\n"


def test_nothing_is_sent_before_connecting_or_after_closing(backend: Backend) -> None:
    """A transport that is not connected says so instead of losing the message."""
    with pytest.raises(BusUnavailable):
        backend.transport.send(event(stamp(1)).to_wire())
    backend.transport.connect()
    backend.transport.close()
    backend.transport.close()
    with pytest.raises(BusUnavailable):
        backend.transport.send(event(stamp(1)).to_wire())

    assert backend.events() == []


def test_a_transport_that_failed_can_be_connected_again(fragile_backend: Backend) -> None:
    """After an outage the same object goes on, and a repeated event is still there once."""
    bus = fragile_backend
    bus.transport.connect()
    first, second = event(stamp(1)).to_wire(), event(stamp(2)).to_wire()
    bus.transport.send(first)
    bus.go_down()
    with pytest.raises(BusUnavailable):
        bus.transport.send(second)
    with pytest.raises((BusUnavailable, BusRefused)):
        bus.transport.connect()
    bus.come_up()
    bus.transport.connect()
    bus.transport.send(second)

    assert bus.events() == [first, second]
