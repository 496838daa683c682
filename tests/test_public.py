"""The public surface: pinned, lazy, and the published preview API to the letter."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path

import pytest

import baqup_agent
from tests.waiting import eventually

SURFACE = [
    "CONTRACT", "Agent", "AgentState", "Artifact", "BaqupError", "BusClient", "ExitCode",
    "HeartbeatThread", "IllegalTransition", "Job", "JobCancelled", "Lifecycle",
    "LifecycleDeclarationError", "LogLevel", "Logger", "Manifest", "RefusedTransition", "Role",
    "Secret", "SignalPolicy", "State", "Transition", "Trigger", "Triggers", "Variable",
    "__version__", "atomic_write", "compute_checksum", "refine", "validate_path",
]  # fmt: skip


def test_the_surface_is_pinned() -> None:
    """What is public is listed here; a change is a decision."""
    assert baqup_agent.__all__ == SURFACE


@pytest.mark.parametrize("name", SURFACE)
def test_every_public_name_can_be_had(name: str) -> None:
    """Each name loads, and `dir` shows it."""
    assert getattr(baqup_agent, name) is not None
    assert name in dir(baqup_agent)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="no attribute 'Agnet'"):
        baqup_agent.Agnet  # noqa: B018


def test_the_version_is_the_projects() -> None:
    """The package and its metadata agree."""
    from importlib.metadata import version

    assert baqup_agent.__version__ == version("baqup-agent")


def test_preview_enums() -> None:
    """Printing gives the exit code's number, the state's lower-case value; levels ascend."""
    from baqup_agent import AgentState, ExitCode, LogLevel

    assert {code.name: int(code) for code in ExitCode} == {
        "SUCCESS": 0, "GENERAL_FAILURE": 1, "USAGE_CONFIG_ERROR": 64, "DATA_ERROR": 65,
        "RESOURCE_UNAVAILABLE": 69, "INTERNAL_ERROR": 70, "CANT_CREATE_OUTPUT": 73,
        "IO_ERROR": 74, "COMPLETED_UNREPORTED": 75, "PARTIAL_FAILURE": 76,
    }  # fmt: skip
    assert str(ExitCode.COMPLETED_UNREPORTED) == "75"
    assert [str(state) for state in AgentState] == [
        "initializing", "running", "completing", "terminated", "failed",
    ]  # fmt: skip
    assert [(level.name, int(level)) for level in LogLevel] == [
        ("TRACE", 0), ("DEBUG", 1), ("INFO", 2), ("WARN", 3), ("ERROR", 4), ("FATAL", 5),
    ]  # fmt: skip


def test_preview_secret() -> None:
    """Printing gives the redaction, `reveal` the value."""
    from baqup_agent import Secret

    assert str(Secret("s3cret")) == "[REDACTED]"
    assert Secret("s3cret").reveal() == "s3cret"


def test_preview_bus_and_heartbeat(tmp_path: Path) -> None:
    """A logger, a bus made of the loaded configuration, and a thread that beats on it."""
    from baqup_agent import BusClient, HeartbeatThread, Logger

    job_id = str(uuid.uuid4())
    logger = Logger(job_id=job_id, agent_id="agent-fs-1", level="info", format="json")
    config = {"BAQUP_BUS_URL": f"file://{tmp_path}/bus", "BAQUP_JOB_ID": job_id}
    bus = BusClient(config, logger)
    heartbeat = HeartbeatThread(bus, "agent-fs-1", 10, logger)
    heartbeat.start()
    path = tmp_path / "bus" / f"{job_id}.jsonl"
    eventually(lambda: path.exists() and path.read_text().endswith("\n"))
    heartbeat.stop()
    bus.close()

    beat = json.loads(path.read_text().splitlines()[0])
    assert (beat["type"], beat["agent_id"]) == ("heartbeat", "agent-fs-1")


def test_preview_checksum(tmp_path: Path) -> None:
    """sha256 by default, others by name."""
    from baqup_agent import compute_checksum

    path = tmp_path / "x"
    path.write_bytes(b"content")

    assert compute_checksum(path) == hashlib.sha256(b"content").hexdigest()
    assert compute_checksum(str(path), algorithm="sha512") == hashlib.sha512(b"content").hexdigest()


def test_preview_validate_path(tmp_path: Path) -> None:
    """Whether a path lies within a boundary once both are resolved."""
    from baqup_agent import validate_path

    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("/etc")

    assert validate_path(tmp_path / "in", tmp_path) is True
    assert validate_path(str(tmp_path / "in" / ".." / ".." / "x"), str(tmp_path)) is False
    assert validate_path(tmp_path / "link" / "passwd", tmp_path) is False


def test_preview_artifact_manifest_and_atomic_write(tmp_path: Path) -> None:
    """Work in `.staging` becomes visible in one move, the manifest last."""
    from baqup_agent import Artifact, Logger, Manifest, atomic_write, compute_checksum

    job_id = str(uuid.uuid4())
    work = tmp_path / job_id / ".staging"
    work.mkdir(parents=True)
    (work / "data.tar").write_bytes(b"content")
    artifact = Artifact(
        filename="data.tar",
        size_bytes=7,
        checksum_algorithm="sha256",
        checksum_value=compute_checksum(work / "data.tar"),
        compression="none",
        encrypted=False,
    )
    manifest = Manifest(
        job_id=job_id, agent="agent-fs", role="snapshot",
        created_at="2026-01-15T03:00:30Z", artifacts=[artifact],
    )  # fmt: skip
    (work / "manifest.json").write_bytes(manifest.to_bytes())

    final = atomic_write(str(tmp_path), job_id, Logger(job_id, "agent-fs-1"))

    assert final == str(tmp_path / job_id)
    assert sorted(path.name for path in Path(final).iterdir()) == ["data.tar", "manifest.json"]
    assert Manifest.read(final).artifacts == (artifact,)


def test_preview_load_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`baqup_agent.config.load_config` takes the path of a schema and returns a dict."""
    from baqup_agent.config import load_config

    path = tmp_path / "agent-schema.json"
    path.write_text('{"properties": {"BAQUP_SOURCE_PORT": {"type": "integer"}}}')
    monkeypatch.setenv("BAQUP_SOURCE_PORT", "5432")

    assert load_config(str(path))["BAQUP_SOURCE_PORT"] == 5432
