"""Repetitions are counted, not sent one by one."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.bus.client import BusClient
from baqup_agent.bus.events import EventLog
from baqup_agent.bus.memory_transport import MemoryTransport
from baqup_agent.contract import EVENT_CODES
from baqup_agent.errors import InternalError
from baqup_agent.observability.sink import NullLog
from tests.bus.samples import AGENT, JOB, START, HandClock
from tests.waiting import eventually


class ListBus:
    """Keeps the events it is given."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.ticks: list[Callable[[], None]] = []

    def event(self, code: str, *, sample_paths: list[str], **members: Any) -> None:
        self.events.append({"code": code, "sample_paths": list(sample_paths), **members})

    def on_tick(self, tick: Callable[[], None]) -> None:
        self.ticks.append(tick)

    def counts(self, code: str = "FILE_CHANGED") -> list[int]:
        return [event["count"] for event in self.events if event["code"] == code]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def bus() -> ListBus:
    return ListBus()


@pytest.fixture
def events(bus: ListBus, clock: HandClock) -> EventLog:
    return EventLog(bus, clock)


def test_the_first_occurrence_is_told_at_once(bus: ListBus, events: EventLog) -> None:
    """Nobody waits to learn of something new."""
    events.add("FILE_CHANGED", severity="warn", message="it changed", path="/a")

    assert bus.events == [
        {
            "code": "FILE_CHANGED",
            "severity": "warn",
            "message": "it changed",
            "first_occurrence": START,
            "last_occurrence": START,
            "count": 1,
            "sample_paths": ["/a"],
        }
    ]


def test_repetitions_within_a_second_become_one_event(
    bus: ListBus, events: EventLog, clock: HandClock
) -> None:
    """It tells the sum, the span and a few paths."""
    for number in range(100):
        events.add("FILE_CHANGED", path=f"/file-{number % 7}", message=f"change {number}")
        clock.advance(0.008)
    assert bus.counts() == [1]
    clock.advance(0.5)
    events.tick()

    assert bus.counts() == [1, 100]
    last = bus.events[-1]
    assert last["first_occurrence"] == START
    assert last["last_occurrence"] == START + timedelta(seconds=99 * 0.008)
    assert last["sample_paths"] == [f"/file-{number}" for number in range(5)]
    assert last["message"] == "change 99"


def test_a_code_is_told_at_most_once_a_second(
    bus: ListBus, events: EventLog, clock: HandClock
) -> None:
    """Ticks that come more often change nothing; the count goes on from the job's start."""
    for _ in range(100):
        events.add("FILE_CHANGED")
        clock.advance(0.0625)
        events.tick()

    # 100 sixteenths of a second: at 0, 1, 2, 3, 4, 5 and 6 seconds.
    assert bus.counts() == [1, 16, 32, 48, 64, 80, 96]


def test_without_news_a_tick_tells_nothing(
    bus: ListBus, events: EventLog, clock: HandClock
) -> None:
    """An event is not repeated for the sake of it."""
    events.add("FILE_CHANGED")
    clock.advance(10)
    events.tick()
    events.flush()

    assert bus.counts() == [1]


def test_a_flush_tells_what_was_only_counted(bus: ListBus, events: EventLog) -> None:
    """At the end of a job the counts are complete, code by code."""
    for code in ("FILE_CHANGED", "FILE_VANISHED"):
        for _ in range(3):
            events.add(code)
    events.flush()
    events.flush()

    assert bus.counts("FILE_CHANGED") == [1, 3]
    assert bus.counts("FILE_VANISHED") == [1, 3]


def test_codes_do_not_wait_for_each_other(bus: ListBus, events: EventLog) -> None:
    """Each has a second of its own."""
    for code in EVENT_CODES:
        events.add(code)

    assert [event["code"] for event in bus.events] == list(EVENT_CODES)


@pytest.mark.parametrize("code", sorted(EVENT_CODES))
def test_the_contracts_codes_bring_their_severity(
    bus: ListBus, events: EventLog, code: str
) -> None:
    """And their meaning, where the author gives no message."""
    events.add(code)

    assert bus.events[0]["severity"] == EVENT_CODES[code].severity
    assert bus.events[0]["message"] == EVENT_CODES[code].meaning


def test_a_code_of_the_agents_own_is_an_info(bus: ListBus, events: EventLog) -> None:
    """Unless it says otherwise."""
    events.add("DUMP_DONE")

    assert (bus.events[0]["severity"], bus.events[0]["message"]) == ("info", "DUMP_DONE")


def test_an_event_shows_the_gravest_severity_of_its_code(bus: ListBus, events: EventLog) -> None:
    """A failure among many notes is not hidden by them."""
    for severity in ("info", "error", "debug"):
        events.add("TABLE_DUMPED", severity=severity)
    events.flush()

    assert bus.events[-1]["severity"] == "error"


def test_the_summary_counts_warnings_and_what_is_graver(events: EventLog) -> None:
    """By code, also those that were not told yet; notes are no warnings."""
    for code, severity, times in [
        ("FILE_CHANGED", "warn", 4),
        ("BROKEN", "error", 2),
        ("DUMP_DONE", "info", 9),
        ("MIXED", "info", 5),
        ("MIXED", "fatal", 1),
    ]:
        for _ in range(times):
            events.add(code, severity=severity)

    assert events.warnings_summary() == {"BROKEN": 2, "FILE_CHANGED": 4, "MIXED": 1}


def test_malformed_codes_and_severities_are_refused(bus: ListBus, events: EventLog) -> None:
    """At the call, where the author sees it; nothing is counted."""
    with pytest.raises(InternalError, match="'file changed'"):
        events.add("file changed")
    with pytest.raises(InternalError, match="'warning'"):
        events.add("FILE_CHANGED", severity="warning")

    assert events.warnings_summary() == {}
    assert bus.events == []


def test_a_million_occurrences_take_no_memory(events: EventLog, clock: HandClock) -> None:
    """A source full of trouble does not fill the agent's memory."""
    for _ in range(1000):
        events.add("FILE_CHANGED", severity="warn", message="m", path="/same")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(100_000):
            events.add("FILE_CHANGED", severity="warn", message="m", path=f"/{number}")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 20_000
    assert events.warnings_summary() == {"FILE_CHANGED": 101_000}


def test_counts_from_many_threads_are_exact_and_ascend(clock: HandClock) -> None:
    """No occurrence is lost, and a later event never says less."""
    bus = ListBus()
    events = EventLog(bus)

    def repeat() -> None:
        for _ in range(2000):
            events.add("FILE_CHANGED")
            events.flush()

    threads = [threading.Thread(target=repeat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert bus.counts()[-1] == 8000
    assert bus.counts() == sorted(bus.counts())


def test_the_publisher_tells_repetitions_by_and_by(tmp_path: Path) -> None:
    """Without further calls, through the real publisher, a code's sum arrives by and by."""
    transport = MemoryTransport()
    bus = BusClient(
        {"BAQUP_BUS_URL": "redis://h", "BAQUP_BUS_FALLBACK_DIR": tmp_path},
        NullLog(),
        job_id=JOB,
        agent_id=AGENT,
        transport=transport,
    )
    events = EventLog(bus)
    for _ in range(50):
        events.add("FILE_CHANGED")

    def last_count() -> bool:
        return bool(transport.messages) and transport.messages[-1]["count"] == 50

    eventually(last_count)
    bus.close()
    assert datetime.fromisoformat(transport.messages[-1]["first_occurrence"]).tzinfo is not None
