"""What a dump costs: ``python -m tests.benchmarks.bench_postgres [--mib N] [--rounds N]``.

Prints wall and CPU seconds, as medians of interleaved rounds on one server:

* agent-postgres: pg_dump without compression, the artifact's zstd and checksum beside it;
* the same agent with its artifact uncompressed;
* by hand: ``pg_dump -Fc`` piped to ``zstd -3`` and to sha256, synced and renamed;
* by hand with pg_dump's own zstd, where it was built with that, else with its zlib.

The agent's time has its whole process in it. Its peak memory is told for two sizes of the database.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.servers.postgres import PASSWORD, USER, PostgresServer, newest

#: Rows of about a KiB, of which zstd takes away about two thirds, as of many a database.
_FILL = """
create table t as
select n, md5(n::text) || md5((n * 7)::text) as key,
  repeat(md5((n % 1000)::text) || ' some words of a text that repeats ', 12) || md5(n::text) as text
from generate_series(1, {rows}) n;
create index on t (n);
checkpoint;
"""

_ROWS_PER_MIB = 940

#: As a shell does it; the sums are made in one pass, like the agent's.
_BY_HAND = """set -o pipefail
{dump} | tee >({hash} > "$OUT.sum") > "$OUT.part" && sync "$OUT.part" && mv "$OUT.part" "$OUT"
"""


def cost(act: Callable[[], object]) -> tuple[float, float]:
    """Return the wall seconds and the CPU seconds of this process's children."""
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    act()
    spent_s = time.monotonic() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent_s, sum(
        getattr(after, what) - getattr(before, what) for what in ("ru_utime", "ru_stime")
    )


def agent(server: PostgresServer, scene: Path, database: str, **variables: str) -> int:
    """Take a snapshot; returns the process's peak memory in KiB, pg_dump's apart."""
    peak = scene / "peak"
    environ = {
        **server.environment(),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "BAQUP_JOB_ID": str(uuid.uuid4()),
        "BAQUP_STAGING_DIR": str(scene),
        "BAQUP_BUS_URL": f"file://{scene}",
        "BAQUP_SOURCE_HOST": server.host,
        "BAQUP_SOURCE_PORT": str(server.port),
        "BAQUP_SOURCE_DATABASES": database,
        "BAQUP_AGENT_POSTGRES_BIN": str(server.bin),
        "BAQUP_AGENT_LOG_LEVEL": "error",
        "BAQUP_SECRET_DB_USER": USER,
        "BAQUP_SECRET_DB_PASSWORD": PASSWORD,
        **variables,
    }
    program = (
        "import atexit, re, sys; from baqup_agent.agents.postgres import main\n"
        "peak = lambda: re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
        f"atexit.register(lambda: open({str(peak)!r}, 'w').write(peak()))\n"
        "sys.argv = ['agent-postgres', 'snapshot']; main()\n"
    )
    subprocess.run([sys.executable, "-c", program], env=environ, check=True)
    return int(peak.read_text()) if peak.exists() else 0


def by_hand(server: PostgresServer, scene: Path, database: str, dump: str) -> None:
    """Dump as a careful administrator would by a shell."""
    out = scene / f"{uuid.uuid4()}.dump"
    script = _BY_HAND.format(dump=dump, hash="openssl dgst -sha256")
    environ = {**server.environment(database), "OUT": str(out)}
    environ["PATH"] = f"{server.bin}:{os.environ['PATH']}"
    subprocess.run(["bash", "-c", script], env=environ, check=True)
    out.unlink()


def own_compression(server: PostgresServer) -> str:
    """Return the best that this pg_dump can compress with."""
    said = subprocess.run(
        [server.bin / "pg_dump", "-Z", "zstd:3", "-Fc", "-f", "/dev/null", "--host=/nonexistent"],
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    return "gzip:6" if "not supported" in said or "this build" in said else "zstd:3"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=256, help="size of the database")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with (
        PostgresServer(newest()) as server,
        tempfile.TemporaryDirectory(prefix="baqup-bench-") as at,
    ):
        measure(server, Path(at), arguments.mib, arguments.rounds)


def measure(server: PostgresServer, scene: Path, mib: int, rounds: int) -> None:
    """Make the databases, take the rounds and print what came out."""
    for name, size in (("small", max(mib // 4, 1)), ("whole", mib)):
        server.sql(f"create database {name};")
        server.sql(_FILL.format(rows=size * _ROWS_PER_MIB), name)
    own = own_compression(server)
    ways: dict[str, Callable[[], object]] = {
        "agent-postgres": lambda: agent(server, scene, "whole"),
        "by hand, zstd in a pipe": lambda: by_hand(
            server, scene, "whole", "pg_dump -Fc -Z0 | zstd -q -3 -T2"
        ),
        "agent-postgres, no compression": lambda: agent(
            server, scene, "whole", BAQUP_ARTIFACT_COMPRESS="false"
        ),
        "by hand, no compression": lambda: by_hand(server, scene, "whole", "pg_dump -Fc -Z0"),
        f"by hand, pg_dump's {own}": lambda: by_hand(
            server, scene, "whole", f"pg_dump -Fc -Z {own}"
        ),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            taken[name].append(cost(way))
    size = server.sql("select pg_database_size('whole') / 1048576;")
    print(f"database of {size} MiB, {server.version.name}, medians of {rounds} rounds")
    for name, figures in taken.items():
        wall, cpu = (statistics.median(each) for each in zip(*figures, strict=True))
        print(f"{name:32} {wall:7.2f} s wall {cpu:7.2f} s CPU")
    ratio = statistics.median(
        mine[0] / theirs[0]
        for mine, theirs in zip(
            taken["agent-postgres"], taken["by hand, zstd in a pipe"], strict=True
        )
    )
    print(f"agent-postgres / by hand: {ratio:.2f}")
    peaks = {name: agent(server, scene, name) for name in ("small", "whole")}
    print(f"peak memory: {peaks['small']} KiB of a quarter, {peaks['whole']} KiB of the whole")


if __name__ == "__main__":
    main()
