"""A whole run as spans, seen by a real OTLP receiver (Contract §6)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.agent_process import AgentProcess
from tests.observability.tracing_scene import Receiver, receiver_of
from tests.waiting import eventually

__all__ = ["receiver_of"]

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FS = ["-m", "baqup_agent.agents.fs"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "source"
    made.mkdir()
    (made / "file").write_bytes(b"x" * 1_000_000)
    return made


def traced(tmp_path: Path, source: Path, endpoint: str, **environ: str) -> AgentProcess:
    import sys

    return AgentProcess(
        tmp_path,
        program=[sys.executable, *FS],
        environ={
            "BAQUP_SOURCE_PATH": str(source),
            "BAQUP_AGENT_TRACING_ENABLED": "true",
            "BAQUP_AGENT_TRACING_ENDPOINT": endpoint,
            "BAQUP_JOB_TRACE_PARENT": PARENT,
            **environ,
        },
    )


def parents(receiver: Receiver) -> dict[str, str | None]:
    """The name of each span's parent; None where that is not of this run."""
    names = {span["spanId"]: span["name"] for span in receiver.spans}
    return {span["name"]: names.get(span.get("parentSpanId", "")) for span in receiver.spans}


def test_a_backup_is_a_tree_of_spans(tmp_path: Path, source: Path, receiver_of) -> None:
    """Those of the contract, each below what it is part of, all below the controller's own."""
    receiver = receiver_of("200")
    run = traced(tmp_path, source, receiver.endpoint)

    assert run.wait() == 0
    eventually(lambda: any(span["name"] == "agent.run" for span in receiver.spans))
    assert parents(receiver) == {
        "agent.run": None,
        "agent.init": "agent.run",
        "agent.snapshot": "agent.run",
        "agent.connect_source": "agent.snapshot",
        "agent.write_artifact": "agent.snapshot",
        "agent.compress": "agent.write_artifact",
        "agent.report_status": "agent.run",
    }
    root = receiver.named("agent.run")
    assert [event["name"] for event in root["events"]] == ["transition"] * 5
    run.end()


def test_a_failure_is_told_by_its_spans(tmp_path: Path, receiver_of) -> None:
    """The run and the stage that failed say so."""
    receiver = receiver_of("200")
    run = traced(tmp_path, tmp_path / "nothing", receiver.endpoint)

    assert run.wait() == 69
    eventually(lambda: any(span["name"] == "agent.run" for span in receiver.spans))
    for name in ("agent.run", "agent.snapshot"):
        assert receiver.named(name)["status"]["code"] == "STATUS_CODE_ERROR"
    run.end()


def test_an_endpoint_that_says_nothing_changes_no_outcome(tmp_path: Path, source: Path) -> None:
    """The backup is there, the status delivered, and the code is 0."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as hole:
        run = traced(tmp_path, source, f"http://127.0.0.1:{hole.getsockname()[1]}")

        assert run.wait() == 0
    assert run.manifest is not None
    assert run.status["status"] == "success"
    assert "spans" in run.stderr
    run.end()
