"""The publisher: never in the way, and everything arrives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.bus.backlog import BATCH_RECORDS
from baqup_agent.bus.backoff import Backoff
from baqup_agent.bus.encoding import to_json
from baqup_agent.bus.memory_transport import MemoryTransport
from baqup_agent.bus.outage import MessageRejected
from baqup_agent.bus.outbox import adopt, open_outbox
from baqup_agent.bus.topology import Wire
from baqup_agent.bus.transport import Transport
from baqup_agent.errors import BusRefused
from tests.bus.backends import Backend
from tests.bus.publishing import RecordPublisher
from tests.bus.recording import RecordingLog
from tests.bus.samples import AGENT, JOB, event, heartbeat, progress, stamp, status
from tests.waiting import eventually

Start = Callable[..., RecordPublisher]


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture
def start(log: RecordingLog, tmp_path: Path) -> Iterator[Start]:
    """Makes publishers that are closed at the end."""
    with ExitStack() as stack:

        def make(transport: Transport, *, pause_s: float = 0.02, **options: Any) -> RecordPublisher:
            backoff = options.pop("backoff", Backoff(draw=lambda _low, _high: pause_s))
            made = RecordPublisher(tmp_path / "buffer", transport, backoff, log, **options)
            stack.callback(made.close)
            return made

        yield make


class StuckTransport(MemoryTransport):
    """Holds every send until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def send(self, message: Wire) -> bool:
        self.entered.set()
        self.let_go.wait(30)
        return super().send(message)


class TestUndisturbed:
    def test_a_flush_returns_once_everything_arrived(self, backend: Backend, start: Start) -> None:
        """What was published before a flush is on the bus after it."""
        publisher = start(backend.transport)
        sent = [event(stamp(seq)) for seq in range(1, 21)]
        for message in (*sent, progress(stamp(21), full=True), status(stamp(22))):
            publisher.publish(message)

        assert publisher.flush(10)
        assert backend.events() == [message.to_wire() for message in sent]
        assert backend.latest("progress", JOB) == progress(stamp(21), full=True).to_wire()
        assert backend.latest("status", JOB) == status(stamp(22)).to_wire()
        assert (publisher.sent, publisher.given_up) == (22, 0)

    def test_a_status_comes_after_the_last_progress(self, start: Start) -> None:
        """Progress waits for nothing once the end is to be told."""
        transport = MemoryTransport()
        publisher = start(transport)
        publisher.publish(progress(stamp(1)))
        eventually(lambda: publisher.sent == 1)
        publisher.publish(progress(stamp(2)))
        publisher.publish(status(stamp(3)))
        eventually(lambda: publisher.sent == 3)

        assert [(m["type"], m["seq"]) for m in transport.messages] == [
            ("progress", 1),
            ("progress", 2),
            ("status", 3),
        ]

    def test_only_the_latest_of_many_progress_messages_counts(
        self, backend: Backend, start: Start
    ) -> None:
        """Thousands of reports become a few messages, the last among them."""
        publisher = start(backend.transport)
        for seq in range(1, 5001):
            publisher.publish(progress(stamp(seq, at_s=seq / 1000)))

        assert publisher.flush(10)
        assert publisher.sent < 2500  # what the thread could not send at once was replaced
        found = backend.latest("progress", JOB)
        assert found is not None
        assert found["seq"] == 5000

    def test_progress_arrives_without_a_flush(self, start: Start) -> None:
        """A report that had to wait for its turn is sent by and by."""
        transport = MemoryTransport()
        publisher = start(transport)
        for seq in (1, 2, 3):
            publisher.publish(progress(stamp(seq)))

        eventually(lambda: transport.messages and transport.messages[-1]["seq"] == 3)

    def test_flushing_an_idle_publisher_is_immediate(self, start: Start) -> None:
        """There is nothing to wait for, started or not."""
        assert start(MemoryTransport()).flush(0)

    def test_ticks_are_called_and_may_fail(self, start: Start, log: RecordingLog) -> None:
        """A tick that raises is logged; the others and the messages go on."""
        called = threading.Event()

        def broken() -> None:
            raise RuntimeError("broken tick")

        publisher = start(MemoryTransport())
        publisher.on_tick(broken)
        publisher.on_tick(called.set)
        publisher.publish(event(stamp(1)))

        assert called.wait(5)
        assert publisher.flush(5)
        assert "a tick of the bus failed" in log.at("error")


class TestNeverInTheWay:
    def test_publishing_does_not_wait_for_a_stuck_bus(self, start: Start) -> None:
        """Ten thousand messages are taken while the bus holds the first one."""
        transport = StuckTransport()
        publisher = start(transport)
        publisher.publish(event(stamp(1)))
        assert transport.entered.wait(5)
        begun_s = time.monotonic()
        for seq in range(2, 10_001):
            publisher.publish(event(stamp(seq, at_s=1)))
        taken_s = time.monotonic() - begun_s
        transport.let_go.set()

        assert taken_s < 5
        assert publisher.flush(30)
        assert len(transport.messages) == 10_000

    def test_a_flush_ends_in_time(self, start: Start) -> None:
        """A bus that is away costs a flush its timeout and no more."""
        transport = MemoryTransport()
        transport.down = True
        publisher = start(transport)
        publisher.publish(event(stamp(1)))
        begun_s = time.monotonic()

        assert not publisher.flush(0.3)
        assert 0.3 <= time.monotonic() - begun_s < 2

    def test_a_flush_waits_for_a_send_under_way(self, start: Start) -> None:
        """The answer is the truth: a status on its way is neither lost nor there."""
        transport = StuckTransport()
        publisher = start(transport)
        publisher.publish(status(stamp(1)))
        assert transport.entered.wait(5)
        threading.Timer(0.3, transport.let_go.set).start()

        assert publisher.flush(0.01)

    def test_a_flush_gives_up_on_a_send_that_never_ends(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The wait for a send under way has its bound, too."""
        monkeypatch.setattr("baqup_agent.bus.publisher.SEND_BOUND_S", 0.2)
        transport = StuckTransport()
        publisher = start(transport)
        publisher.publish(status(stamp(1)))
        assert transport.entered.wait(5)

        assert not publisher.flush(0.01)
        transport.let_go.set()


class TestOutage:
    def test_messages_of_an_outage_arrive_after_it_once_and_in_order(
        self, fragile_backend: Backend, start: Start, log: RecordingLog
    ) -> None:
        """An outage delays the reports, and one line in the log tells of each end of it."""
        bus, publisher = fragile_backend, start(fragile_backend.transport)
        sent = [event(stamp(seq)) for seq in range(1, 31)]
        for message in sent[:10]:
            publisher.publish(message)
        assert publisher.flush(10)
        bus.go_down()
        for message in sent[10:20]:
            publisher.publish(message)
        publisher.publish(heartbeat(stamp(41)))
        publisher.publish(heartbeat(stamp(42)))
        eventually(lambda: log.at("warn"))
        assert not publisher.flush(0.1)
        bus.come_up()
        for message in sent[20:]:
            publisher.publish(message)

        assert publisher.flush(20)
        assert bus.events() == [message.to_wire() for message in sent]
        beat = bus.latest("heartbeat", AGENT)
        assert beat is not None
        assert beat["seq"] == 42
        assert publisher.given_up == 0
        eventually(lambda: log.at("info"))
        assert [message.split(";")[0] for message in log.at("warn", "info", "error")] == [
            "the bus is out of reach",
            "the bus is back",
        ]

    def test_a_bus_that_is_away_at_the_start_is_an_outage(self, start: Start) -> None:
        """The answer comes at once, and the bus is found later."""
        transport = MemoryTransport()
        transport.down = True
        publisher = start(transport)

        assert publisher.wait_connected(10) is False
        publisher.publish(status(stamp(1)))
        transport.down = False
        assert publisher.flush(5)
        assert publisher.wait_connected(0) is True

    def test_a_flush_cuts_a_long_pause_short(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The end of a job does not wait for a pause of minutes, but tries at once."""
        monkeypatch.setattr("baqup_agent.bus.publisher.FLUSH_PAUSE_S", 600)
        transport = MemoryTransport()
        transport.down = True
        publisher = start(transport, pause_s=600)
        assert publisher.wait_connected(5) is False
        publisher.publish(status(stamp(1)))
        transport.down = False

        assert publisher.flush(5)

    def test_a_flush_that_waits_tries_again_and_again(self, start: Start) -> None:
        """While somebody waits, pauses are short."""
        transport = MemoryTransport()
        transport.down = True
        publisher = start(transport, pause_s=600)
        publisher.publish(status(stamp(1)))
        timer = threading.Timer(0.7, setattr, (transport, "down", False))
        timer.start()

        assert publisher.flush(10)
        timer.join()

    def test_a_bus_that_connects_but_takes_nothing_is_not_hammered(
        self, start: Start, log: RecordingLog
    ) -> None:
        """Failures count until a message is taken, so pauses grow; the log is not flooded."""
        pauses: list[float] = []

        class FullTransport(MemoryTransport):
            def send(self, message: Wire) -> bool:
                self.down = True
                try:
                    return super().send(message)
                finally:
                    self.down = False

        def note(_low: float, high: float) -> float:
            pauses.append(high)
            return 0.001

        publisher = start(FullTransport(), backoff=Backoff(draw=note))
        publisher.publish(event(stamp(1)))
        eventually(lambda: len(pauses) >= 4)
        publisher.close()

        assert pauses[:4] == [0.25, 0.5, 1.0, 2.0]
        assert len(log.at("warn", "info")) == 1

    def test_a_transport_with_a_bug_is_an_outage(self, start: Start) -> None:
        """No exception of a transport ends the publisher."""

        class BuggyTransport(MemoryTransport):
            bugs = 3

            def connect(self) -> None:
                if self.bugs:
                    self.bugs -= 1
                    raise ZeroDivisionError
                super().connect()

        publisher = start(BuggyTransport())

        assert publisher.wait_connected(5) is False
        publisher.publish(event(stamp(1)))
        assert publisher.flush(5)

    def test_a_fresh_beat_takes_the_place_of_those_that_waited(self, start: Start) -> None:
        """A controller that sees the bus come back must not be told of the past."""
        transport = MemoryTransport()
        transport.down = True
        publisher = start(transport)
        publisher.on_reconnect(lambda: publisher.publish(heartbeat(stamp(9))))
        for seq in (1, 2):
            publisher.publish(heartbeat(stamp(seq), full=seq == 2))
        assert publisher.wait_connected(5) is False
        transport.down = False

        eventually(lambda: transport.messages)
        assert publisher.flush(5)
        assert [message["seq"] for message in transport.messages] == [9]

    def test_a_beat_waits_for_one_batch_only(self, start: Start) -> None:
        """The sign of life does not queue up behind all the events of an outage."""
        transport = MemoryTransport()
        transport.down = True
        publisher = start(transport)
        for seq in range(1, 2001):
            publisher.publish(event(stamp(seq)))
        publisher.on_reconnect(lambda: publisher.publish(heartbeat(stamp(3000))))
        assert publisher.wait_connected(5) is False
        transport.down = False

        assert publisher.flush(10)
        kinds = [message["type"] for message in transport.messages]
        assert kinds.index("heartbeat") <= BATCH_RECORDS
        assert [m["seq"] for m in transport.messages if m["type"] == "event"] == list(
            range(1, 2001)
        )

    def test_messages_of_a_dead_process_are_sent_first(self, tmp_path: Path, start: Start) -> None:
        """The next process on the job finds what the last one could not send."""
        dead = open_outbox(tmp_path / "buffer", job_id=JOB, agent_id="agent-dead", key_prefix="")
        for seq in (1, 2, 3):
            made = event(stamp(seq, agent="agent-dead"))
            dead.append("event", "warn", to_json(made.to_wire()))
        dead.close()
        transport = MemoryTransport()
        publisher = start(transport, orphans=lambda: adopt(tmp_path / "buffer", JOB, AGENT))
        publisher.publish(event(stamp(1, at_s=60)))

        assert publisher.flush(5)
        assert [(m["agent_id"], m["seq"]) for m in transport.messages] == [
            ("agent-dead", 1),
            ("agent-dead", 2),
            ("agent-dead", 3),
            (AGENT, 1),
        ]
        assert not (tmp_path / "buffer" / JOB / "agent-dead").exists()


class TestRefusal:
    def test_a_first_refusal_is_raised(self, start: Start) -> None:
        """While initializing, refused credentials are an error of configuration."""
        transport = MemoryTransport()
        transport.refusing = True

        with pytest.raises(BusRefused):
            start(transport).wait_connected(5)

    def test_a_later_refusal_is_an_outage(self, start: Start, log: RecordingLog) -> None:
        """Once the bus was reached, a changed password must not fail the backup."""
        transport = MemoryTransport()
        publisher = start(transport)
        assert publisher.wait_connected(5)
        transport.refusing = True
        publisher.publish(event(stamp(1)))
        eventually(lambda: log.at("warn"))

        assert publisher.wait_connected(0) is False
        transport.refusing = False
        assert publisher.flush(5)

    def test_a_message_that_is_rejected_holds_up_no_other(
        self, start: Start, log: RecordingLog
    ) -> None:
        """It is given up, counted and logged."""

        class PickyTransport(MemoryTransport):
            def send(self, message: Wire) -> bool:
                if message["seq"] == 2:
                    raise MessageRejected("not this one")
                return super().send(message)

        transport = PickyTransport()
        publisher = start(transport)
        for seq in (1, 2, 3):
            publisher.publish(event(stamp(seq)))

        assert publisher.flush(5)
        assert [message["seq"] for message in transport.messages] == [1, 3]
        assert (publisher.sent, publisher.given_up) == (2, 1)
        assert len(log.at("error")) == 1

    def test_a_rejected_status_is_never_taken_for_reported(self, start: Start) -> None:
        """A flush denies it for good, so that the run ends as unreported."""

        class NoStatusTransport(MemoryTransport):
            def send(self, message: Wire) -> bool:
                if message["type"] == "status":
                    raise ValueError("some bug")
                return super().send(message)

        publisher = start(NoStatusTransport())
        publisher.publish(status(stamp(1)))

        assert not publisher.flush(5)
        publisher.publish(event(stamp(2)))
        assert not publisher.flush(5)


class TestClosing:
    def test_nothing_is_sent_after_closing(self, backend: Backend, start: Start) -> None:
        """A closed publisher takes no beat, and leaves events in the outbox."""
        publisher = start(backend.transport)
        publisher.publish(event(stamp(1)))
        assert publisher.flush(5)
        publisher.close()
        publisher.publish(event(stamp(2)))
        publisher.publish(heartbeat(stamp(3)))
        publisher.close()

        assert len(backend.events()) == 1
        assert (publisher.sent, publisher.given_up) == (1, 1)
        assert publisher.flush(0) is False
        publisher.outbox.rewind()
        assert [record.kind for record in publisher.outbox.read(10, 10_000)] == ["event"]

    def test_what_still_waits_is_not_sent_by_closing(self, start: Start) -> None:
        """Closing ends an outage's attempts at once, and a flush then tells the truth."""
        transport = MemoryTransport()
        transport.down = True
        publisher = start(transport, pause_s=600)
        publisher.publish(status(stamp(1)))
        assert publisher.wait_connected(5) is False
        begun_s = time.monotonic()
        publisher.close()
        transport.down = False

        assert time.monotonic() - begun_s < 2
        assert not publisher.flush(5)
        assert transport.messages == []

    def test_a_publisher_that_never_started_can_be_closed(self, start: Start) -> None:
        """Nothing was begun, so nothing is begun."""
        publisher = start(MemoryTransport())
        publisher.close()

        assert publisher.wait_connected(1) is False
        assert not [thread for thread in threading.enumerate() if thread.name == "baqup-bus"]


def test_a_bug_in_the_publishers_own_thread_is_told_and_survived(
    start: Start, log: RecordingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without that thread nothing would be reported any more."""
    publisher = start(MemoryTransport())
    choose, bugs = publisher._choose, [ZeroDivisionError("a bug")]

    def buggy() -> Any:
        if bugs:
            raise bugs.pop()
        return choose()

    monkeypatch.setattr(publisher, "_choose", buggy)
    publisher.publish(event(stamp(1)))

    assert publisher.flush(10)
    assert "the bus met a bug; it goes on" in log.at("error")
