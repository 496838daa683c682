"""What a server held at one instant comes back, although it was written all the while."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.postgres.conftest import Start
from tests.servers.postgres import PostgresServer, found
from tests.waiting import eventually

ACCOUNTS = 2_000
EACH = 1_000

_SCHEMA = f"""
create table accounts (id int primary key, balance bigint not null);
create table transfers (id serial primary key, amount bigint not null);
insert into accounts select n, {EACH} from generate_series(1, {ACCOUNTS}) n;
create table filler as select n, md5(n::text) as s from generate_series(1, 40000) n;
"""

# Money is moved, never made; each transfer leaves a row in the same transaction.
_TRANSFER = f"""
\\set a random(1, {ACCOUNTS})
\\set b random(1, {ACCOUNTS})
\\set x random(1, 50)
begin;
update accounts set balance = balance - :x where id = least(:a, :b);
update accounts set balance = balance + :x where id = greatest(:a, :b);
insert into transfers (amount) values (:x);
commit;
"""


@contextlib.contextmanager
def transfers(server: PostgresServer, database: str, scene: Path) -> Iterator[None]:
    """Move money about for the length of the block, in several sessions at once."""
    script = scene / "transfer.sql"
    script.write_text(_TRANSFER)
    bench = subprocess.Popen(
        [server.bin / "pgbench", "-n", "-f", script, "-c", "3", "-T", "120", "--max-tries=1000"],
        env=server.environment(database),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        eventually(lambda: moved(server, database) > 0, within_s=60)
        yield
        assert bench.poll() is None, bench.communicate()[0]
    finally:
        bench.kill()
        bench.communicate()


def moved(server: PostgresServer, database: str) -> int:
    """Return the number of transfers there are."""
    return int(server.sql("select count(*) from transfers;", database))


def test_a_dump_under_load_is_of_one_instant(
    start: Start, each_server: PostgresServer, tmp_path: Path
) -> None:
    """With every version money is neither made nor lost in the dump, nor a table torn."""
    server, database = each_server, each_server.fresh()
    server.sql(_SCHEMA, database)
    with transfers(server, database, tmp_path):
        before = moved(server, database)
        agent = start("snapshot", server, source_databases=database)
        assert agent.wait() == 0, agent.stderr
        assert moved(server, database) > before, "nothing was written meanwhile"
    after = moved(server, database)
    server.sql(f"drop database {database} with (force);")

    restore = start("restore", server, source_path=agent.directory)

    assert restore.wait() == 0, restore.stderr
    total = server.sql("select sum(balance) from accounts;", database)
    assert int(total) == ACCOUNTS * EACH
    assert before <= moved(server, database) <= after
    assert server.sql("select count(*) from filler;", database) == "40000"


def test_a_newer_server_takes_an_older_ones_backup(start: Start, long: bool) -> None:
    """An upgrade: the oldest server's databases are restored into the newest, roles included."""
    if not long:
        pytest.skip("two more servers: with --long")
    oldest, *_, newest = found()
    with PostgresServer(oldest) as source:
        source.sql("create role keeper; create database shop owner keeper;")
        source.sql(_SCHEMA, "shop")
        agent = start("snapshot", source, source_databases="shop", agent_postgres_bin=newest.bin)
        assert agent.wait() == 0, agent.stderr

    with PostgresServer(newest) as target:
        restore = start("restore", target, source_path=agent.directory)
        assert restore.wait() == 0, restore.stderr
        assert target.sql("select sum(balance) from accounts;", "shop") == str(ACCOUNTS * EACH)
