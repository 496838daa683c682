"""The outboxes of one job: what can be read is sent, what cannot waits or is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from baqup_agent.bus.backlog import Backlog
from baqup_agent.bus.encoding import to_json
from baqup_agent.bus.memory_transport import MemoryTransport
from baqup_agent.bus.outage import BusUnavailable, MessageRejected
from baqup_agent.bus.outbox import Outbox, Record, open_outbox
from baqup_agent.bus.topology import Wire
from tests.bus.recording import RecordingLog
from tests.bus.samples import AGENT, JOB, event, stamp, status


def box(root: Path, agent: str = AGENT) -> Outbox:
    return open_outbox(root, job_id=JOB, agent_id=agent, key_prefix="baqup:")


def fill(outbox: Outbox, *numbers: int) -> None:
    for seq in numbers:
        outbox.append("event", "warn", to_json(event(stamp(seq)).to_wire()))


def test_an_outbox_that_cannot_be_read_is_read_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once; nothing is taken for sent."""
    own, log = box(tmp_path), RecordingLog()
    fill(own, 1, 2)
    backlog = Backlog(own, list, log)
    with monkeypatch.context() as patch:

        def fail(*_: object) -> list[Record]:
            raise OSError(24, "Too many open files")

        patch.setattr(own, "read", fail)
        assert [backlog.next_batch() for _ in range(3)] == [None, None, None]
        assert backlog.troubled

    batch = backlog.next_batch()
    assert batch is not None
    assert [message["seq"] for message in batch.messages] == [1, 2]
    assert not backlog.troubled
    assert log.at("error") == ["an outbox cannot be read now"]


def test_others_that_never_stop_writing_are_an_outage(tmp_path: Path) -> None:
    """Ids are decided anew a few times, then the batch waits its turn."""

    class Overtaken(MemoryTransport):
        tops = 0

        def append(self, events: Sequence[Wire], base_ms: int = 0) -> int:
            return 0

        def top_ms(self, job_id: str) -> int:
            self.tops += 1
            return self.tops

    own, transport = box(tmp_path), Overtaken()
    fill(own, 1)
    batch = Backlog(own, list, RecordingLog()).next_batch()
    assert batch is not None
    with pytest.raises(BusUnavailable, match="other processes"):
        batch.send(transport)

    assert own.base_ms == transport.tops + 1
    assert own.holds_up_to(own.last_ticket)


def test_what_an_orphan_lost_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage, events that were given up, and files that stay."""
    orphan, log = box(tmp_path, "agent-dead"), RecordingLog()
    fill(orphan, 1)
    orphan.acknowledge(1)
    orphan.corrupt = 3
    orphan.leftover = "a foreign file"
    monkeypatch.setattr(type(orphan), "dropped", {"info": 7})
    monkeypatch.setattr(orphan, "close", lambda: None)
    backlog = Backlog(box(tmp_path), lambda: [orphan], log)

    assert backlog.next_batch() is None
    assert [message.split(" ")[0] for message in log.at("warn")] == ["damaged", "an", "an"]
    assert {"agent": "agent-dead", "info": 7} in [context for *_, context in log.records]


def test_records_that_are_no_messages_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those around them are sent; where there are none, the outbox is done with."""
    own, log = box(tmp_path), RecordingLog()
    fill(own, 1, 2)
    own.append("status", "fatal", to_json(status(stamp(3)).to_wire()))
    good = own.read(10, 100_000)
    bad = [Record(2, "event", '{"type":"event"'), Record(3, "status", "[" * 100_000)]
    monkeypatch.setattr(own, "read", lambda *_: [good[0], *bad])
    backlog = Backlog(own, list, log)

    batch = backlog.next_batch()
    assert batch is not None
    assert [message["seq"] for message in batch.messages] == [1]
    batch.settle()
    monkeypatch.setattr(own, "read", lambda *_: bad if own.holds_up_to(3) else [])
    assert backlog.next_batch() is None
    assert not own.holds_up_to(3)
    assert set(log.at("error")) == {"messages in an outbox are damaged and given up"}


def test_a_message_is_rejected_once_though_the_bus_fails_behind_it(tmp_path: Path) -> None:
    """What was told is let go: after an outage the delivery goes on behind it."""

    class Picky(MemoryTransport):
        def append(self, events: Sequence[Wire], base_ms: int = 0) -> int:
            numbers = [event["seq"] for event in events]
            if 2 in numbers:
                raise MessageRejected("not this one")
            if self.down and 4 in numbers:
                raise BusUnavailable("away")
            return super().append(events, base_ms)

        def _check(self) -> None:
            """It fails for number 4 alone."""

    own, transport = box(tmp_path), Picky()
    transport.connect()
    transport.down = True
    fill(own, 1, 2, 3, 4, 5)
    backlog = Backlog(own, list, RecordingLog())
    told: list[tuple[list[int], str]] = []

    def deliver() -> None:
        batch = backlog.next_batch()
        assert batch is not None
        for sent, rejected in batch.deliver(transport):
            told.append(([message["seq"] for message in sent.messages], str(rejected)))

    with pytest.raises(BusUnavailable):
        deliver()
    assert told == [([1], "None"), ([2], "not this one"), ([3], "None")]
    transport.down = False
    backlog.rewind()
    deliver()

    assert told[3:] == [([4, 5], "None")]
    assert [message["seq"] for message in transport.messages] == [1, 3, 4, 5]
    assert not own.holds_up_to(own.last_ticket)


def test_a_status_that_is_older_than_the_one_there_counts_where_it_must(tmp_path: Path) -> None:
    """As rejected for the process that made it, as done for whoever replays it."""
    transport = MemoryTransport()
    transport.connect()
    transport.send(status(stamp(9)).to_wire())
    outcomes = []
    for agent, must_count in (("agent-a", True), ("agent-b", False)):
        own = box(tmp_path, agent)
        own.append("status", "fatal", to_json(status(stamp(3)).to_wire()))
        batch = Backlog(own, list, RecordingLog()).next_batch()
        assert batch is not None
        outcomes += [rejected for _, rejected in batch.deliver(transport, must_count=must_count)]
        assert not own.holds_up_to(own.last_ticket)

    assert [type(outcome) for outcome in outcomes] == [MessageRejected, type(None)]
