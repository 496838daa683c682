"""One whole attempt at a job, in a process of its own, killed at a chosen step.

Run as a script: ``one_attempt.py ROOT JOB`` makes one attempt and prints what became of it, for
tools that kill it from outside. ``one_attempt.py ROOT JOB sweep`` forks an attempt for every step
there is, each killed right before that step, and prints one line of JSON for each.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from baqup_agent.config.settings import ArtifactSettings
from baqup_agent.errors import AlreadyPublished
from baqup_agent.observability.sink import NullLog
from baqup_agent.staging.area import Staging
from baqup_agent.staging.manifest import Manifest

#: Every call that changes what is on disk, or when it gets there.
STEPS = ["open", "mkdir", "write", "fsync", "rename", "unlink", "rmdir", "close"]


def attempt(root: Path, job_id: str, marker: bytes) -> str:
    staging = Staging(root, job_id, ArtifactSettings(), log=NullLog())
    try:
        staging.prepare()
    except AlreadyPublished:
        return "already published"
    with staging.artifact("data.sql") as out:
        out.write(marker * 1000)
    with staging.artifact("notes.txt", compress=False) as out:
        out.write(marker)
    manifest = Manifest(
        job_id, "agent-test", "snapshot", "2026-01-15T03:04:41.218043Z", staging.artifacts
    )
    staging.publish(manifest)
    staging.write_orphan_status({"status": "success"})
    staging.write_orphan_status({"status": "success", "again": True})
    staging.close()
    return "published"


def die_before(step: int) -> None:
    """Arrange for SIGKILL right before the given step, counted from 1 over all kinds."""
    left = [step]

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*args: object, **kwargs: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return wrapper

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    fcntl.flock = counted(fcntl.flock)


def forked(root: Path, job_id: str, step: int, marker: bytes) -> bool:
    """Make one attempt in a child; tell whether it was killed."""
    child = os.fork()
    if child == 0:
        die_before(step)
        try:
            attempt(root, job_id, marker)
        except BaseException as error:  # noqa: BLE001  a child must never come back
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        sys.exit(f"the attempt failed by itself at step {step}")
    return False


def sweep(root: Path) -> None:
    """Kill first attempts at every step; of each, kill a second attempt at some step too."""
    step = 0
    killed = True
    while killed:
        step += 1
        job_id = str(UUID(int=step))
        killed = forked(root, job_id, step, b"first ")
        after_first = (root / job_id / "manifest.json").exists()
        again = killed and forked(root, job_id, step * 7 % 50 + 1, b"second ")
        fact = {"job": job_id, "killed": killed, "published": after_first, "again": again}
        sys.stdout.write(json.dumps(fact) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[3:] == ["sweep"]:
        sweep(Path(sys.argv[1]))
    else:
        sys.stdout.write(attempt(Path(sys.argv[1]), sys.argv[2], b"only ") + "\n")
