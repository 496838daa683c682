"""The disk below staging fills up, runs out of names, or turns read-only under a whole agent.

Each time: the exit code and the error's code say so, there is no manifest, and staged work is kept
or removed as `BAQUP_ARTIFACT_RETAIN_ON_FAILURE` says.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent_process import AgentProcess
from tests.faults.sweep_author import noise
from tests.faults.sweep_mounts import make_read_only, memory
from tests.faults.sweep_outcome import AUTHOR, Outcome, outcome, ran, started

__all__ = ["ran"]

PAGE_BYTES = 4096
WORK_BYTES = 2_000_000

RETAIN = pytest.mark.parametrize("retain", [True, False], ids=["retain", "remove"])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Files that do not compress."""
    source = tmp_path / "source"
    source.mkdir()
    for name in "abcd":
        (source / name).write_bytes(noise(WORK_BYTES // 4))
    return source


def pages(path: Path) -> int:
    """The pages that a file takes."""
    return -(-path.stat().st_size // PAGE_BYTES)


@pytest.mark.parametrize("place", ["a tenth", "half", "the last KiB", "the manifest", "nowhere"])
def test_a_disk_that_fills_up_is_told(
    place: str, source: Path, tmp_path: Path, ran: Callable[..., Outcome]
) -> None:
    """Wherever in the work the last page is taken; with all the pages it needs, it succeeds."""
    whole = ran(source_path=source)
    artifact = pages(whole.directory / "data.tar.zst")
    manifest = pages(whole.directory / "manifest.json")
    shutil.rmtree(tmp_path / "staging")
    room = {
        "a tenth": artifact // 10,
        "half": artifact // 2,
        "the last KiB": artifact - 1,
        "the manifest": artifact,
        "nowhere": artifact + manifest,
    }[place]

    with memory(tmp_path / "staging", f"size={room * PAGE_BYTES}"):
        found = ran(source_path=source)

        if place == "nowhere":
            found.require_success()
        else:
            found.require_failure(74, "IO_ERROR", "No space left", "free space", ".staging/")
            assert found.staged is not None


@RETAIN
def test_a_sealed_artifact_is_kept_or_removed_when_the_disk_fills_up(
    retain: bool, tmp_path: Path, ran: Callable[..., Outcome]
) -> None:
    """What the second one's failure leaves of the first is what was configured."""
    with memory(tmp_path / "staging", "size=1m"):
        found = ran(program=AUTHOR, source_bytes=4_000_000, artifact_retain_on_failure=retain)

        found.require_failure(74, "IO_ERROR", "second.bin", "free space")
        assert found.staged == (["first.bin.zst"] if retain else None)


@RETAIN
def test_a_disk_without_another_name_is_told(
    retain: bool, tmp_path: Path, ran: Callable[..., Outcome]
) -> None:
    """The root, the job's directory, its .staging and one artifact take all there are."""
    with memory(tmp_path / "staging", "size=8m,nr_inodes=4"):
        found = ran(program=AUTHOR, artifact_retain_on_failure=retain)

        found.require_failure(73, "CANT_CREATE_OUTPUT", "second.bin", "free space")
        assert found.staged == (["first.bin.zst"] if retain else None)


@pytest.mark.parametrize(("inodes", "parts"), [(6, 3), (8, 5)])
def test_a_disk_without_a_name_for_the_next_part_is_told(
    inodes: int, parts: int, tmp_path: Path, ran: Callable[..., Outcome]
) -> None:
    """Also while the artifact grows; what there is of it is given up, what was sealed stays."""
    with memory(tmp_path / "staging", f"size=8m,nr_inodes={inodes}"):
        found = ran(program=AUTHOR, artifact_split_size="64K")

        found.require_failure(73, "CANT_CREATE_OUTPUT", ".part0000", "free space")
        sealed = [f"first.bin.zst.part0000{number}" for number in range(1, 5)]
        assert found.staged == (sealed if parts > 4 else [])


@RETAIN
@pytest.mark.parametrize(("gate", "next_file"), [("first", "second"), ("second", "manifest")])
def test_a_disk_that_turns_read_only_is_told(
    gate: str, next_file: str, retain: bool, tmp_path: Path
) -> None:
    """Between two artifacts, or before the manifest; nothing can be removed then."""
    with memory(tmp_path / "staging", "size=8m"), gated(tmp_path, retain) as run:
        pass_gates(run, tmp_path, gate, lambda: make_read_only(tmp_path / "staging"))
        found = outcome(run)

        found.require_failure(73, "CANT_CREATE_OUTPUT", next_file, "Read-only", "writable")
        kept = ["first.bin.zst", "second.bin.zst"]
        assert found.staged == kept[: 1 if gate == "first" else 2]
        assert ("staged work could not be removed" in found.log) is not retain


def test_a_disk_that_is_read_only_from_the_start_is_told(
    source: Path, tmp_path: Path, ran: Callable[..., Outcome]
) -> None:
    """Before any work."""
    with memory(tmp_path / "staging", "size=1m,ro"):
        ran(source_path=source).require_failure(73, "CANT_CREATE_OUTPUT", "Read-only")


@pytest.mark.parametrize(
    ("gate", "gone", "code", "error"),
    [
        ("first", ".staging", 73, "CANT_CREATE_OUTPUT"),
        ("second", ".staging", 73, "CANT_CREATE_OUTPUT"),
        ("second", ".staging/first.bin.zst", 74, "IO_ERROR"),
        ("second", ".", 73, "CANT_CREATE_OUTPUT"),
    ],
)
def test_staged_work_that_vanishes_is_told(
    gate: str, gone: str, code: int, error: str, tmp_path: Path
) -> None:
    """Somebody else's cleaning never leads to a manifest that lists what is not there."""
    with gated(tmp_path, retain=True) as run:

        def clean() -> None:
            path = run.directory / gone
            shutil.rmtree(path) if path.is_dir() else path.unlink()

        pass_gates(run, tmp_path, gate, clean)
        outcome(run).require_failure(code, error, "keep other processes away")


def gated(scene: Path, retain: bool):
    """Start the author's agent behind its gates."""
    gates = scene / "gates"
    gates.mkdir()
    return started(scene, program=AUTHOR, source_gates=gates, artifact_retain_on_failure=retain)


def pass_gates(run: AgentProcess, scene: Path, last: str, action: Callable[[], object]) -> None:
    """Let the agent through its gates; at ``last`` something happens while it waits."""
    for gate in ("first", "second"):
        if gate == last:
            run.wait_for_log(f"{gate} sealed")
            action()
        (scene / "gates" / gate).touch()
