"""The agent's parts by themselves: names, complaints, globals, counting, the choice."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent import Job
from baqup_agent.agents.postgres import PostgresAgent
from baqup_agent.agents.postgres.backup import Backup
from baqup_agent.agents.postgres.counted import Counted
from baqup_agent.agents.postgres.globals import missing_globals
from baqup_agent.agents.postgres.inspection import Database, Inspection
from baqup_agent.agents.postgres.lifecycle import LIFECYCLE, Steps
from baqup_agent.agents.postgres.names import artifact_name, database_of, identifier
from baqup_agent.agents.postgres.refusals import refusal
from baqup_agent.agents.postgres.restore import check_version
from baqup_agent.agents.postgres.server import Version
from baqup_agent.agents.postgres.settings import Source
from baqup_agent.agents.postgres.snapshot import choose
from baqup_agent.agents.postgres.watch import Progress
from baqup_agent.errors import ConfigError
from baqup_agent.job.triggers import check_declared
from baqup_agent.staging.artifact import check_name
from tests.waiting import eventually

_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(_NAMES.map(lambda name: name.encode()[:63].decode(errors="ignore")).filter(bool))
def test_every_name_makes_a_plain_one(name: str) -> None:
    """Any name that PostgreSQL takes becomes a good name for an artifact, and is read from it."""
    filename = check_name(artifact_name(name))

    assert len(filename) + len(".zst.age.part-0001") <= 255
    for suffix in ("", ".zst", ".gz", ".lz4", ".zst.age"):
        assert database_of(filename + suffix) == name


def test_the_globals_are_no_database() -> None:
    """The artifact with the globals is not taken for a dump, nor a stranger's for one."""
    assert database_of("globals.sql.zst") is None
    assert database_of("data.tar.zst") is None
    assert database_of(".dump") is None


def test_quotes_are_doubled() -> None:
    """A name with quotes stays one name in SQL."""
    assert identifier('a"; drop database b; --') == '"a""; drop database b; --"'


@pytest.mark.parametrize(
    ("said", "code", "exit_code"),
    [
        ('could not translate host name "x" to address', "SOURCE_UNAVAILABLE", 69),
        ("FATAL:  the database system is starting up", "SOURCE_UNAVAILABLE", 69),
        ("FATAL:  sorry, too many clients already", "SOURCE_UNAVAILABLE", 69),
        ("FATAL:  terminating connection due to administrator command", "SOURCE_UNAVAILABLE", 69),
        ("failed: timeout expired", "SOURCE_UNAVAILABLE", 69),
        ("fe_sendauth: no password supplied", "AUTHENTICATION_FAILED", 64),
        ('FATAL:  no pg_hba.conf entry for host "::1"', "AUTHENTICATION_FAILED", 64),
        ("SSL error: certificate verify failed", "TLS_REFUSED", 64),
        ('FATAL:  database "x" does not exist', "DATABASE_UNKNOWN", 64),
        ("error: unsupported version (1.16) in file header", "VERSION_MISMATCH", 64),
        ("ERROR:  permission denied for table t", "PERMISSION_DENIED", 64),
        ("ERROR:  invalid page in block 7 of relation base/5/1", "SOURCE_CORRUPT", 65),
        ("ERROR:  could not extend file: No space left on device", "SERVER_DISK_FULL", 74),
        ('ERROR:  type "t" exists', "COMMAND_FAILED", 1),
        # The server's own language, in which nothing but libpq's part is known.
        (
            'connection to server at "h", port 1 failed: FATAL:  le rôle n\'a pas le droit',
            "CONNECTION_REFUSED",
            64,
        ),
    ],
)
def test_complaints_have_their_place(said: str, code: str, exit_code: int) -> None:
    """What the programs complain of decides the exit code and the error's code."""
    error = refusal("pg_dump", 1, f"pg_dump: {said}\nmore of it")

    assert (error.code, error.exit_code) == (code, exit_code)
    assert "\n" not in error.message


def test_the_line_that_tells_most_is_told() -> None:
    """Of several lines the first error is shown, without the program's path before it."""
    said = "pg_dump: warning: odd\n/bin/pg_dump: error: query failed: ERROR:  bad\npg_dump: hint: x"

    assert refusal("pg_dump", 1, said).message.startswith("pg_dump: error: query failed")
    assert "exit code 3" in refusal("pg_dump", 3, "").message


def test_roles_that_are_there_are_left_out() -> None:
    """Only what makes or sets up a present role is left out; all else is kept to the letter."""
    kept = (
        b"CREATE ROLE absent;\nALTER ROLE absent WITH LOGIN;\n"
        b'CREATE ROLE "present too many";\nGRANT present TO absent;\n'
        b"ALTER ROLE present SET search_path TO a;\n"
    )
    dropped = (
        b"CREATE ROLE present;\nALTER ROLE present WITH NOLOGIN PASSWORD 'x';\n"
        b'CREATE ROLE "present ""too""";\nALTER ROLE "present ""too""" WITH LOGIN;\n'
    )

    roles = {"present", identifier('present "too"')}

    assert missing_globals(dropped + kept, roles) == kept


def test_what_is_read_is_counted() -> None:
    """Every byte comes through, and their number with them."""
    content = os.urandom(3_000_001)
    counted = Counted(io.BytesIO(content))

    assert counted.readall() == content
    assert counted.bytes_out == len(content)


def test_progress_is_told_while_a_database_is_worked_on() -> None:
    """The share of what is done is told on the way, and a database that ended counts whole."""
    told: list[dict[str, Any]] = []
    job: Any = SimpleNamespace(progress=lambda **members: told.append(members))
    progress = Progress(job, 400)

    with progress.database("first", 100, lambda: 50):
        eventually(lambda: told)
        assert told[-1]["percent_complete"] == 12.5
        assert told[-1]["bytes_processed"] == 50
    assert told[-1]["percent_complete"] == 25
    assert told[-1]["files_processed"] == 1


def _inspection(*databases: Database) -> Inspection:
    return Inspection(Version("16.1", 16), {d.name: d for d in databases}, frozenset(), False)


@pytest.mark.parametrize(
    ("program", "dumped", "server", "fits"),
    [(16, 16, 16, True), (15, 16, 16, False), (18, 15, 16, False), (18, 18, 17, True),
     (16, 15, 15, True), (18, 18, 18, True), (18, 0, 18, True)],
)  # fmt: skip
def test_programs_must_fit_backup_and_target(
    program: int, dumped: int, server: int, fits: bool
) -> None:
    """A pg_restore is not older than the dump, nor of the kind that older servers do not take."""
    backup = Backup(Path("published"), "job", (), None, dumped)
    expected = contextlib.nullcontext() if fits else pytest.raises(ConfigError, match="pg_restore")

    with expected:
        check_version(Version(f"{program}.1", program), backup, Version(f"{server}.1", server))


_KNOWN = _inspection(
    Database("a", 1, template=False, usable=True),
    Database("closed", 1, template=False, usable=False),
    Database("template1", 1, template=True, usable=True),
)


def _source(**given: Any) -> Source:
    defaults: dict[str, Any] = dict.fromkeys(get_type_hints(Source))
    return Source(**{**defaults, "databases": ("all",), **given})


def test_all_leaves_out_what_admits_nobody() -> None:
    """All means neither templates nor databases that admit no connections; by name they count."""
    assert [d.name for d in choose(_KNOWN, _source()).databases] == ["a"]
    named = choose(_KNOWN, _source(databases=("template1", "closed", "closed", "x")))
    assert [d.name for d in named.databases] == ["template1", "closed"]
    assert named.unknown == ("x",)


def test_nothing_left_is_a_mistake() -> None:
    """Names and patterns that leave no database are wrong, and those there are, are named."""
    with pytest.raises(ConfigError, match=re.escape("the server has 'a', 'closed'")):
        choose(_KNOWN, _source(exclude=("*",)))


@pytest.mark.parametrize("role", [PostgresAgent.snapshot, PostgresAgent.restore])
def test_the_triggers_are_those_of_the_lifecycle(role: Callable[..., object]) -> None:
    """What type checkers know of the triggers is what the lifecycle declares."""

    def told(job: Job[Steps]) -> None:
        """Stand for the roles, whose annotations are for type checkers alone."""

    assert role.__annotations__["job"] == "Job[Steps]"
    check_declared(told, LIFECYCLE)
