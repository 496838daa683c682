"""The power goes at a step of the publication: what is found afterwards is all or nothing.

The agent is killed at the step and its filesystem shut down in the same state, so that all that was
not synced is lost; the journal is then recovered by mounting it again. Nothing is written back by
itself meanwhile, so a missing sync shows.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.agent_process import AgentProcess
from tests.faults.sweep_mounts import Disk
from tests.faults.sweep_steps import Step, recording, spread, steps_of
from tests.faults.sweep_table import Row, table
from tests.faults.sweep_verdict import judge

SEED = 20260115
PATIENCE_S = 120.0
AUTHOR = [sys.executable, str(Path(__file__).with_name("sweep_author.py"))]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A disk that is mounted at an agent's staging."""
    return Disk(tmp_path / "disk", tmp_path / "staging")


def attempt(scene: Path, number: int, prefix: list[str]) -> int:
    """Run the agent as job ``number``; return its exit code.

    Beside staging everything is its own, so that every attempt takes the same steps.
    """
    own = scene / str(number)
    own.mkdir()
    run = AgentProcess(
        own,
        program=[*prefix, *AUTHOR],
        environ={
            "BAQUP_STAGING_DIR": str(scene / "staging"),
            "BAQUP_ARTIFACT_SPLIT_SIZE": "100K",
        },
        job_id=str(UUID(int=number)),
    )
    try:
        return run.wait(PATIENCE_S)
    finally:
        run.end()


def steps(scene: Path, disk: Disk) -> list[Step]:
    """The steps of an undisturbed run as job 0."""
    trace = scene / "trace"
    with disk.powered() as staging:
        assert attempt(scene, 0, recording(trace)) == 0
        found = steps_of(trace.read_text().splitlines(), staging)
    return [step for step in found if step.call != "mkdir"]  # the root of staging is a mount here


def of_job(step: Step, number: int) -> Step:
    """The same step of another job."""
    return step._replace(path=step.path.replace(str(UUID(int=0)), str(UUID(int=number))))


@pytest.mark.timeout(1800)  # the long form is long
def test_a_power_cut_at_any_step_leaves_all_or_nothing(
    disk: Disk, tmp_path: Path, long: bool
) -> None:
    """Whatever was not synced is gone, and a manifest still means that everything verifies."""
    all_steps = steps(tmp_path, disk)
    chosen = all_steps if long else list(_telling(all_steps))
    rows = {call: Row() for call in dict.fromkeys(step.call for step in all_steps)}
    for step in all_steps:
        rows[step.call].points += 1
    missed: list[Step] = []
    for number, step in enumerate(chosen, start=1):
        row = rows[step.call]
        with disk.powered():
            code = attempt(tmp_path, number, of_job(step, number).fault("signal=KILL"))
            disk.cut()
        row.kills += code == -9
        missed += [step] if code != -9 else []
        with disk.powered() as staging:
            verdict = judge(staging / str(UUID(int=number)))
        row.published += verdict.published
        row.violations += [f"{step}: {line}" for line in verdict.problems]

    print("\n" + table("power cut", rows))
    assert [line for row in rows.values() for line in row.violations] == []
    assert missed == []
    assert 0 < sum(row.published for row in rows.values()) < len(chosen)


def _telling(all_steps: list[Step]) -> Iterator[Step]:
    """One step of each call, and the last three: around the manifest's rename."""
    sampled = set(spread(all_steps, 1, random.Random(SEED)))
    return (step for step in all_steps if step in sampled or step in all_steps[-3:])


def test_success_means_that_it_outlives_a_power_cut(disk: Disk, tmp_path: Path) -> None:
    """An agent that ended with 0 has everything on the disk."""
    with disk.powered():
        assert attempt(tmp_path, 1, []) == 0
        disk.cut()
    with disk.powered() as staging:
        verdict = judge(staging / str(UUID(int=1)))

    assert verdict.published
    assert verdict.problems == ()


def test_the_power_cut_takes_what_was_not_synced(disk: Disk) -> None:
    """The judge of the tests above: without a sync, a file is gone or empty afterwards."""
    with disk.powered() as staging:
        (staging / "kept").write_bytes(b"x" * 100_000)
        os.sync()
        (staging / "lost").write_bytes(b"x" * 100_000)
        disk.cut()
    with disk.powered() as staging:
        kept, lost = staging / "kept", staging / "lost"

        assert kept.read_bytes() == b"x" * 100_000
        assert not lost.exists() or lost.stat().st_size == 0
    assert subprocess.run(["findmnt", str(staging)], capture_output=True).returncode == 1  # noqa: PLW1510
