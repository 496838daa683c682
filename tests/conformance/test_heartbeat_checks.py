"""The arithmetic of regular beats, apart from any agent."""

from __future__ import annotations

import pytest

from baqup_agent.conformance.checks.heartbeat import _require_growth
from baqup_agent.conformance.regularity import interval_faults
from baqup_agent.conformance.verdicts import Violation


@pytest.mark.parametrize(
    ("moments", "late_s", "faulty"),
    [
        ([0.0, 1.0, 2.0, 3.0], 0.0, False),
        ([0.0, 1.2, 2.0, 3.0], 0.0, False),
        ([0.0, 1.0, 2.5, 3.0], 0.0, True),
        ([0.0, 1.0, 2.5, 3.0], 0.2, False),
        ([0.0, 0.01, 0.02, 1.0, 2.0, 3.0], 0.0, False),
        ([step / 5 for step in range(16)], 0.0, True),
    ],
)
def test_beats_are_held_against_the_interval(moments, late_s, faulty):
    """A gap over 120 % is one too long, unless the machine itself was late; so are many beats."""

    assert bool(interval_faults(moments, 1, late_s)) is faulty


def test_progress_that_falls_is_seen():
    """A count that is lower than before breaks the rule, whatever else the message says."""

    head = {
        "type": "progress",
        "job_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "timestamp": "2026-01-15T03:00:30Z",
        "agent_id": "agent-1",
    }
    told = [
        {**head, "seq": seq, "bytes_processed": size, "files_processed": 1}
        for seq, size in ((1, 10), (2, 20), (3, 19))
    ]

    _require_growth(told[:2])
    with pytest.raises(Violation, match="bytes_processed fell from 20 to 19"):
        _require_growth(told)
