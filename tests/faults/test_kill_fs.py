"""SIGKILL at seeded random instants of agent-fs: its snapshots and its restores (Contract §4)."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.sweep_author import noise
from tests.faults.sweep_outcome import outcome, started
from tests.faults.sweep_verdict import judge
from tests.trees import picture

SEED = 20260115
MARKER = ".baqup-incomplete"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    for number in range(100):
        file = source / f"d{number % 10}" / f"f{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(noise(20_000 + number))
    return source


class Instants:
    """Random instants of a run, whose centre follows the outcomes to the run's last step.

    Args:
        whole_s: what an undisturbed run takes, seconds.
    """

    def __init__(self, whole_s: float) -> None:
        self._centre_s = whole_s
        self._random = random.Random(SEED)
        self.outcomes: Counter[str] = Counter()

    def wait(self) -> None:
        """Let the time pass; the instant is what is tested."""
        time.sleep(self._random.uniform(0.4, 1.2) * self._centre_s)

    def note(self, what: str, *, done: bool) -> None:
        """Take an outcome: whether the run had passed its last step."""
        self.outcomes[what] += 1
        self._centre_s *= 0.9 if done else 1.1


@pytest.mark.timeout(1800)  # the long form is long
def test_a_killed_snapshot_leaves_all_or_nothing(source: Path, tmp_path: Path, long: bool) -> None:
    """What has a manifest verifies; what has none was never said to be complete."""
    kills = 200 if long else 12
    instants = Instants(_seconds(tmp_path / "whole", "snapshot", source_path=source))
    for number in range(kills):
        scene = tmp_path / str(number)
        scene.mkdir()
        with started(scene, source_path=source) as run:
            instants.wait()
            run.process.send_signal(signal.SIGKILL)
            run.process.wait()
            verdict = judge(run.directory)
        instants.note("published" if verdict.published else "cut", done=verdict.published)
        assert verdict.problems == ()
    print(f"{kills} kills of snapshots: {dict(instants.outcomes)}, 0 violations")
    assert instants.outcomes["cut"] > 0


@pytest.mark.timeout(1800)  # the long form is long
def test_a_killed_restore_is_whole_or_marked(source: Path, tmp_path: Path, long: bool) -> None:
    """A target without the mark is empty, or holds all of the tree."""
    kills = 200 if long else 12
    backup = tmp_path / "backup"
    backup.mkdir()
    with started(backup, source_path=source) as run:
        outcome(run).require_success()
        published = run.directory
    target = tmp_path / "whole" / "target"
    # A kill takes nothing from the page cache: there is no need to wait for the disk.
    form = {"source_path": published, "target_sync": False}
    whole_s = _seconds(tmp_path / "whole", "restore", target_path=target, **form)
    expected = picture(target)
    instants = Instants(whole_s)
    for number in range(kills):
        scene = tmp_path / str(number)
        target = scene / "target"
        target.mkdir(parents=True)
        with started(scene, "restore", target_path=target, **form) as run:
            instants.wait()
            run.process.send_signal(signal.SIGKILL)
            run.process.wait()
        state = _state(target)
        instants.note(state, done=state == "whole")
        if state == "whole":
            found = picture(target)
            del found[b"."]
            assert found == {name: expected[name] for name in expected if name != b"."}
    print(f"{kills} kills of restores: {dict(instants.outcomes)}, 0 violations")
    assert instants.outcomes["empty"] + instants.outcomes["marked"] > 0


def test_a_target_that_a_kill_left_marked_is_refused(source: Path, tmp_path: Path) -> None:
    """Nothing is merged into it; another target takes the backup."""
    with started(tmp_path, source_path=source) as run:
        outcome(run).require_success()
        published = run.directory
    target = tmp_path / "target"
    with started(tmp_path, "restore", source_path=published, target_path=target) as run:
        run.wait_until(lambda: (target / MARKER).exists() or run.process.poll() is not None)
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
    (target / MARKER).touch()  # where the kill came too late

    with started(tmp_path, "restore", source_path=published, target_path=target) as run:
        outcome(run).require_failure(73, "CANT_CREATE_OUTPUT", MARKER)
    other = tmp_path / "other"
    with started(tmp_path, "restore", source_path=published, target_path=other) as run:
        outcome(run).require_success()
    assert not (other / MARKER).exists()


def _state(target: Path) -> str:
    names = {path.name for path in target.iterdir()}
    if not names:
        return "empty"
    return "marked" if MARKER in names else "whole"


def _seconds(scene: Path, role: str, **variables: object) -> float:
    """Seconds that an undisturbed run takes."""
    scene.mkdir()
    with started(scene, role, **variables) as run:
        outcome(run).require_success()
        return time.monotonic() - run.started_s
