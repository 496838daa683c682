"""The role restore: dumps come back, and what is in the way is respected."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest

from baqup_agent.agents.postgres.inspection import HAS_CONTENT
from tests.agent_process import AgentProcess
from tests.agents.postgres.conftest import Start
from tests.servers.postgres import PostgresServer

#: The database that these tests drop, change and restore.
DATABASE = "shop"

_CONTENT = """
create table t as select n, repeat('text', 50) as s from generate_series(1, 1000) n;
create index on t (n);
create view v as select count(*) as c from t;
create function f() returns int language sql as 'select 7';
select lo_from_bytea(4711, 'large');
"""


@pytest.fixture(scope="module")
def original(server: PostgresServer) -> str:
    """A database with something in it, which stays as it is."""
    name = server.fresh()
    server.sql(_CONTENT, name)
    return name


@pytest.fixture
def database(server: PostgresServer, original: str) -> str:
    """A copy of it under a name that is each test's in turn."""
    server.sql(
        f"drop database if exists {DATABASE}; create database {DATABASE} template {original};"
    )
    return DATABASE


@pytest.fixture(scope="module")
def published(start_shared: Start, server: PostgresServer, original: str) -> Path:
    """The backup of such a copy."""
    server.sql(
        f"drop database if exists {DATABASE}; create database {DATABASE} template {original};"
    )
    agent = start_shared("snapshot", server, source_databases=DATABASE)
    assert agent.wait() == 0, agent.stderr
    return agent.directory


def code(agent: AgentProcess) -> str:
    """Return the code of what went wrong."""
    return str(agent.status["error"]["code"])


def names(server: PostgresServer) -> list[str]:
    """Return the databases of a server."""
    return server.sql("select datname from pg_database order by 1;").splitlines()


def test_a_dropped_database_comes_back(
    start: Start, server: PostgresServer, database: str, published: Path
) -> None:
    """All that was in a database is there again: rows, views, functions, large objects."""
    server.sql(f"drop database {database};")

    agent = start("restore", server, source_path=published)

    assert agent.wait() == 0, agent.stderr
    assert server.sql("select c from v;", database) == "1000"
    assert server.sql("select f(), convert_from(lo_get(4711), 'UTF8');", database) == "7|large"
    assert agent.of("progress")[-1]["percent_complete"] == 100
    assert "loading" in [beat.get("substate") for beat in agent.of("heartbeat")]


def test_what_is_not_empty_is_refused(
    start: Start, server: PostgresServer, database: str, published: Path
) -> None:
    """A database with content is left alone: 73, not to be tried again, with the remedy."""
    server.sql("insert into t values (0, 'newer');", database)

    agent = start("restore", server, source_path=published)

    assert agent.wait() == 73
    assert code(agent) == "TARGET_NOT_EMPTY"
    assert agent.status["error"]["retriable"] is False
    assert "BAQUP_TARGET_REPLACE" in agent.status["error"]["message"]
    assert server.sql("select c from v;", database) == "1001"


def test_anything_at_all_is_content(server: PostgresServer) -> None:
    """Not only tables make a database one that is not overwritten; an extension does not."""
    database = server.fresh()

    def found(statement: str) -> bool:
        return "true" in server.sql(f"begin; {statement} {HAS_CONTENT} rollback;", database)

    assert not found("create extension if not exists plpgsql;")
    assert not found("comment on schema public is 'ours';")
    assert found("create table t();")
    assert found("create function g() returns int language sql as 'select 1';")
    assert found("create schema own;")
    assert found("create type mood as enum ('good');")
    assert found("create sequence s;")
    assert found("do $$ begin perform lo_create(1); end $$;")


def test_an_empty_database_is_filled(
    start: Start, server: PostgresServer, database: str, published: Path
) -> None:
    """A database that is there and empty is restored into, whoever made it."""
    server.sql(f"drop database {database};")
    server.sql(f"create database {database} connection limit 17;")

    agent = start("restore", server, source_path=published)

    assert agent.wait() == 0, agent.stderr
    assert server.sql("select c from v;", database) == "1000"
    limit = f"select datconnlimit from pg_database where datname = '{database}';"
    assert server.sql(limit) == "17"


def test_a_database_is_replaced_on_demand(
    start: Start, server: PostgresServer, database: str, published: Path
) -> None:
    """With BAQUP_TARGET_REPLACE the backup takes the database's place, and nothing else is left."""
    server.sql("insert into t values (0, 'newer'); create table more();", database)
    before = names(server)

    agent = start("restore", server, source_path=published, target_replace="true")

    assert agent.wait() == 0, agent.stderr
    assert server.sql("select c from v;", database) == "1000"
    assert server.sql("select to_regclass('more') is null;", database) == "t"
    assert names(server) == before
    assert "DATABASE_REPLACED" in [event["code"] for event in agent.of("event")]


def test_a_replacement_that_fails_changes_nothing(
    start: Start, server: PostgresServer, database: str, published: Path
) -> None:
    """If the dump cannot be restored, the database that it should replace is what it was."""
    owner = f"owner_{database}"
    server.sql(f"create role {owner};")
    server.sql(f"alter table t owner to {owner};", database)
    agent = start("snapshot", server, source_databases=database, source_globals="false")
    assert agent.wait() == 0, agent.stderr
    server.sql(f"reassign owned by {owner} to current_user; drop role {owner};", database)
    server.sql("insert into t values (0, 'newer');", database)
    before = names(server)

    restore = start("restore", server, source_path=agent.directory, target_replace="true")

    assert restore.wait() != 0
    assert owner in restore.status["error"]["message"]
    assert server.sql("select c from v;", database) == "1001"
    assert names(server) == before


def test_owners_can_be_left_out(start: Start, server: PostgresServer, database: str) -> None:
    """Without owners everything belongs to the user that restores."""
    owner = f"owner_{database}"
    server.sql(f"create role {owner};")
    server.sql(f"alter table t owner to {owner};", database)
    agent = start("snapshot", server, source_databases=database, source_globals="false")
    assert agent.wait() == 0, agent.stderr
    server.sql(f"drop database {database}; drop role {owner};")

    restore = start("restore", server, source_path=agent.directory, target_owners="false")

    assert restore.wait() == 0, restore.stderr
    assert server.sql("select c from v;", database) == "1000"


def test_a_database_in_use_is_not_replaced(
    start: Start, server: PostgresServer, database: str, published: Path
) -> None:
    """A database that others are in keeps them and its content: 73, with the remedy."""
    session = server.session("select 'there';\n", database)
    assert session.stdout is not None
    assert session.stdout.readline().strip() == "there"
    try:
        agent = start("restore", server, source_path=published, target_replace="true")
        assert agent.wait() == 73
        assert code(agent) == "DATABASE_IN_USE"
    finally:
        session.communicate(timeout=60)
    assert server.sql("select c from v;", database) == "1000"


def test_one_of_several_is_restored(start: Start, server: PostgresServer, database: str) -> None:
    """BAQUP_SOURCE_DATABASES chooses from the backup; one that is not in it is a mistake, 64."""
    other = server.fresh()
    agent = start("snapshot", server, source_databases=f"{database},{other}")
    assert agent.wait() == 0, agent.stderr
    server.sql(f"drop database {database}; drop database {other};")

    unknown = start("restore", server, source_path=agent.directory, source_databases="nowhere")
    assert unknown.wait() == 64
    assert repr(database) in unknown.status["error"]["message"]

    restore = start("restore", server, source_path=agent.directory, source_databases=database)
    assert restore.wait() == 0, restore.stderr
    assert other not in names(server)
    assert server.sql("select c from v;", database) == "1000"


@pytest.fixture
def copied(published: Path, tmp_path: Path) -> Path:
    """A copy of the backup, to be damaged."""
    return shutil.copytree(published, tmp_path / "copied" / published.name)


def test_a_damaged_backup_touches_nothing(
    start: Start, server: PostgresServer, database: str, copied: Path
) -> None:
    """One flipped bit in any artifact ends the restore before the target is touched: 65."""
    server.sql(f"drop database {database};")
    damaged = copied / "globals.sql.zst"
    raw = bytearray(damaged.read_bytes())
    raw[len(raw) // 2] ^= 1
    damaged.write_bytes(raw)

    agent = start("restore", server, source_path=copied)

    assert agent.wait() == 65
    assert code(agent) == "VERIFICATION_FAILED"
    assert database not in names(server)


def test_a_directory_that_is_no_backup_of_a_server(
    start: Start, server: PostgresServer, copied: Path
) -> None:
    """A backup without dumps of databases is somebody else's: 65, saying whose."""
    manifest = json.loads((copied / "manifest.json").read_text())
    for artifact in manifest["artifacts"]:
        renamed = artifact["filename"].replace(".dump", ".tar")
        (copied / artifact["filename"]).rename(copied / renamed)
        artifact["filename"] = renamed
    manifest["agent"] = "agent-other"
    (copied / "manifest.json").write_text(json.dumps(manifest))

    agent = start("restore", server, source_path=copied)

    assert agent.wait() == 65
    assert "agent-other" in agent.status["error"]["message"]


def test_a_target_that_is_down(start: Start, server: PostgresServer, published: Path) -> None:
    """The target is not there: 69."""
    agent = start("restore", server, source_path=published, target_host="/nonexistent")

    assert agent.wait() == 69


def test_a_split_and_encrypted_backup_comes_back(
    start: Start, server: PostgresServer, database: str
) -> None:
    """Parts of an encrypted dump are one dump again for who has the key."""
    made = {
        "artifact_split_size": "1K",
        "artifact_encrypt": "true",
        "secret_artifact_key": base64.b64encode(bytes(range(32))).decode(),
    }
    agent = start("snapshot", server, source_databases=database, source_globals="false", **made)
    assert agent.wait() == 0, agent.stderr
    assert agent.manifest is not None
    assert len(agent.manifest["artifacts"]) > 1
    server.sql(f"drop database {database};")

    restore = start("restore", server, source_path=agent.directory, **made)

    assert restore.wait() == 0, restore.stderr
    assert server.sql("select c from v;", database) == "1000"


def test_roles_come_first_and_present_ones_stay(
    start: Start, server: PostgresServer, original: str
) -> None:
    """Roles that the target lacks are made before the databases; those it has are not changed."""
    server.sql(
        "create role absent login password 'Dumped-Pass-1' connection limit 3;"
        'create role "Present Too" connection limit 5;'
        f"create database store template {original} owner absent;"
    )
    server.sql("alter table t owner to absent;", "store")
    agent = start("snapshot", server, source_databases="store")
    assert agent.wait() == 0, agent.stderr
    server.sql("drop database store; drop role absent;")
    server.sql('alter role "Present Too" connection limit 9;')

    restore = start("restore", server, source_path=agent.directory)

    assert restore.wait() == 0, restore.stderr
    limits = "select rolconnlimit from pg_roles where rolname in ('absent', 'Present Too')"
    assert server.sql(f'{limits} order by rolname collate "C";') == "9\n3"
    owner = "select pg_get_userbyid(relowner) from pg_class where relname = 't';"
    assert server.sql(owner, "store") == "absent"
    server.sql('drop database store; drop role absent; drop role "Present Too";')


def test_globals_that_fail_are_a_failed_component(
    start: Start, server: PostgresServer, database: str
) -> None:
    """A tablespace whose directory is gone is told as partial; the databases are restored."""
    place = Path(server.socket) / "space"
    # As the server's user; the program reads its input, or a fast one breaks the server's pipe.
    server.sql(f"copy (select 1) to program 'cat >&2; mkdir {place}';")
    server.sql(f"create tablespace space location '{place}';")
    agent = start("snapshot", server, source_databases=database)
    assert agent.wait() == 0, agent.stderr
    server.sql(f"drop tablespace space; drop database {database};")
    server.sql(f"copy (select 1) to program 'cat >&2; rmdir {place}';")

    restore = start("restore", server, source_path=agent.directory)

    assert restore.wait() == 76, restore.stderr
    ended = {c["name"]: c for c in restore.status["components"]}
    assert ended["cluster globals"]["error"]["code"] == "GLOBALS_INCOMPLETE"
    assert ended[database]["status"] == "succeeded"
    assert server.sql("select c from v;", database) == "1000"
