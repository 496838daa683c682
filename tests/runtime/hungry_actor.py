"""The actor, with acts that take memory; limits are watched as in every run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from baqup_agent import Job
from baqup_agent.contract import AgentState
from baqup_agent.runtime import effects, resources
from baqup_agent.security.limits import memory_group, process_memory_bytes
from tests.runtime.actor import ACTS, ActorAgent, heed, write

MIB = 1 << 20
HELD: list[bytearray] = []


def grow_to(size_bytes: int, used_bytes: Callable[[], int]) -> None:
    """Take memory until so much is in use."""
    while used_bytes() < size_bytes:
        HELD.append(bytearray(b"x") * MIB)


def until_told(job: Job, code: str) -> None:
    """Wait until the watch has seen it; the job's timeout bounds it."""
    while code not in job._events.warnings_summary():
        job.cancellation.sleep(0.01)


def come_close(job: Job) -> None:
    grow_to(140 * MIB, process_memory_bytes)
    until_told(job, "RESOURCE_LIMIT_APPROACHING")
    write(job)


def grow(job: Job) -> None:
    grow_to(140 * MIB, process_memory_bytes)
    until_told(job, "RESOURCE_LIMIT_APPROACHING")
    grow_to(200 * MIB, process_memory_bytes)
    heed(job)


def share(job: Job) -> None:
    """Leave most of a control group to a child, and take what is missing to its end."""
    group = memory_group()
    assert group is not None
    hold = "import sys; held = bytearray(b'x') * (160 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        grow_to(int(group.limit_bytes * 0.96), group.used_bytes)
        job.log.info("taken", own_mib=process_memory_bytes() // MIB)
        heed(job)


ACTS.update({"grow": grow, "come-close": come_close, "share": share})

watching = resources.watch_resources
if watching not in effects.EFFECTS[AgentState.INITIALIZING]:
    effects.EFFECTS[AgentState.INITIALIZING] += (watching,)  # type: ignore[index]

if __name__ == "__main__":
    sys.exit(ActorAgent.main())
