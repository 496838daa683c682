"""The picture of a job, put together from messages in whatever order and form they come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.controller.picture import JobPicture

T = "2026-01-15T03:00:0{}.000000Z"


def beat(second: int, **members: Any) -> dict[str, Any]:
    return {"type": "heartbeat", "timestamp": T.format(second), "state": "running", **members}


def event(code: str, count: int, **members: Any) -> dict[str, Any]:
    return {"type": "event", "timestamp": T.format(1), "code": code, "count": count, **members}


def picture(*messages: dict[str, Any]) -> JobPicture:
    result = JobPicture()
    for number, message in enumerate(messages):
        result.apply(message, float(number))
    return result


def test_the_latest_heartbeat_counts_by_its_timestamp():
    """One that arrives late tells nothing of the present."""
    seen = picture(beat(5, state="completing"), beat(3, state="running"))

    assert seen.state == "completing"
    assert (seen.beats, seen.last_beat_s, seen.messages) == (1, 0.0, 2)


def test_a_heartbeat_with_a_higher_number_is_later_whatever_its_time():
    """The clock of its agent was set back; another agent's numbers say nothing about it."""
    first = beat(5, state="running", agent_id="a", seq=3)
    seen = picture(first, beat(2, state="completing", agent_id="a", seq=4), first)
    other = picture(first, beat(2, state="completing", agent_id="b", seq=4))

    assert (seen.state, seen.last_beat_s) == ("completing", 1.0)
    assert other.state == "running"


def status(second: int, agent_id: str | None, word: str = "failed") -> dict[str, Any]:
    named = {} if agent_id is None else {"agent_id": agent_id}
    return {"type": "status", "timestamp": T.format(second), "status": word, **named}


OURS = beat(3, agent_id="ours")


@pytest.mark.parametrize(
    ("messages", "agent_id"),
    [
        ([OURS, status(1, "dead"), status(4, "ours")], "ours"),
        ([OURS, status(4, "ours"), status(1, "dead")], "ours"),
        ([OURS, status(4, "ours"), status(9, "dead")], "ours"),
        ([OURS, status(9, "dead"), status(4, "ours")], "ours"),
        ([status(9, "dead"), OURS, status(4, "ours")], "ours"),
        ([status(4, "ours"), status(9, "dead"), OURS], "ours"),
        ([OURS, status(9, "dead"), status(4, None)], None),
        ([OURS, status(1, "dead"), status(2, "older")], "older"),
        ([OURS, status(2, "older"), status(1, "dead")], "older"),
    ],
)
def test_the_status_is_that_of_the_agent_that_beats(messages, agent_id):
    """What it sends for a dead one counts only as long as it has said nothing for itself."""
    assert (picture(*messages).status or {}).get("agent_id") == agent_id


def test_of_its_own_statuses_the_latest_counts():
    """By their timestamps."""
    seen = picture(OURS, status(5, "ours", "success"), status(4, "ours"))

    assert (seen.status or {})["status"] == "success"
    assert seen.statuses == 1


def test_an_intent_lasts_until_a_heartbeat_without_it():
    """Absent and null both end it."""
    intent = {"operation": "dump", "expected_duration_seconds": 90, "detail": "shop"}
    during = picture(beat(1, intent=intent))
    after = picture(beat(1, intent=intent), beat(2, intent=None))

    assert during.intent is not None
    assert (during.intent.operation, during.intent.detail) == ("dump", "shop")
    assert during.intent.expected_s == 90
    assert after.intent is None


def test_counts_of_an_event_are_cumulative():
    """A repetition that comes late does not lower the count."""
    seen = picture(
        event("FILE_CHANGED", 12, severity="warn"),
        event("FILE_CHANGED", 3, severity="warn"),
        event("SYMLINK_SKIPPED", 40, severity="info"),
        event("RESOURCE_LIMIT_EXCEEDED", 1, severity="error"),
    )

    assert seen.events["FILE_CHANGED"].count == 12
    assert seen.warnings == {"FILE_CHANGED": 12, "RESOURCE_LIMIT_EXCEEDED": 1}


def test_timestamps_of_any_width_have_their_order():
    """A third party may write whole seconds; what is no timestamp is taken as it comes."""
    whole = {"type": "heartbeat", "timestamp": "2026-01-15T03:00:05Z", "state": "completing"}

    assert picture(beat(4), whole).state == "completing"
    assert picture(beat(6), whole).state == "running"
    assert picture(beat(6), {**whole, "timestamp": "later"}).state == "completing"


def test_percent_stays_within_its_bounds():
    """A bar cannot be drawn beyond its ends."""
    message = {"type": "progress", "timestamp": T.format(1), "percent_complete": 250}

    assert picture(message).percent == 100


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
MEMBERS = [
    *("timestamp", "state", "substate", "intent", "percent_complete", "bytes_processed"),
    *("files_processed", "current_file", "estimated_remaining_seconds", "severity", "code"),
    *("message", "count", "sample_paths", "status"),
]


@given(
    st.lists(
        st.builds(
            lambda kind, members: {**members, "type": kind},
            st.sampled_from(["heartbeat", "progress", "event", "status"]),
            st.dictionaries(st.sampled_from(MEMBERS), junk),
        ),
        max_size=6,
    )
)
def test_members_of_any_type_are_survived(messages):
    """What an agent writes is no promise."""
    seen = picture(*messages)

    assert seen.messages == len(messages)
    assert seen.state is None or isinstance(seen.state, str)
    assert seen.percent is None or 0 <= seen.percent <= 100
    assert all(isinstance(tally.count, int) for tally in seen.events.values())
