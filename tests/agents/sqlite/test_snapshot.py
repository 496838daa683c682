"""The role snapshot: databases that are written to, broken, locked, or out of reach."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.agent_process import AgentProcess
from tests.agents.sqlite.conftest import (
    TOTAL,
    Start,
    locked,
    make_ledger,
    mounted,
    names,
    read_only,
    transferred,
    transfers,
    writing,
)


def told(agent: AgentProcess) -> dict[str, Any]:
    """Return what the manifest tells of the only database."""
    assert agent.manifest is not None
    (database,) = agent.manifest["source_metadata"]["databases"]
    return dict(database)


def error(agent: AgentProcess) -> tuple[int, str]:
    """Return the exit code and the code of what went wrong."""
    return agent.status["exit_code"], agent.status["error"]["code"]


def damage(path: Path) -> None:
    """Overwrite pages in the middle of a database."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xa5" * 8192)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_database_under_load_comes_back(start: Start, tmp_path: Path, journal: str) -> None:
    """A copy taken while another process writes is of one moment, and the writer goes on."""
    path = make_ledger(tmp_path / "ledger.db", journal, rows=20_000)
    with writing(path):
        began = transferred(path)
        agent = start("snapshot", source_path=path, source_restarts=1)
        assert agent.wait() == 0, agent.stderr
        ended = transferred(path)

    target = tmp_path / "restored.db"
    restore = start("restore", source_path=agent.directory, target_path=target)

    assert restore.wait() == 0, restore.stderr
    assert began <= transfers(target) <= ended
    assert began < ended
    assert told(agent)["journal"] == journal
    assert told(agent)["writers_blocked"] is ("WRITERS_BLOCKED" in codes(agent))


def codes(agent: AgentProcess) -> list[str]:
    """Return the codes of the events."""
    return [event["code"] for event in agent.of("event")]


def test_the_manifest_and_the_heartbeats_tell(start: Start, ledger: Path) -> None:
    """What is in a database stands in the manifest, and each leaf in a heartbeat."""
    agent = start("snapshot", source_path=ledger)

    assert agent.wait() == 0, agent.stderr
    database = told(agent)
    assert database["name"] == "ledger.db"
    assert database["user_version"] == 7
    assert database["page_size"] * database["page_count"] == ledger.stat().st_size
    assert database["schema_objects"] == {"table": 4, "index": 1, "view": 0, "trigger": 0}
    beats = agent.of("heartbeat")
    leaves = dict.fromkeys(beat.get("substate") for beat in beats if beat["state"] == "running")
    assert list(leaves) == ["inspecting", "copying", "checking", "sealing"]
    assert agent.of("progress")[-1]["percent_complete"] == 100
    assert names(ledger.parent) == ["ledger.db"]


def test_a_directory_fails_in_parts(start: Start, ledger: Path) -> None:
    """Of a directory each database is a component: the sound ones are published, 76."""
    root = ledger.parent
    (root / "deep" / "down").mkdir(parents=True)
    make_ledger(root / "deep" / "down" / "unnamed", "wal")
    damage(make_ledger(root / "broken.db", rows=2000))
    (root / "page.db").write_text("<html>")
    (root / "notes.txt").write_text("no database, and does not say so")
    (root / "loop").symlink_to("ledger.db")
    (root / "out").symlink_to(__file__)
    make_ledger(root / "left-out.db")

    agent = start("snapshot", source_path=root, source_exclude="left-*")

    assert agent.wait() == 76, agent.stderr
    ended = {c["name"]: c.get("error", {}).get("code") for c in agent.status["components"]}
    assert ended == {
        "ledger.db": None,
        "deep/down/unnamed": None,
        "broken.db": "SOURCE_CORRUPT",
        "page.db": "NOT_A_DATABASE",
    }
    assert agent.manifest is not None
    assert [artifact["filename"] for artifact in agent.manifest["artifacts"]] == [
        "deep%2Fdown%2Funnamed.sqlite.zst",
        "ledger.db.sqlite.zst",
    ]
    assert {"SYMLINK_SKIPPED", "SYMLINK_EXTERNAL"} <= set(codes(agent))


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, (69, "SOURCE_UNAVAILABLE")), (b"\x17" * 8192, (65, "NOT_A_DATABASE"))],
    ids=["missing", "encrypted"],
)
def test_what_is_no_database(
    start: Start, tmp_path: Path, content: bytes | None, expected: tuple[int, str]
) -> None:
    """A source that is missing may come, 69; one that is no database never will be one, 65."""
    path = tmp_path / "app.db"
    if content is not None:
        path.write_bytes(content)

    agent = start("snapshot", source_path=path)

    assert agent.wait() == expected[0], agent.stderr
    assert error(agent) == expected
    assert agent.manifest is None


def test_a_damaged_database_is_not_published(start: Start, tmp_path: Path) -> None:
    """A copy that fails its integrity check ends the job with 65, and no copy is left."""
    path = make_ledger(tmp_path / "app.db", rows=2000)
    damage(path)

    agent = start("snapshot", source_path=path)

    assert agent.wait() == 65
    assert error(agent) == (65, "SOURCE_CORRUPT")
    assert agent.manifest is None
    assert list((agent.directory / ".staging").iterdir()) == []


def test_an_empty_directory_is_a_mistake(start: Start, tmp_path: Path) -> None:
    """A directory without a database is the wrong one: 64."""
    (tmp_path / "source").mkdir()

    assert start("snapshot", source_path=tmp_path / "source").wait() == 64


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_DEPTH"])
def test_a_limit_is_kept(start: Start, ledger: Path, limit: str) -> None:
    """More databases, or deeper ones, than configured end the job with 65 and the variable."""
    (ledger.parent / "deep" / "down").mkdir(parents=True)
    make_ledger(ledger.parent / "deep" / "down" / "other.db")

    agent = start("snapshot", source_path=ledger.parent, **{f"source_{limit.lower()}": 1})

    assert agent.wait() == 65
    assert error(agent) == (65, "RESOURCE_LIMIT_EXCEEDED")
    assert f"BAQUP_SOURCE_{limit}" in agent.status["error"]["message"]


def test_a_lock_that_stays_is_told(start: Start, ledger: Path) -> None:
    """A database that somebody keeps locked is given up in time: 69, to be tried again."""
    with locked(ledger):
        agent = start("snapshot", source_path=ledger, source_lock_timeout="1s")
        assert agent.wait() == 69, agent.stderr

    assert error(agent) == (69, "LOCK_TIMEOUT")
    assert agent.status["error"]["retriable"] is True


def test_an_abort_does_not_wait_for_a_lock(start: Start, ledger: Path) -> None:
    """SIGTERM ends an agent that waits for a lock at once: 1, and nothing is published."""
    with locked(ledger):
        agent = start("snapshot", source_path=ledger)
        agent.wait_for_log("running.inspecting -> running.copying")
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 1

    assert error(agent) == (1, "ABORTED")
    assert agent.manifest is None


def test_a_killed_snapshot_can_be_repeated(start: Start, ledger: Path) -> None:
    """What a killed agent left of its copy is gone after the next attempt at the job."""
    with locked(ledger):
        agent = start("snapshot", source_path=ledger)
        agent.wait_for_log("running.inspecting -> running.copying")
        agent.wait_until(lambda: list((agent.directory / ".staging").glob("scratch-*")))
        agent.signal(signal.SIGKILL)
        assert agent.wait() == -signal.SIGKILL
    assert agent.manifest is None

    again = start("snapshot", source_path=ledger, job_id=agent.job_id)

    assert again.wait() == 0, again.stderr
    assert names(again.directory) == ["ledger.db.sqlite.zst", "manifest.json"]


def test_a_full_disk(start: Start, tmp_path: Path) -> None:
    """A staging area without room for the copy is an I/O error, 74, and nothing is published."""
    path = make_ledger(tmp_path / "large.db", rows=5000)
    (tmp_path / "staging").mkdir()
    with mounted(tmp_path / "staging", "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        agent = start("snapshot", source_path=path)
        assert agent.wait() == 74, agent.stderr
        assert error(agent) == (74, "DISK_FULL")
        assert agent.manifest is None


def test_broken_references_are_a_warning(start: Start, ledger: Path) -> None:
    """Rows that refer to none are the application's affair: told, and backed up."""
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        database.execute("create table child (parent int references account (id))")
        database.execute("insert into child values (99), (98)")
        database.commit()

    agent = start("snapshot", source_path=ledger)

    assert agent.wait() == 0, agent.stderr
    (event,) = [event for event in agent.of("event") if event["code"] == "FOREIGN_KEY_VIOLATED"]
    assert event["severity"] == "warn"
    assert event["message"].startswith("2 rows refer to rows that are not there, in 'child'")


def test_an_index_that_only_the_application_can_read(start: Start, ledger: Path) -> None:
    """A table with a collation of the application's is left unchecked, alone, and that is told."""
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        database.create_collation("own", lambda a, b: (a > b) - (a < b))
        database.executescript(
            "create table word (text collate own); create index words on word (text);"
            "insert into word values ('a'), ('b');"
        )

    agent = start("snapshot", source_path=ledger)

    assert agent.wait() == 0, agent.stderr
    (event,) = [event for event in agent.of("event") if event["code"] == "CHECK_REDUCED"]
    assert event["message"] == "unchecked is 'word': no such collation sequence: own"


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_source_that_must_not_be_written(start: Start, tmp_path: Path, journal: str) -> None:
    """A read-only source that nobody has open is copied, and no file appears beside it."""
    directory = tmp_path / "source"
    directory.mkdir()
    path = make_ledger(directory / "ledger.db", journal)
    with read_only(directory, tmp_path) as view:
        agent = start("snapshot", source_path=view / "ledger.db")
        assert agent.wait() == 0, agent.stderr

    assert names(directory) == ["ledger.db"]
    assert told(agent)["journal"] == journal
    assert transfers(path) == 0


def test_the_log_of_a_live_database_is_read_through_a_read_only_mount(
    start: Start, tmp_path: Path
) -> None:
    """What stands only in the write-ahead log is in the copy, although we may not write."""
    directory = tmp_path / "source"
    directory.mkdir()
    path = make_ledger(directory / "ledger.db", "wal")
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("pragma wal_autocheckpoint = 0")
        writer.execute(f"update account set money = {TOTAL + 5} where id = 1")
        writer.commit()
        with read_only(directory, tmp_path) as view:
            agent = start("snapshot", source_path=view / "ledger.db")
            assert agent.wait() == 0, agent.stderr
    target = tmp_path / "restored.db"
    restore = start("restore", source_path=agent.directory, target_path=target)
    assert restore.wait() == 0, restore.stderr

    with contextlib.closing(sqlite3.connect(target)) as restored:
        rows = restored.execute("select money from account where id = 1").fetchall()
    assert rows == [(TOTAL + 5,)]


def test_a_journal_that_we_may_not_roll_back(start: Start, tmp_path: Path) -> None:
    """A transaction that a crash left half done cannot be read over: 69, with the remedy."""
    directory, scene = tmp_path / "source", tmp_path / "live"
    for made in (directory, scene):
        made.mkdir()
    path = make_ledger(scene / "ledger.db", rows=2000)
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("pragma cache_size = 1")  # so that the transaction reaches the disk
        writer.execute("update filler set text = 'other'")
        for name in names(scene):
            (directory / name).write_bytes((scene / name).read_bytes())
        writer.rollback()
    assert names(directory) == ["ledger.db", "ledger.db-journal"]

    with read_only(directory, tmp_path) as view:
        agent = start("snapshot", source_path=view / "ledger.db")
        assert agent.wait() == 69, agent.stderr
    assert agent.manifest is None
