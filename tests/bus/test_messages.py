"""The records against the schemas, and the stamps that make their order."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from baqup_agent.bus.messages import Event, Heartbeat, Progress, Stamper, Status
from baqup_agent.bus.plain import plain_value
from baqup_agent.bus.topology import entry_id
from baqup_agent.clock import (
    SystemClock,
    TimestampWriter,
    microseconds,
    moment_of,
    timestamp,
)
from baqup_agent.errors import InternalError
from baqup_agent.security.secret import Secret
from tests.bus.samples import (
    AGENT,
    JOB,
    START,
    HandClock,
    event,
    heartbeat,
    progress,
    stamp,
    status,
)

SCHEMAS = Path(__file__).parents[2] / "spec" / "schemas"


@pytest.fixture(scope="module")
def registry() -> Registry[Any]:
    contents = [json.loads(path.read_text()) for path in SCHEMAS.glob("*.schema.json")]
    return Registry().with_resources(
        (content["$id"], Resource.from_contents(content)) for content in contents
    )


@pytest.mark.parametrize(
    "message",
    [
        heartbeat(stamp(1)),
        heartbeat(stamp(1), full=True),
        progress(stamp(1)),
        progress(stamp(1), full=True),
        event(stamp(1)),
        status(stamp(1)),
        status(stamp(1), failed=True),
    ],
    ids=lambda message: message.kind,
)
def test_every_message_keeps_its_schema(registry: Registry[Any], message) -> None:
    """What is sent is valid by the specification, and ``type`` comes first."""
    schema = registry.contents(f"urn:baqup:agent:1.0:{message.kind}")
    Draft202012Validator(schema, registry=registry).validate(message.to_wire())

    assert next(iter(message.to_wire())) == "type"
    assert set(message.to_wire()) <= set(schema["properties"])


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        (heartbeat(stamp(1)), f"heartbeat:{AGENT}"),
        (progress(stamp(1)), f"progress:{JOB}"),
        (event(stamp(1)), f"events:{JOB}"),
        (status(stamp(1)), f"status:{JOB}"),
    ],
)
def test_a_message_knows_its_topic(message, topic: str) -> None:
    """A heartbeat belongs to an agent, the rest to a job."""
    assert message.topic == topic


def test_stamps_are_numbered_across_threads() -> None:
    """Each number is given once, and time never falls as numbers rise."""
    stamper = Stamper(JOB, AGENT, SystemClock())
    made: list[list[Any]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda own=own: own.extend(stamper.next() for _ in range(500)))
        for own in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stamps = sorted((one for own in made for one in own), key=lambda one: one.seq)
    assert [one.seq for one in stamps] == list(range(1, 2001))
    moments = [one.moment for one in stamps]
    assert moments == sorted(moments)


def test_a_clock_that_steps_back_does_not_make_our_messages_stale() -> None:
    """A controller discards what is older than what it has, so stamps never go back."""
    clock = HandClock()
    stamper = Stamper(JOB, AGENT, clock)
    first = stamper.next()
    clock.moment -= timedelta(hours=1)
    second = stamper.next()

    assert second.moment > first.moment
    assert second.seq == 2


def test_ids_of_events_grow_with_their_numbers() -> None:
    """Also within one millisecond, and over a clock that steps back."""
    clock = HandClock()
    stamper = Stamper(JOB, AGENT, clock)
    ids = []
    for step_ms in (0, 0, 1, -50, 0, 60, 1):
        clock.moment += timedelta(milliseconds=step_ms)
        ids.append(entry_id(event(stamper.next()).to_wire()))

    assert [tuple(map(int, one.split("-"))) for one in ids] == sorted(
        tuple(map(int, one.split("-"))) for one in ids
    )
    assert len(set(ids)) == len(ids)


def test_a_timestamp_has_six_digits_of_a_second() -> None:
    """Also at a whole second, so that the order of texts is that of times."""
    whole = heartbeat(stamp(1, at_s=0.75)).to_wire()

    assert whole["timestamp"] == "2026-03-01T12:00:01.000000Z"


@pytest.mark.parametrize("code", ["", "file_changed", "1ST", "A-B", "A B", "Ä", "A\n"])
def test_a_malformed_event_code_is_the_authors_bug(code: str) -> None:
    """The error shows the code, the rule and an example."""
    with pytest.raises(InternalError, match="upper-case words joined by underscores") as caught:
        event(stamp(1), code=code)

    assert caught.value.code == "EVENT_CODE_INVALID"
    assert repr(code) in str(caught.value)


def test_an_unknown_severity_is_the_authors_bug() -> None:
    """The error lists the severities that exist."""
    with pytest.raises(InternalError, match="trace, debug, info, warn, error, fatal"):
        event(stamp(1), severity="warning")


def test_an_event_shows_at_most_five_paths() -> None:
    """A few samples, not a list of all files."""
    made = Event(
        stamp(1),
        code="X",
        severity="info",
        message="m",
        first_occurrence=START,
        last_occurrence=START,
        sample_paths=[str(number) for number in range(9)],
    )

    assert made.to_wire()["sample_paths"] == ["0", "1", "2", "3", "4"]


def test_values_that_json_lacks_are_made_plain() -> None:
    """Paths become text, secrets stay hidden, numbers without a word become null."""
    tree = {
        "path": Path("/a"),
        "secret": Secret("hunter2"),
        "numbers": (1, 2.5, float("nan"), float("inf"), True),
        "codes": {"only"},
        "odd": "caf\udce9 \ud800",
        3: None,
    }

    assert plain_value(tree) == {
        "path": "/a",
        "secret": "[REDACTED]",
        "numbers": [1, 2.5, None, None, True],
        "codes": ["only"],
        "odd": "caf\\udce9 \\ud800",
        "3": None,
    }


def test_later_changes_by_the_caller_do_not_reach_a_message() -> None:
    """A message is what it was when it was made."""
    metrics = {"duration_seconds": 1}
    made = Status(
        stamp(1),
        agent="a",
        role="snapshot",
        status="success",
        started_at=START,
        completed_at=START,
        exit_code=0,
        metrics=metrics,
    )
    metrics["duration_seconds"] = 2

    assert made.to_wire()["metrics"] == {"duration_seconds": 1}


def test_progress_without_a_number_says_nothing_of_it() -> None:
    """Not-a-number is no percentage."""
    wire = Progress(stamp(1), percent_complete=float("nan")).to_wire()

    assert "percent_complete" not in wire


def test_a_state_outside_the_lifecycle_is_refused() -> None:
    """There are five."""
    with pytest.raises(ValueError, match="dumping"):
        Heartbeat(stamp(1), "dumping")


@pytest.mark.parametrize(
    "moment", ["", "no time", "2026-03-01T12:00:00", "9999-01-01T00:00:00.000000Z"]
)
def test_a_time_that_is_nobodys_clock_is_not_followed(moment: str) -> None:
    """Neither what is no time, nor one so far ahead that no message of it could be there."""
    clock = HandClock()
    stamper = Stamper(JOB, AGENT, clock)
    stamper.follow(moment)

    assert stamper.next().moment == clock.now()


def test_a_clock_that_was_ahead_is_followed() -> None:
    """Stamps begin behind what another process has written."""
    clock = HandClock()
    stamper = Stamper(JOB, AGENT, clock)
    stamper.follow(timestamp(clock.now() + timedelta(hours=1)))

    assert stamper.next().moment == clock.now() + timedelta(hours=1, microseconds=1)


@given(st.lists(st.integers(-(10**15), 10**17), min_size=1, max_size=8), st.integers(0, 3_000_000))
def test_the_quick_way_to_write_timestamps_is_the_slow_one(
    times_us: list[int], step_us: int
) -> None:
    """In any order of times, within a second and beyond."""
    writer = TimestampWriter()

    for time_us in times_us:
        for moved_us in (time_us, time_us + step_us, time_us):
            assert writer.write(moved_us) == timestamp(moment_of(moved_us))
            assert microseconds(moment_of(moved_us)) == moved_us
