"""The actor, with moments of the SDK's own work held up from outside, as a slow disk would.

Each of ``HOLD_PREPARE``, ``HOLD_PUBLISH`` and ``HOLD_REMOVE`` names a file that the step waits
for; ``STATE_S`` shortens the deadlines of initializing and completing.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from attrs import evolve

from baqup_agent import CONTRACT
from baqup_agent.staging.area import Staging
from tests.runtime.actor import ActorAgent


def held(step: str) -> None:
    """Have a method of `Staging` wait until its file exists."""
    original = getattr(Staging, step)
    gate = os.environ.get(f"HOLD_{step.upper()}")
    if gate is None:
        return

    def wait(self: Staging, *arguments: Any) -> Any:
        print(f'{{"message": "held in {step}"}}', file=sys.stderr, flush=True)
        while not Path(gate).exists():
            time.sleep(0.005)
        return original(self, *arguments)

    setattr(Staging, step, wait)


def shortened(seconds: float) -> None:
    states = tuple(
        evolve(state, deadline=evolve(state.deadline, seconds=seconds))
        if state.deadline is not None and state.deadline.seconds
        else state
        for state in CONTRACT.states
    )
    ActorAgent.lifecycle = evolve(CONTRACT, states=states)


if __name__ == "__main__":
    for step in ("prepare", "publish", "remove"):
        held(step)
    if "STATE_S" in os.environ:
        shortened(float(os.environ["STATE_S"]))
    ActorAgent.main()
