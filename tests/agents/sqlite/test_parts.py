"""What agent-sqlite is made of, without a process around it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.agents.sqlite import SqliteAgent
from baqup_agent.agents.sqlite.access import Database
from baqup_agent.agents.sqlite.copying import STEP_BYTES, Copying
from baqup_agent.agents.sqlite.names import artifact_name, database_of
from baqup_agent.agents.sqlite.refusals import RULES, refusal
from baqup_agent.errors import DataError, InternalError, SourceUnavailable
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.staging.artifact import broken_rule
from baqup_agent.testing import lifecycle_tests
from tests.agents.sqlite.conftest import make_ledger, transfers

TestSqliteAgent = lifecycle_tests(SqliteAgent)


class _Job:
    """As much of a job as copying needs."""

    def __init__(self) -> None:
        self.cancellation = CancellationToken()
        self.codes: list[str] = []

    def intent(self, operation: str, **members: Any) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def event(self, code: str, **members: Any) -> None:
        self.codes.append(code)


def copied(
    path: Path, target: Path, listener: Callable[[int, int], object], restarts: int = 2
) -> tuple[_Job, Any]:
    """Copy a database; returns the job, and how it was done."""
    job: Any = _Job()
    database = Database(path, path.name, path.stat().st_size)
    return job, Copying(job, database, target, 5, restarts, listener).run()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A database that takes several steps to copy."""
    path = make_ledger(tmp_path / "large.db", rows=6 * STEP_BYTES // 1024)
    assert path.stat().st_size > 4 * STEP_BYTES
    return path


def transfer(path: Path) -> bool:
    """Write to a ledger; returns whether others' locks allowed it."""
    with contextlib.closing(sqlite3.connect(path, timeout=0)) as ledger:
        try:
            ledger.executescript(
                "begin immediate; update account set money = money - 1 where id = 1;"
                "insert into transfer (note) values ('x');"
                "update account set money = money + 1 where id = 2;"
                "update counter set transfers = transfers + 1; commit;"
            )
        except sqlite3.OperationalError:
            return False
    return True


def test_a_busy_writer_does_not_starve_a_copy(large: Path, tmp_path: Path) -> None:
    """After so many restarts the copy is made at once, and writers wait; it is told."""
    wrote: list[bool] = []
    target = tmp_path / "copy"

    job, how = copied(large, target, lambda _done, _total: wrote.append(transfer(large)))

    assert how.restarts == 3
    assert how.locked
    assert job.codes == ["WRITERS_BLOCKED"]
    assert wrote[0] is True
    assert wrote[-2] is False
    assert transfers(target) == sum(wrote[:4])


def test_a_write_or_two_make_a_copy_begin_again(large: Path, tmp_path: Path) -> None:
    """A copy that was overtaken twice is the database as it is after the second write."""
    wrote: list[bool] = []

    def write_twice(_done: int, _total: int) -> None:
        if len(wrote) < 2:
            wrote.append(transfer(large))

    job, how = copied(large, tmp_path / "copy", write_twice)

    assert (how.restarts, how.locked, job.codes) == (2, False, [])
    assert transfers(tmp_path / "copy") == 2


def test_writers_of_a_logged_database_never_wait(large: Path, tmp_path: Path) -> None:
    """In WAL mode each write goes through at once, and the copy is of the first moment."""
    with contextlib.closing(sqlite3.connect(large)) as database:
        database.execute("pragma journal_mode = wal")
    wrote: list[bool] = []

    _, how = copied(large, tmp_path / "copy", lambda _done, _total: wrote.append(transfer(large)))

    assert (how.journal, how.restarts, how.locked) == ("wal", 0, False)
    assert len(wrote) > 4
    assert all(wrote)
    assert transfers(tmp_path / "copy") == 0


def test_a_promise_of_no_change_is_checked(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database taken for one that does not change is given up if it changes each time."""
    with contextlib.closing(sqlite3.connect(large)) as database:
        database.execute("pragma journal_mode = wal")
    monkeypatch.setattr("os.access", lambda *_: False)

    with pytest.raises(SourceUnavailable) as caught:
        copied(large, tmp_path / "copy", lambda _done, _total: transfer(large), restarts=1)

    assert caught.value.code == "SOURCE_CHANGED"


@given(st.lists(st.text(min_size=1), min_size=1).map("/".join))
def test_a_name_comes_back_from_its_artifact(name: str) -> None:
    """Every path below a directory is found again in its artifact's plain name."""
    parts = name.split("/")
    sound = "\0" not in name and not {"", ".", ".."} & set(parts)
    try:
        artifact = artifact_name(name)
    except UnicodeEncodeError:
        return  # half a surrogate pair, which no file's name can hold

    assert database_of(artifact) == (name if sound else None)
    assert database_of(f"{artifact}.zst.age") == (name if sound else None)
    if len(artifact) < 200:
        assert broken_rule(artifact) is None


@pytest.mark.parametrize(
    "name", ["..%2Fx.sqlite", "%2Fetc%2Fx.sqlite.zst", "a%2F..%2F..%2Fx.sqlite", "data.tar.zst"]
)
def test_a_name_that_leads_elsewhere_is_none(name: str) -> None:
    """An artifact whose name leads out of the target is no database."""
    assert database_of(name) is None


@pytest.mark.parametrize("number", sorted(RULES))
def test_what_sqlite_says_has_a_place(number: int) -> None:
    """Each result code that a rule knows becomes its error, extended codes too."""
    error = sqlite3.OperationalError("said")
    error.sqlite_errorcode = number | 0x300

    made = refusal(error, "app.db")

    assert (type(made), made.code) == (RULES[number].error, RULES[number].code)
    assert "'app.db': said; " in made.message


def test_what_no_rule_knows_is_a_bug() -> None:
    """A result code without a rule, and an error without a code, are the agent's fault."""
    assert isinstance(refusal(sqlite3.ProgrammingError("closed"), "app.db"), InternalError)
    assert not isinstance(refusal(sqlite3.DatabaseError("odd"), "app.db"), DataError)
