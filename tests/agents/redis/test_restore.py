"""The role restore: an RDB is laid down where nothing is in its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent_process import AgentProcess
from tests.agents.redis.conftest import Start, fill
from tests.agents.sqlite.conftest import mounted, names
from tests.servers.process import Server


@pytest.fixture
def backup(start: Start, server: Server) -> Path:
    """The backup of a server."""
    fill(server, 1)
    agent = start("snapshot", server)
    assert agent.wait() == 0, agent.stderr
    return agent.directory


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The data directory of a server that is not running."""
    path = tmp_path / "data"
    path.mkdir()
    return path


def code(agent: AgentProcess) -> str:
    """Return the code of what went wrong."""
    return str(agent.status["error"]["code"])


@pytest.mark.parametrize("name", ["dump.rdb", "appendonlydir", "appendonly.aof"])
def test_what_is_there_is_kept(start: Start, backup: Path, target: Path, name: str) -> None:
    """Neither an RDB nor a log that would be loaded instead is passed over: 73."""
    (target / name).write_bytes(b"mine")

    agent = start("restore", source_path=backup, target_path=target)

    assert agent.wait() == 73, agent.stderr
    assert code(agent) == "TARGET_EXISTS"
    assert agent.status["error"]["retriable"] is False
    assert names(target) == [name]


def test_a_damaged_backup_touches_nothing(start: Start, backup: Path, target: Path) -> None:
    """One flipped bit ends the restore with 65, and no file is left in the target."""
    artifact = backup / "dump.rdb.zst"
    raw = bytearray(artifact.read_bytes())
    raw[len(raw) // 2] ^= 1
    artifact.write_bytes(raw)

    agent = start("restore", source_path=backup, target_path=target)

    assert agent.wait() == 65, agent.stderr
    assert code(agent) == "VERIFICATION_FAILED"
    assert names(target) == []


def test_a_running_server_is_no_target(start: Start, backup: Path) -> None:
    """A server that runs cannot be restored to: 64, saying what can be."""
    agent = start("restore", source_path=backup, target_host="127.0.0.1")

    assert agent.wait() == 64, agent.stderr
    assert "BAQUP_TARGET_PATH" in agent.status["error"]["message"]


def test_a_full_target(start: Start, backup: Path, target: Path) -> None:
    """A target without room is an I/O error, 74, and nothing is left there."""
    with mounted(target, "-t", "tmpfs", "-o", "size=8k", "tmpfs"):
        agent = start("restore", source_path=backup, target_path=target)
        assert agent.wait() == 74, agent.stderr
        assert names(target) == []
