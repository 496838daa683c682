"""What is wrong with a stream of events, apart from any agent."""

from __future__ import annotations

import pytest

from baqup_agent.conformance.delivery import event_faults
from baqup_agent.conformance.messages import Message


def event(seq: int, code: str, count: int = 1) -> Message:
    at = "2026-01-15T03:00:30.000000Z"
    body = {
        "type": "event",
        "job_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "timestamp": at,
        "agent_id": "agent-1",
        "seq": seq,
        "severity": "warn",
        "code": code,
        "message": "look at that",
        "first_occurrence": at,
        "last_occurrence": at,
        "count": count,
        "sample_paths": [],
    }
    return Message(0.0, "stored", "events:job", body, f"{seq}-0")


@pytest.mark.parametrize(
    ("stored", "faults"),
    [
        ([event(1, "A"), event(2, "B", 3)], []),
        ([event(1, "A"), event(1, "A"), event(2, "B", 3)], ["event 1 is there 2 times"]),
        ([event(2, "B", 3), event(1, "A")], ["event 1 stands after event 2"]),
        ([event(1, "A")], ["B: the status counts 3, the stream 0"]),
        ([event(1, "A"), event(2, "B", 2)], ["B: the status counts 3, the stream 2"]),
    ],
)
def test_a_stream_is_held_against_the_sums_of_the_status(stored, faults):
    """What is lost, there twice or out of order is named."""

    assert event_faults(stored, {"warnings_summary": {"A": 1, "B": 3}}) == faults
