"""SIGKILL at random instants: a visible manifest means that everything verifies (Contract §4)."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from baqup_agent.contract import MANIFEST_NAME
from baqup_agent.staging.verification import verify
from tests.agent_process import AgentProcess

SEED = 20260115


@pytest.mark.timeout(1200)  # the long mode is long
def test_kills_leave_all_or_nothing(tmp_path: Path, long: bool) -> None:
    """However the run is cut, the directory is complete and valid, or has no manifest.

    The instants are random; their centre follows the outcomes, so that it stays at the moment of
    publication however quick the machine is just now.
    """
    kills = 200 if long else 40
    centre_s = _life_s(tmp_path)
    moments = random.Random(SEED)
    outcomes = {"published": 0, "cut": 0}
    for number in range(kills):
        scene = tmp_path / str(number)
        scene.mkdir()
        run = AgentProcess(scene, environ={"BAQUP_SOURCE_ACT": "write-four"})
        try:
            time.sleep(moments.uniform(0.4, 1.2) * centre_s)  # the instant is what is tested
            run.process.send_signal(signal.SIGKILL)
            run.process.wait()
            published = (run.directory / MANIFEST_NAME).exists()
            outcomes["published" if published else "cut"] += 1
            centre_s *= 0.9 if published else 1.1
            if published:
                verification = verify(run.directory)
                assert verification.ok, verification.problems
        finally:
            run.end()
    print(f"{kills} kills: {outcomes}, 0 violations")
    assert min(outcomes.values()) > 0, "the kills all fell on one side of the publication"


def _life_s(tmp_path: Path) -> float:
    """Seconds that an undisturbed run takes."""
    scene = tmp_path / "whole"
    scene.mkdir()
    run = AgentProcess(scene, environ={"BAQUP_SOURCE_ACT": "write-four"})
    try:
        assert run.wait() == 0
        return time.monotonic() - run.started_s
    finally:
        run.end()


@pytest.mark.parametrize("number", range(3))
def test_a_killed_job_can_be_run_again(tmp_path: Path, number: int) -> None:
    """A rerun after a kill succeeds, and leftovers are not merged."""
    first = AgentProcess(tmp_path, environ={"BAQUP_SOURCE_ACT": "write-on"})
    try:
        first.wait_for_log("act begun")
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    finally:
        first.end()
    assert (first.directory / ".staging" / "endless.bin").exists()

    second = AgentProcess(tmp_path, environ={"BAQUP_SOURCE_ACT": "write"}, job_id=first.job_id)
    try:
        assert second.wait() == 0
        assert verify(second.directory).ok
        assert not (second.directory / ".staging").exists()
    finally:
        second.end()
