"""The actor, with moments of the SDK's own work held up from outside, as a slow disk would.

Each of ``HOLD_PREPARE``, ``HOLD_PUBLISH`` and ``HOLD_REMOVE`` names a file that the step waits
for; ``SHORT`` names one state whose deadline becomes half a second.
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


def shortened(name: str) -> None:
    states = tuple(
        evolve(state, deadline=evolve(state.deadline, seconds=0.5))
        if state.name == name and state.deadline is not None
        else state
        for state in CONTRACT.states
    )
    ActorAgent.lifecycle = evolve(CONTRACT, states=states)


def broken_after_publication() -> None:
    """Have publication fail once the manifest is visible, as a last sync on a dying disk would."""
    original = Staging.publish

    def publish(self: Staging, manifest: Any) -> Any:
        original(self, manifest)
        raise OSError(5, "Input/output error")

    Staging.publish = publish


if __name__ == "__main__":
    if "BREAK_AFTER_PUBLICATION" in os.environ:
        broken_after_publication()
    for step in ("prepare", "publish", "remove"):
        held(step)
    if "SHORT" in os.environ:
        shortened(os.environ["SHORT"])
    ActorAgent.main()
