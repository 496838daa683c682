"""A server under load is backed up, and another one started on what was restored."""

from __future__ import annotations

import shutil

import pytest

from tests.agents.redis.conftest import AT_ONCE, Start, transferring, transfers
from tests.servers.process import Server
from tests.servers.versions import Version, newest


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_a_server_under_load_comes_back(
    start: Start, redis_versions: Version, diskless: str
) -> None:
    """Every kind of server, from its disk and from its fork: the copy is of one moment."""
    with (
        Server(redis_versions, *AT_ONCE, "--repl-diskless-sync", diskless) as server,
        transferring(server) as made,
    ):
        before = made()
        agent = start("snapshot", server)
        assert agent.wait() == 0, agent.stderr
        after = made() + 1
    assert agent.manifest is not None
    metadata = agent.manifest["source_metadata"]
    assert metadata["rdb_checksum"] is True
    assert metadata["server"]["role"] == "master"

    with Server(redis_versions, *AT_ONCE) as other:
        other.kill()
        restore = start("restore", source_path=agent.directory, target_path=other.directory)
        assert restore.wait() == 0, restore.stderr
        other.start()
        assert before <= transfers(other) <= after


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_the_program_does_as_well(start: Start, diskless: str) -> None:
    """By redis-cli the same RDB is stored, without the mark that it leaves behind it."""
    program = shutil.which("valkey-cli") or shutil.which("redis-cli")
    if program is None:
        pytest.skip("there is no redis-cli here, the second oracle")
    with Server(newest(), *AT_ONCE, "--repl-diskless-sync", diskless) as server:
        with server.admin() as client:
            client.mset({"a": 1, "b": 1})
            client.rpush("log", "x")
        agent = start("snapshot", server, source_method="cli", agent_redis_cli=program)
        assert agent.wait() == 0, agent.stderr
        server.kill()
        restore = start("restore", source_path=agent.directory, target_path=server.directory)
        assert restore.wait() == 0, restore.stderr
        server.start()
        assert transfers(server) == 1
