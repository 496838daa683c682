"""The role restore: databases come back in one step, and what is in the way is respected."""

from __future__ import annotations

import base64
import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent_process import AgentProcess
from tests.agents.sqlite.conftest import (
    Start,
    make_ledger,
    mounted,
    names,
    transfers,
)

Published = Callable[..., Path]


def code(agent: AgentProcess) -> str:
    """Return the code of what went wrong."""
    return str(agent.status["error"]["code"])


@pytest.fixture
def backup(published: Published, ledger: Path) -> Path:
    """The backup of a ledger."""
    return published(ledger)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A place for a database in a directory of its own."""
    (tmp_path / "target").mkdir()
    return tmp_path / "target" / "ledger.db"


def test_what_exists_is_kept(start: Start, backup: Path, target: Path) -> None:
    """A database that is there is refused, 73, not to be tried again, with the remedy."""
    target.write_bytes(b"mine")

    agent = start("restore", source_path=backup, target_path=target)

    assert agent.wait() == 73
    assert code(agent) == "TARGET_EXISTS"
    assert agent.status["error"]["retriable"] is False
    assert "BAQUP_TARGET_REPLACE" in agent.status["error"]["message"]
    assert target.read_bytes() == b"mine"


def test_a_log_without_its_database_is_in_the_way(start: Start, backup: Path, target: Path) -> None:
    """A write-ahead log of a database that is gone would be played into the restored one."""
    log = target.with_name("ledger.db-wal")
    log.write_bytes(b"frames of another life")

    assert start("restore", source_path=backup, target_path=target).wait() == 73
    assert log.exists()

    agent = start("restore", source_path=backup, target_path=target, target_replace="true")

    assert agent.wait() == 0, agent.stderr
    assert names(target.parent) == ["ledger.db"]
    assert transfers(target) == 0


def test_a_database_is_replaced_with_all_that_belongs_to_it(
    start: Start, backup: Path, target: Path
) -> None:
    """With BAQUP_TARGET_REPLACE the old database goes, its log with it; mode and owner stay."""
    crashed = target.parent.parent / "crashed.db"
    make_ledger(crashed, "wal")
    with contextlib.closing(sqlite3.connect(crashed)) as writer:
        writer.execute("update counter set transfers = 99")
        writer.commit()
        for suffix in ("", "-wal", "-shm"):
            shutil.copyfile(f"{crashed}{suffix}", f"{target}{suffix}")
    target.chmod(0o604)

    agent = start("restore", source_path=backup, target_path=target, target_replace="true")

    assert agent.wait() == 0, agent.stderr
    assert names(target.parent) == ["ledger.db"]
    assert transfers(target) == 0
    assert target.stat().st_mode & 0o777 == 0o604
    assert "DATABASE_REPLACED" in [event["code"] for event in agent.of("event")]


def test_a_database_in_use_is_not_replaced(start: Start, backup: Path, target: Path) -> None:
    """A database that somebody has open keeps its place: 73, and it is what it was."""
    make_ledger(target, "wal")
    with contextlib.closing(sqlite3.connect(target)) as user:
        user.execute("update counter set transfers = 99")
        user.commit()
        agent = start("restore", source_path=backup, target_path=target, target_replace="true")
        assert agent.wait() == 73, agent.stderr
        assert code(agent) == "DATABASE_IN_USE"
        assert user.execute("select transfers from counter").fetchone() == (99,)

    assert names(target.parent) == ["ledger.db"]


def test_rubbish_is_replaced_too(start: Start, backup: Path, target: Path) -> None:
    """What stands in the place need not be a database to be replaced on demand."""
    target.write_bytes(b"rubbish" * 1000)

    agent = start("restore", source_path=backup, target_path=target, target_replace="true")

    assert agent.wait() == 0, agent.stderr
    assert transfers(target) == 0


def test_a_damaged_backup_touches_nothing(start: Start, backup: Path, target: Path) -> None:
    """One flipped bit ends the restore with 65, and no file is left in the target."""
    artifact = backup / "ledger.db.sqlite.zst"
    raw = bytearray(artifact.read_bytes())
    raw[len(raw) // 2] ^= 1
    artifact.write_bytes(raw)

    agent = start("restore", source_path=backup, target_path=target)

    assert agent.wait() == 65, agent.stderr
    assert code(agent) == "VERIFICATION_FAILED", agent.stderr
    assert names(target.parent) == []


def test_a_full_target(start: Start, published: Published, tmp_path: Path) -> None:
    """A target without room is an I/O error, 74, and what was there is as it was."""
    large = published(make_ledger(tmp_path / "large.db", rows=5000))
    place = tmp_path / "target"
    place.mkdir()
    with mounted(place, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        target = make_ledger(place / "large.db")
        agent = start("restore", source_path=large, target_path=target, target_replace="true")
        assert agent.wait() == 74, agent.stderr
        assert names(place) == ["large.db"]
        assert transfers(target) == 0


def test_a_directory_comes_back(start: Start, published: Published, ledger: Path) -> None:
    """Databases of a directory return to their paths; patterns choose among them."""
    paths = ["ledger.db", "deep/down/.hidden", "n%20 \N{SNOWMAN}\udcff.db"]
    for name in paths[1:]:
        place = ledger.parent / name
        place.parent.mkdir(parents=True, exist_ok=True)
        make_ledger(place)
    backup = published(ledger.parent)
    whole, part = ledger.parent.parent / "whole", ledger.parent.parent / "part"

    agent = start("restore", source_path=backup, target_path=whole)
    assert agent.wait() == 0, agent.stderr
    some = start("restore", source_path=backup, target_path=part, source_databases="deep/*")
    assert some.wait() == 0, some.stderr

    assert [transfers(whole / name) for name in paths] == [0, 0, 0]
    assert [path.name for path in part.rglob("*")] == ["deep", "down", ".hidden"]
    none = start("restore", source_path=backup, target_path=part, source_databases="other")
    assert none.wait() == 64


def test_a_link_does_not_lead_out_of_the_target(
    start: Start, published: Published, ledger: Path
) -> None:
    """A link in the target that leads elsewhere is a path that escapes: 65."""
    (ledger.parent / "deep").mkdir()
    make_ledger(ledger.parent / "deep" / "other.db")
    backup = published(ledger.parent, source_databases="deep/*")
    target, outside = ledger.parent.parent / "target", ledger.parent.parent / "outside"
    target.mkdir()
    outside.mkdir()
    (target / "deep").symlink_to(outside)

    agent = start("restore", source_path=backup, target_path=target)

    assert agent.wait() == 65
    assert code(agent) == "PATH_ESCAPE"
    assert names(outside) == []


def test_a_split_and_encrypted_backup_comes_back(
    start: Start, published: Published, ledger: Path, target: Path
) -> None:
    """Parts of an encrypted database are one database again for who has the key."""
    key = base64.b64encode(bytes(range(32))).decode()
    made = {
        "artifact_split_size": "1K",
        "artifact_encrypt": "true",
        "secret_artifact_key": key,
    }
    backup = published(ledger, **made)
    assert len(list(backup.iterdir())) > 2

    agent = start("restore", source_path=backup, target_path=target, secret_artifact_key=key)

    assert agent.wait() == 0, agent.stderr
    assert transfers(target) == 0
