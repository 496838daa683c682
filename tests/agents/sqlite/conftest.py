from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent_process import AgentProcess
from tests.waiting import eventually

AGENT = [sys.executable, "-m", "baqup_agent.agents.sqlite"]

Start = Callable[..., AgentProcess]

#: What the accounts of a ledger come to, whatever is transferred.
TOTAL = 1000

#: Transfers between two accounts, each written down, until it is killed.
_WRITER = """
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
ledger.execute("pragma synchronous = off")
while True:
    ledger.execute("begin immediate")
    ledger.execute("update account set money = money - 1 where id = 1")
    ledger.execute("insert into transfer (note) values (?)", ("x" * 200,))
    ledger.execute("update account set money = money + 1 where id = 2")
    ledger.execute("update counter set transfers = transfers + 1")
    ledger.execute("commit")
"""


def make_ledger(path: Path, journal: str = "delete", rows: int = 100) -> Path:
    """Make a database whose tables must agree with each other."""
    with contextlib.closing(sqlite3.connect(path)) as ledger:
        ledger.execute(f"pragma journal_mode = {journal}")
        ledger.executescript(
            "create table account (id integer primary key, money int);"
            f"insert into account values (1, {TOTAL}), (2, 0);"
            "create table transfer (id integer primary key, note text);"
            "create table counter (transfers int); insert into counter values (0);"
            "create table filler (text); create index filled on filler (text);"
            "pragma user_version = 7;"
        )
        ledger.executemany(
            "insert into filler values (?)", ((f"{n:08}" * 60,) for n in range(rows))
        )
        ledger.commit()
    return path


def transfers(path: Path) -> int:
    """Make sure that a ledger agrees with itself; return how many transfers it tells of."""
    with contextlib.closing(sqlite3.connect(path)) as ledger:
        assert ledger.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert ledger.execute("select sum(money) from account").fetchone() == (TOTAL,)
        (counted,) = ledger.execute("select transfers from counter").fetchone()
        assert ledger.execute("select count(*) from transfer").fetchone() == (counted,)
        assert ledger.execute("select money from account where id = 2").fetchone() == (counted,)
    return int(counted)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Have another process write to a ledger during the block."""
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)]) as writer:
        try:
            eventually(lambda: transferred(path) > 0, within_s=60)
            yield
            assert writer.poll() is None, "the writer failed"
        finally:
            writer.kill()


def names(directory: Path) -> list[str]:
    """Return the names in a directory."""
    return sorted(path.name for path in directory.iterdir())


def transferred(path: Path) -> int:
    """Return how many transfers there are at this moment."""
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as ledger:
        return int(ledger.execute("select transfers from counter").fetchone()[0])


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else out of a database for the block."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as owner:
        owner.execute("begin exclusive")
        yield
        owner.execute("rollback")


@contextlib.contextmanager
def read_only(directory: Path, scene: Path) -> Iterator[Path]:
    """Give a view of a directory through which nobody may write."""
    if os.geteuid() != 0:
        modes = {path: path.stat().st_mode for path in (directory, *directory.iterdir())}
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        yield directory
        for path, mode in modes.items():
            path.chmod(mode)
        return
    view = scene / "view"
    view.mkdir()
    with mounted(view, "--bind", str(directory)):
        remount = ["mount", "-o", "remount,bind,ro", str(view)]
        if subprocess.run(remount, check=False).returncode:
            pytest.skip("this container may not mount")
        yield view


@contextlib.contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[None]:
    """Mount something for the block; skips where that is not allowed."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount")
    if subprocess.run(["mount", *arguments, str(place)], check=False).returncode:
        pytest.skip("this container may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A small database in a directory of its own."""
    directory = tmp_path / "source"
    directory.mkdir()
    return make_ledger(directory / "ledger.db")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts agents; they are ended with the test."""
    with contextlib.ExitStack() as stack:

        def start(role: str, *, job_id: str | None = None, **variables: object) -> AgentProcess:
            given = {"bus_grace_period": 20, **variables}
            named = {f"BAQUP_{name.upper()}": str(value) for name, value in given.items()}
            agent = AgentProcess(tmp_path, role, program=AGENT, environ=named, job_id=job_id)
            stack.callback(agent.end)
            return agent

        yield start


@pytest.fixture
def published(start: Start) -> Callable[..., Path]:
    """Takes a snapshot that must succeed, and gives its directory."""

    def published(source: Path, **variables: object) -> Path:
        agent = start("snapshot", source_path=source, **variables)
        assert agent.wait() == 0, agent.stderr
        return agent.directory

    return published
