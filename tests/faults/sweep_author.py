"""A small author's agent with two artifacts, for faults: run as a script, on the public API alone.

`BAQUP_SOURCE_GATES` names a directory: the agent goes on past a gate once a file of its name lies
there. Without the variable it waits for nothing. `BAQUP_SOURCE_COMMAND`, a JSON array, is the
child whose output becomes the second artifact.
"""

from __future__ import annotations

import random
from pathlib import Path

from baqup_agent import Agent, Job, Variable
from baqup_agent.config import Kind

#: Bytes of either artifact before compression; they do not compress.
FIRST_BYTES, SECOND_BYTES = 250_000, 150_000


def noise(size: int) -> bytes:
    """Return the same bytes on every run, so that every run takes the same steps."""
    return random.Random(size).randbytes(size)


class AuthorAgent(Agent):
    """Backs nothing up, with much ceremony."""

    name = "agent-author"
    version = "1.0.0"
    variables = (
        Variable("BAQUP_SOURCE_GATES", Kind.PATH, "where gates are opened", sdk=True),
        Variable("BAQUP_SOURCE_COMMAND", Kind.ARRAY, "makes the second artifact", sdk=True),
        Variable("BAQUP_SOURCE_BYTES", Kind.INT, "of the second", SECOND_BYTES, sdk=True),
    )

    def snapshot(self, job: Job) -> None:
        """Write two artifacts."""
        with job.staging.artifact("first.bin") as out:
            out.write(noise(FIRST_BYTES))
        gate(job, "first")
        command = job.config.get("BAQUP_SOURCE_COMMAND")
        with job.staging.artifact("second.bin") as out:
            if command:
                out.run(list(command))
            else:
                left = job.config["BAQUP_SOURCE_BYTES"]
                while left > 0:
                    out.write(noise(min(left, 1 << 20)))
                    left -= 1 << 20
        gate(job, "second")


def gate(job: Job, name: str) -> None:
    """Tell that the agent is at a gate, and wait until it is open."""
    job.log.info(f"{name} sealed")
    gates: Path | None = job.config.get("BAQUP_SOURCE_GATES")
    while gates is not None and not (gates / name).exists():
        job.cancellation.sleep(0.01)


if __name__ == "__main__":
    AuthorAgent.main()
