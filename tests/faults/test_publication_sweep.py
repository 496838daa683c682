"""A whole agent dies, or its disk fails, at every system call that touches its staging.

At any instant a manifest means that everything it lists is there and intact (Contract §4); an
agent whose disk fails says so; and a job that was cut can be run again.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.agent_process import AgentProcess
from tests.faults.sweep_author import noise
from tests.faults.sweep_steps import FAILING, Step, recording, spread, steps_of
from tests.faults.sweep_table import Row, table
from tests.faults.sweep_verdict import contents, judge
from tests.staging.forms import AES_KEY

SEED = 20260115
JOB = "5c0a7c52-93d9-4d0c-9b51-6f0e6a0c2f11"

#: Longest wait for one traced run on a loaded machine, seconds.
PATIENCE_S = 120.0

KILL, ERRORS = "signal=KILL", ("error=EIO", "error=ENOSPC")


class Subject(NamedTuple):
    """An agent and its environment."""

    program: list[str]
    environ: dict[str, str]


@pytest.fixture
def subjects(tmp_path: Path) -> dict[str, Subject]:
    """agent-fs, and an author's agent with two artifacts, encrypted and split."""
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    (source / "a").write_bytes(noise(150_000))
    (source / "below" / "b").write_bytes(b"b")
    author = Path(__file__).with_name("sweep_author.py")
    return {
        "fs": Subject(
            [sys.executable, "-m", "baqup_agent.agents.fs"],
            {"BAQUP_SOURCE_PATH": str(source), "BAQUP_ARTIFACT_SPLIT_SIZE": "100K"},
        ),
        "author": Subject(
            [sys.executable, str(author)],
            {
                "BAQUP_ARTIFACT_SPLIT_SIZE": "100K",
                "BAQUP_ARTIFACT_ENCRYPT": "true",
                "BAQUP_SECRET_ARTIFACT_KEY": AES_KEY,
            },
        ),
    }


class Sweep:
    """Attempts of one agent at one job, each in a directory of its own.

    Args:
        subject: the agent.
        scene: where the attempts are made.
    """

    def __init__(self, subject: Subject, scene: Path) -> None:
        self._subject = subject
        self._scene = scene
        scene.mkdir()

    def steps(self) -> list[Step]:
        """Return the steps of an undisturbed run."""
        trace = self._scene / "trace"
        whole = self._scene / "whole"
        whole.mkdir()
        _, code, _ = self._attempt(whole, recording(trace))
        assert code == 0
        return steps_of(trace.read_text().splitlines(), whole / "staging")

    def fault(self, number: int, step: Step, fault: str, *, again: bool) -> Row:
        """Make an attempt with a fault, and judge what it left; run the job again if asked to.

        The path of a step is that of the undisturbed run; the attempt has its own.
        """
        place = self._scene / str(number)
        place.mkdir()
        own = step._replace(path=step.path.replace(str(self._scene / "whole"), str(place)))
        directory, code, status = self._attempt(place, own.fault(fault))
        verdict = judge(directory)
        row = Row(kills=fault == KILL, errors=fault != KILL, published=verdict.published)
        row.violations += verdict.problems
        if code == 0:
            row.missed += 1
        elif fault == KILL:
            row.violations += [] if code == -9 else [f"killed, and its exit code is {code}"]
        else:
            row.violations += _told(code, status, published=verdict.published)
        if again:
            row.reruns += 1
            row.violations += self._rerun(place, directory)
        row.violations = [f"{fault} at {own}: {line}" for line in row.violations]
        return row

    def _rerun(self, place: Path, directory: Path) -> Iterator[str]:
        before, published = contents(directory), judge(directory).published
        _, code, status = self._attempt(place, [])
        verdict = judge(directory)
        yield from verdict.problems
        if published:
            if (code, status.get("code")) != (73, "ALREADY_PUBLISHED"):
                yield f"a published job was run again: exit {code}, {status}"
            if contents(directory) != before:
                yield "a rerun touched what was published"
        elif code != 0 or not verdict.published:
            yield f"a rerun did not publish: exit {code}, {status}"
        elif (directory / ".staging").exists():
            yield "a rerun left .staging"

    def _attempt(self, place: Path, prefix: list[str]) -> tuple[Path, int, dict[str, str]]:
        """Run the agent; return its directory, its exit code and the error of its status."""
        subject = self._subject
        environ: dict[str, str | None] = {**subject.environ}
        run = AgentProcess(place, program=[*prefix, *subject.program], environ=environ, job_id=JOB)
        try:
            code = run.wait(PATIENCE_S)
            statuses = run.of("status")
            error = statuses[-1]["error"] if statuses else None
            return run.directory, code, error or {}
        finally:
            run.end()


def _told(code: int, error: dict[str, str], *, published: bool) -> Iterator[str]:
    """What an agent must say of a disk that failed under it."""
    if published:
        if code != 75:
            yield f"published, then failed, and its exit code is {code}"
        return
    wanted = {73: "CANT_CREATE_OUTPUT", 74: "IO_ERROR"}
    if wanted.get(code) != error.get("code"):
        yield f"exit {code} with {error}"
    message = error.get("message", "")
    if not message or "\n" in message:
        yield f"its message is {message!r}"


def _plan(steps: list[Step], *, long: bool) -> list[tuple[Step, str]]:
    """The faults to try: all there are, or some of each kind."""
    moments = random.Random(SEED)
    failing = [step for step in steps if step.call in FAILING]
    sampled = set(spread(steps, 2, moments))
    # The renames are the publication itself: none of them is left out.
    kills = [step for step in steps if long or step in sampled or "rename" in step.call]
    plan = [(step, KILL) for step in kills]
    for error in ERRORS:
        chosen = failing if long else spread(failing, 1, moments)
        plan += [(step, error) for step in chosen]
    return plan


@pytest.mark.timeout(3600)  # the long form is long
@pytest.mark.parametrize("name", ["fs", "author"])
def test_a_fault_at_any_step_leaves_all_or_nothing(
    name: str, subjects: dict[str, Subject], tmp_path: Path, long: bool
) -> None:
    """After a kill or an error at each step, what is published verifies, and the job can rerun."""
    sweep = Sweep(subjects[name], tmp_path / name)
    steps = sweep.steps()
    rows = {call: Row() for call in dict.fromkeys(step.call for step in steps)}
    for step in steps:
        rows[step.call].points += 1
    plan = _plan(steps, long=long)

    with ThreadPoolExecutor(2) as pool:
        attempts = [
            pool.submit(sweep.fault, number, step, fault, again=long or number % 3 == 0)
            for number, (step, fault) in enumerate(plan)
        ]
        for (step, _), attempt in zip(plan, attempts, strict=True):
            _add(rows[step.call], attempt.result())

    print("\n" + table(f"agent-{name}", rows))
    assert [line for row in rows.values() for line in row.violations] == []
    _require_reach(rows, len(plan))


def _add(total: Row, one: Row) -> None:
    for figure in ("kills", "errors", "published", "reruns", "missed"):
        setattr(total, figure, getattr(total, figure) + getattr(one, figure))
    total.violations += one.violations


def _require_reach(rows: dict[str, Row], tried: int) -> None:
    """A sweep that met nothing, or only one side of the publication, has judged nothing."""
    figure: Callable[[str], int] = lambda name: sum(getattr(r, name) for r in rows.values())  # noqa: E731
    assert {"openat", "write", "fsync", "unlinkat"} <= set(rows)
    assert any(call.startswith("rename") for call in rows)
    assert figure("points") >= 20
    assert figure("missed") * 10 <= tried
    assert 0 < figure("published") < tried
    assert figure("reruns") > 3
