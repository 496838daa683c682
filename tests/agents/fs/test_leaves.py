"""The leaves of agent-fs: declared, proven, passed through, and told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from baqup_agent import Agent
from baqup_agent.agents.fs import LEAVES, FsAgent, archiving
from baqup_agent.agents.fs.leaves import LIFECYCLE, Leaves
from baqup_agent.contract import AgentState
from baqup_agent.job.triggers import declared_triggers
from baqup_agent.lifecycle.proof import prove
from tests.agent_process import AgentProcess
from tests.agents.fs.jobs import Jobs

AGENT = [sys.executable, "-m", "baqup_agent.agents.fs"]


def test_the_lifecycle_refines_the_contract() -> None:
    """The proof that other agents get on import holds for this one, whose import is spared it."""
    assert prove(LIFECYCLE).findings == ()
    assert declared_triggers(Leaves) == set(LIFECYCLE.custom_triggers)
    assert FsAgent.declared_lifecycle() is LIFECYCLE


def test_the_agent_says_its_leaves() -> None:
    """What --info says without importing the lifecycle is what the lifecycle says."""

    class Said(Agent):
        name = "agent-said"
        version = "1"
        lifecycle = LIFECYCLE

        def snapshot(self, job: object) -> None:
            """Nothing is run here."""

    assert FsAgent.info()["lifecycle"] == Said.info()["lifecycle"]
    assert FsAgent.info()["lifecycle"]["running"] == list(LEAVES)


def test_no_role_completes_before_its_last_leaf() -> None:
    """Only sealing and restoring lead to the end."""
    last = {
        leaf.leaf
        for leaf in LIFECYCLE.leaves(AgentState.RUNNING)
        if "complete" in LIFECYCLE.legal(leaf.name)
    }

    assert last == {"sealing", "restoring"}


def test_a_snapshot_scans_archives_and_seals(jobs: Jobs, source: Path) -> None:
    """The leaves are entered in order, and sealing is announced as long work."""
    (source / "file").write_bytes(b"x")

    jobs.snapshot(source)

    assert jobs.last.leaves() == [
        "running.scanning", "running.archiving", "running.sealing", "completing",
    ]  # fmt: skip
    (intent,) = jobs.last.intents
    assert intent.operation == "seal_artifact"
    assert jobs.last.vitals.intent is None


def test_a_huge_file_is_announced(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a file beyond a size is an intent with its name and an expected time."""
    monkeypatch.setattr(archiving, "LARGE_BYTES", 1 << 20)
    (source / "huge").write_bytes(bytes(1 << 20))
    (source / "small").write_bytes(bytes((1 << 20) - 1))

    jobs.snapshot(source)

    assert [(each.operation, each.detail) for each in jobs.last.intents] == [
        ("archive_large_file", "huge"), ("seal_artifact", "data.tar"),
    ]  # fmt: skip
    assert jobs.last.intents[0].expected_duration_seconds >= 10


def test_heartbeats_tell_the_leaves(tmp_path: Path, source: Path, target: Path) -> None:
    """A controller sees where both roles are."""
    (source / "file").write_bytes(b"x")
    snapshot = leaves(tmp_path, "snapshot", BAQUP_SOURCE_PATH=source)
    (published,) = (path.parent for path in tmp_path.rglob("manifest.json"))
    restore = leaves(tmp_path, "restore", BAQUP_SOURCE_PATH=published, BAQUP_TARGET_PATH=target)

    assert snapshot == ["scanning", "archiving", "sealing"]
    assert restore == ["scanning", "restoring"]


def leaves(base: Path, role: str, **environ: Path) -> list[str]:
    """Run a role; return the leaves that its heartbeats told, in order."""
    words = {name: str(value) for name, value in environ.items()}
    agent = AgentProcess(base, role, program=AGENT, environ=words)
    try:
        assert agent.wait() == 0, agent.stderr
        beats = [beat.get("substate") for beat in agent.of("heartbeat")]
    finally:
        agent.end()
    return list(dict.fromkeys(leaf for leaf in beats if leaf))
