"""An agent on the SDK that stays where it is told to, so that the SDK can be judged there.

``LINGER`` names initializing or completing, ``LINGER_S`` the seconds that it stays there, as on a
slow disk; ``LIMIT_S`` shortens that state's deadline. In running it can be told to wait for a
``call`` that cannot be interrupted, or for a ``child`` that is deaf to SIGTERM; to announce one
long operation (``intent``), or to get ``stuck`` and beat on.
"""

from __future__ import annotations

import os
import time
from typing import Any

from attrs import evolve

from baqup_agent import CONTRACT, Agent, Job
from baqup_agent.staging.area import Staging

FOREVER_S = 3600

#: Seconds that the announced operation takes, and the work after it: the beats in between count.
OPERATION_S, REST_S = 2.0, 3.0

STATE = os.environ.get("LINGER", "")
STEPS = {"initializing": "prepare", "completing": "publish"}


class LingeringAgent(Agent):
    """Backs up a word."""

    name = "agent-lingering"
    version = "1.0.0"

    def snapshot(self, job: Job) -> None:
        with job.staging.artifact("word") as out:
            out.write(b"word")
        if STATE == "call":
            time.sleep(FOREVER_S)
        if STATE == "child":
            job.run(["sh", "-c", f"trap '' TERM; sleep {FOREVER_S} & wait"])
        if STATE == "intent":
            self.operate(job)
        if STATE == "stuck":
            job.touch()
            job.cancellation.sleep(FOREVER_S)

    def operate(self, job: Job) -> None:
        """Announce one operation, carry it out, and work on after it."""
        with job.intent("linger", expected_duration_s=OPERATION_S):
            job.log.info("operation begins")
            job.cancellation.sleep(OPERATION_S)
            job.log.info("operation ends")
        job.cancellation.sleep(REST_S)


def slow_down(step: str, seconds: float) -> None:
    """Have a step of the SDK take longer, as on a slow disk."""
    original = getattr(Staging, step)

    def slowly(self: Staging, *arguments: Any) -> Any:
        time.sleep(seconds)
        return original(self, *arguments)

    setattr(Staging, step, slowly)


def shorten(name: str, seconds: float) -> None:
    """Shorten the deadline of a state."""
    LingeringAgent.lifecycle = evolve(
        CONTRACT,
        states=tuple(
            evolve(state, deadline=evolve(state.deadline, seconds=seconds))
            if state.name == name and state.deadline is not None
            else state
            for state in CONTRACT.states
        ),
    )


if __name__ == "__main__":
    if STATE in STEPS:
        slow_down(STEPS[STATE], float(os.environ["LINGER_S"]))
    if "LIMIT_S" in os.environ:
        shorten(STATE, float(os.environ["LIMIT_S"]))
    LingeringAgent.main()
