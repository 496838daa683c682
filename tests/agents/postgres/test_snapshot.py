"""The role snapshot: what is dumped of a real server, and how it fails."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from backports import zstd

from baqup_agent.agents.postgres.names import identifier
from tests.agent_process import AgentProcess, alive
from tests.agents.postgres.conftest import Start
from tests.servers.postgres import PASSWORD, PostgresServer, newest, older_programs
from tests.servers.process import free_port
from tests.waiting import eventually


def content(agent: AgentProcess, name: str) -> bytes:
    """Return an artifact's content."""
    return zstd.decompress((agent.directory / f"{name}.zst").read_bytes())


def listing(server: PostgresServer, agent: AgentProcess, name: str) -> str:
    """Return what pg_restore lists of a dump."""
    done = subprocess.run(
        [server.bin / "pg_restore", "--list"],
        input=content(agent, f"{name}.dump"),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def error(agent: AgentProcess) -> dict[str, object]:
    """Return the code, the text and the exit code of what went wrong."""
    told = agent.status["error"]
    return {"exit": agent.status["exit_code"], "code": told["code"], "message": told["message"]}


@pytest.fixture(scope="module")
def database(server: PostgresServer) -> str:
    """A database with a table."""
    name = server.fresh()
    server.sql("create table things as select 7 as n;", name)
    return name


@pytest.fixture(scope="module")
def backup(
    start_shared: Start,
    server: PostgresServer,
    database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AgentProcess:
    """A snapshot of it by way of the server's socket, where no password is needed."""
    trace = tmp_path_factory.mktemp("trace") / "trace.jsonl"
    agent = start_shared(
        "snapshot",
        server,
        source_host=server.socket,
        secret_db_password=None,
        source_databases=database,
        agent_trace_file=trace,
    )
    assert agent.wait() == 0, agent.stderr
    return agent


@pytest.fixture(scope="module")
def whole(start_shared: Start) -> Iterator[AgentProcess]:
    """A snapshot of a whole server, on which a database is made and one dropped meanwhile."""
    with PostgresServer(newest()) as server:
        server.sql("create database brief;")
        server.sql("create database shop; create role keeper login password 'unheard';")
        server.sql("create table held();", "shop")
        with locked(server, "shop"):
            agent = start_shared("snapshot", server)
            eventually(lambda: waiting(server, "shop"), within_s=60)
            server.sql("create database late;")
            server.sql("drop database brief;")  # its dump, before that of shop, is complete
        assert agent.wait() == 0, agent.stderr
        yield agent


def test_every_database_becomes_an_artifact(whole: AgentProcess) -> None:
    """Of a whole server there is a dump of each database but templates, and the globals."""
    assert whole.manifest is not None
    assert {artifact["filename"] for artifact in whole.manifest["artifacts"]} == {
        "brief.dump.zst",
        "globals.sql.zst",
        "postgres.dump.zst",
        "shop.dump.zst",
    }
    assert b"CREATE ROLE keeper" in content(whole, "globals.sql")


def test_databases_that_come_and_go_are_told(whole: AgentProcess) -> None:
    """A database made after the snapshot began is not in it, and one dropped is; both are told."""
    told = {event["code"]: event["sample_paths"] for event in whole.of("event")}

    assert told == {"DATABASE_APPEARED": ["late"], "DATABASE_VANISHED": ["brief"]}


def test_an_artifact_is_a_dump_for_pg_restore(
    server: PostgresServer, backup: AgentProcess, database: str
) -> None:
    """The artifact is pg_dump's custom format: any pg_restore of its version lists it."""
    assert "TABLE DATA public things" in listing(server, backup, database)


def test_the_manifest_tells_about_the_server(
    server: PostgresServer, backup: AgentProcess, database: str
) -> None:
    """Version, format and databases with their sizes stand in the manifest."""
    assert backup.manifest is not None
    told = backup.manifest["source_metadata"]
    assert told["type"] == "postgresql"
    assert told["dump_format"] == "custom"
    assert told["server_version"].startswith(f"{server.version.major}.")
    (only,) = told["databases"]
    assert only["name"] == database
    assert only["artifact"] == f"{database}.dump.zst"
    assert only["size_bytes"] > 1_000_000


def test_the_steps_are_told(backup: AgentProcess) -> None:
    """A snapshot inspects, dumps and seals, and its last progress is all of it."""
    beats = [beat["substate"] for beat in backup.of("heartbeat") if beat["state"] == "running"]

    assert list(dict.fromkeys(beats)) == ["inspecting", "dumping", "sealing"]
    last = backup.of("progress")[-1]
    assert last["percent_complete"] == 100
    assert last["files_processed"] == 1
    assert last["bytes_processed"] > 0


def test_a_dump_is_announced(backup: AgentProcess, database: str) -> None:
    """The intent of a dump names the database, before it begins."""
    intents = [beat["intent"] for beat in backup.of("heartbeat") if beat.get("intent")]

    assert intents[0]["operation"] == "dump_database"
    assert intents[0]["detail"] == database


def test_any_name_of_a_database_will_do(start: Start, server: PostgresServer) -> None:
    """Databases of any names are dumped under plain names, and come back under their own."""
    names = ['.a/b "grün"', "x.dump", "manifest.json", "%41"]
    made = "create table things as select current_database() as n;"
    for name in names:
        server.sql(f"create database {identifier(name)};")
        server.sql(made, name)
    agent = start("snapshot", server, source_databases=json.dumps(names))
    assert agent.wait() == 0, agent.stderr
    server.sql("".join(f"drop database {identifier(name)};" for name in names))

    restore = start("restore", server, source_path=agent.directory)

    assert restore.wait() == 0, restore.stderr
    for name in names:
        assert server.sql("select n from things;", name) == name
    server.sql("".join(f"drop database {identifier(name)};" for name in names))


def test_patterns_leave_databases_out(start: Start, server: PostgresServer, database: str) -> None:
    """A database that a pattern of BAQUP_SOURCE_EXCLUDE fits is not dumped."""
    agent = start(
        "snapshot",
        server,
        source_databases=f"{database},postgres",
        source_exclude="tmp_*,post*",
        source_globals="false",
    )

    assert agent.wait() == 0, agent.stderr
    assert agent.manifest is not None
    (only,) = agent.manifest["artifacts"]
    assert only["filename"] == f"{database}.dump.zst"


def test_an_unknown_database_is_a_failed_component(start: Start, server: PostgresServer) -> None:
    """Of two databases, one unknown, the other is dumped and the run is partial: exit code 76."""
    database = server.fresh()

    agent = start("snapshot", server, source_databases=f"{database},nowhere")

    assert agent.wait() == 76, agent.stderr
    assert agent.status["status"] == "partial"
    ended = {c["name"]: c for c in agent.status["components"]}
    assert ended[database]["status"] == "succeeded"
    assert ended["nowhere"]["error"]["code"] == "DATABASE_UNKNOWN"
    assert agent.manifest is not None
    assert len(agent.manifest["artifacts"]) == 2


def test_only_unknown_databases_are_a_mistake(start: Start, server: PostgresServer) -> None:
    """Where none of the databases exists the configuration is wrong: 64, and nothing published."""
    agent = start("snapshot", server, source_databases="nowhere")

    assert agent.wait() == 64
    assert error(agent)["code"] == "DATABASE_UNKNOWN"
    assert "'nowhere'" in str(error(agent)["message"])
    assert agent.manifest is None


def test_a_server_that_is_down(start: Start, server: PostgresServer) -> None:
    """Nobody listens: 69, after as many attempts as configured, each told."""
    agent = start(
        "snapshot", server, source_port=free_port(), job_retry_max=2, job_retry_backoff="constant"
    )

    assert agent.wait() == 69
    assert error(agent)["code"] == "SOURCE_UNAVAILABLE"
    assert "Connection refused" in str(error(agent)["message"])
    assert len(agent.status["error"]["attempts"]) == 2
    assert [event["code"] for event in agent.of("event")] == ["CONNECTION_RETRY"]


def test_a_wrong_password(start: Start, server: PostgresServer) -> None:
    """The server refuses the password: 64, and the message shows neither user nor password."""
    agent = start("snapshot", server, secret_db_password="Wrong-Password-11")

    assert agent.wait() == 64
    assert error(agent)["code"] == "AUTHENTICATION_FAILED"
    assert "Wrong-Password-11" not in agent.stderr + json.dumps(agent.messages)


def test_a_server_without_tls(start: Start, server: PostgresServer) -> None:
    """TLS is asked of a server that has none, or the programs have none: 64, told as TLS."""
    agent = start("snapshot", server, source_sslmode="require")

    assert agent.wait() == 64
    assert error(agent)["code"] == "TLS_REFUSED"


def test_programs_older_than_the_server(start: Start, server: PostgresServer) -> None:
    """A pg_dump that is older than the server cannot dump it: 64, naming both and the remedy."""
    older = older_programs(server.version.major)
    assert older is not None, "the wheel carries two versions"

    agent = start("snapshot", server, agent_postgres_bin=older.bin)

    assert agent.wait() == 64
    assert error(agent)["code"] == "VERSION_MISMATCH"
    assert f"pg_dump {older.major}." in str(error(agent)["message"])
    assert "BAQUP_AGENT_POSTGRES_BIN" in str(error(agent)["message"])


def test_no_programs_at_all(start: Start, server: PostgresServer, tmp_path: Path) -> None:
    """Without pg_dump the remedy is named: 64."""
    empty = tmp_path / "empty"
    empty.mkdir()

    agent = start("snapshot", server, agent_postgres_bin=empty)

    assert agent.wait() == 64
    assert "BAQUP_AGENT_POSTGRES_BIN" in str(error(agent)["message"])


def test_a_lock_is_not_waited_for_for_ever(start: Start, server: PostgresServer) -> None:
    """A table that another session holds ends the dump after the lock timeout: 69."""
    database = server.fresh()
    server.sql("create table held();", database)
    with locked(server, database):
        agent = start("snapshot", server, source_databases=database, source_lock_timeout="300ms")
        assert agent.wait() == 69, agent.stderr

    assert error(agent)["code"] == "LOCK_TIMEOUT"
    assert agent.manifest is None


def test_a_database_that_cannot_be_read(start: Start, server: PostgresServer) -> None:
    """A user without rights on a table gets a failed component that says so."""
    closed, open_ = server.fresh(), server.fresh()
    server.sql("create table t();", closed)
    user = f"u_{closed}"
    server.sql(f"create role {user} login password 'Limited-Rights-5';")

    agent = start(
        "snapshot",
        server,
        source_databases=f"{closed},{open_}",
        secret_db_user=user,
        secret_db_password="Limited-Rights-5",
    )

    assert agent.wait() == 76, agent.stderr
    ended = {c["name"]: c for c in agent.status["components"]}
    assert ended[closed]["error"]["code"] == "PERMISSION_DENIED"
    assert ended[open_]["status"] == "succeeded"
    assert ended["cluster globals"]["status"] == "succeeded"
    assert "ROLE_PASSWORDS_LEFT_OUT" in [event["code"] for event in agent.of("event")]


def test_a_full_disk(start: Start, server: PostgresServer, tmp_path: Path) -> None:
    """A staging filesystem that is full is an I/O error, 74, although the globals fitted."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small filesystem")
    database = server.fresh()
    server.sql(
        "create table noise as select sha512(n::text::bytea) from generate_series(1, 60000) n;",
        database,
    )
    mounted = tmp_path / "staging"  # the agent's
    mounted.mkdir()
    size = ["-o", "size=1m"]
    if subprocess.run(["mount", "-t", "tmpfs", *size, "tmpfs", mounted], check=False).returncode:
        pytest.skip("this container may not mount")
    try:
        agent = start("snapshot", server, source_databases=database)
        assert agent.wait() == 74, agent.stderr
        assert "No space left" in str(error(agent)["message"])
        assert agent.manifest is None
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_a_server_that_dies_under_a_dump(start: Start, own_server: PostgresServer) -> None:
    """The server crashes while it is dumped: 69, and nothing is published."""
    own_server.sql("create table held();")
    with locked(own_server, "postgres"):
        agent = start("snapshot", own_server, source_databases="postgres")
        eventually(lambda: waiting(own_server, "postgres"), within_s=60)
        own_server.kill()
        assert agent.wait() == 69, agent.stderr

    assert agent.manifest is None


def test_an_abort_ends_pg_dump(start: Start, server: PostgresServer) -> None:
    """SIGTERM while pg_dump waits ends it and the job; the password stood in no argument."""
    database = server.fresh()
    server.sql("create table held();", database)
    with locked(server, database):
        agent = start("snapshot", server, source_databases=database, agent_log_level="trace")
        eventually(lambda: waiting(server, database), within_s=60)
        (pid, *_) = list(alive(str(server.bin / "pg_dump")))
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 1
        eventually(lambda: not waiting(server, database), within_s=60)

    assert error(agent)["code"] == "ABORTED"
    assert b"--format=custom" in words
    assert PASSWORD.encode() not in words
    assert PASSWORD not in agent.stderr + json.dumps(agent.messages)


@contextlib.contextmanager
def locked(server: PostgresServer, database: str) -> Iterator[None]:
    """Hold the table ``held`` for the length of the block, so that pg_dump waits for it."""
    holder = server.session("begin; lock table held; select 'held';\n", database)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == "held"
    try:
        yield
    finally:
        holder.communicate(timeout=60)


def waiting(server: PostgresServer, database: str) -> bool:
    """Whether a session waits for a lock."""
    found = "select count(*) from pg_locks where not granted and database = "
    asked = f"(select oid from pg_database where datname = '{database}');"
    return server.sql(found + asked) == "1"
