"""Traces written for tests, line by line as a run writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baqup_agent.lifecycle.declaration import Lifecycle
from tests.lifecycle.rich_example import RICH_EXAMPLE

#: Triggers with the seconds before each, of a run of the rich example that fails in `rows`.
FAILING = [("start", 0.5), ("connected", 2), ("described", 1), ("next_table", 60), ("fail", 12)]

#: The same up to its last step.
CUT = FAILING[:-1]

#: A run of the rich example that ends well, with one second dump.
GOOD = [
    ("start", 0.5), ("connected", 2), ("described", 1), ("dumped", 40), ("again", 3),
    ("described", 1), ("dumped", 20), ("complete", 4), ("sealed", 8), ("terminate", 1),
]  # fmt: skip


def begin(lifecycle: Lifecycle = RICH_EXAMPLE, **more: Any) -> dict[str, Any]:
    """The first line of a trace."""
    return {
        "type": "begin",
        "version": 1,
        "job_id": "1f0f2d6c-1111-4222-8333-444455556666",
        "agent": "agent-example",
        "agent_id": "agent-example-1",
        "role": "snapshot",
        "initial": lifecycle.initial,
        "timestamp": "2026-01-15T03:00:00.000000Z",
        "monotonic_s": 100.0,
        **more,
    }


def records(
    steps: Sequence[tuple[str, float]],
    end: tuple[int, str | None] | None = None,
    lifecycle: Lifecycle = RICH_EXAMPLE,
) -> list[dict[str, Any]]:
    """The lines of a run that fired these triggers, each after so many seconds."""
    rows = [begin(lifecycle)]
    state, now = lifecycle.initial, 100.0
    for trigger, after_s in steps:
        now += after_s
        target = lifecycle.target(state, trigger)
        assert target is not None
        rows.append(
            {
                "type": "step",
                "trigger": trigger,
                "source": state,
                "target": target,
                "timestamp": "2026-01-15T03:00:00.000000Z",
                "monotonic_s": now,
            }
        )
        state = target
    if end is not None:
        code, error_code = end
        status = "success" if code == 0 else "failed"
        rows.append(
            {
                "type": "end",
                "exit_code": code,
                "error_code": error_code,
                "status": status,
                "timestamp": "2026-01-15T03:00:00.000000Z",
                "monotonic_s": now,
            }
        )
    return rows


def written(path: Path, rows: Sequence[dict[str, Any]], torn: str = "") -> Path:
    """A trace file of these lines, and of what a killed process left of one more."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + torn)
    return path
