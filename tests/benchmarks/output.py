"""What the output path costs: ``python -m tests.benchmarks.output [--full] [ROW ...]``.

Makes trees, runs each command line of a row in turn, several rounds, and prints the median of the
ratios within a round beside its limit, with the median wall time, processor seconds and the peak
memory of the largest process. Everything is measured as its user would start it: the installed
``agent-fs`` with a file bus, its start included, against the commands that one would write instead.
It ends with 1 if a limit is exceeded. Rows that cannot be run here are listed with the reason.

``--full`` makes the trees in their full size and takes an hour; without, it is some minutes, and
the start of the agent weighs more. Restic and borg deduplicate and encrypt besides, which a single
first backup cannot show; their rows tell what that costs, not that it is worth nothing.
"""

from __future__ import annotations

import argparse
import compileall
import os
import secrets
import shutil
import statistics
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import baqup_agent
from tests.benchmarks import output_piping
from tests.benchmarks.output_commands import (
    BEAT_S,
    BORG,
    RESTIC,
    TAR_AWAY,
    TAR_X,
    TWICE,
    Contestant,
    Took,
    agent,
    missing,
    published,
    shell,
    tee,
)
from tests.benchmarks.output_trees import (
    FULL,
    SCALED,
    Sizes,
    make_big,
    make_directories,
    make_empty,
    make_mixed,
    make_small,
)

SHM = Path("/dev/shm")
MIB = 1 << 20


class Bench:
    """Runs rows and remembers what was over its limit.

    Args:
        sizes: of the trees.
        rounds: how often each contestant of a row is run.
        where: a directory on the disk to be measured.
    """

    def __init__(self, sizes: Sizes, rounds: int, where: Path) -> None:
        self.sizes = sizes
        self.over: list[str] = []
        self._rounds = rounds
        self._where = where

    def row(
        self,
        title: str,
        contestants: list[Contestant],
        limits: dict[str, float],
        *,
        memory: bool = False,
    ) -> None:
        """Measure ours, the first, against the others, and print it."""
        took = self.rounds(contestants, memory=memory)
        ours = took[0]
        print(f"\n{title}")
        for contestant, theirs in zip(contestants, took, strict=True):
            print(f"  {contestant.name:<34}{_figures(theirs)}", end="")
            if contestant.name in limits:
                pairs = zip(ours, theirs, strict=True)
                ratio = statistics.median(mine.wall_s / other.wall_s for mine, other in pairs)
                self.judge(f"{title}: {contestant.name}", ratio, limits[contestant.name])
            print()
        gap = max(each.beat_gap_s for each in ours)
        print(f"  {'longest gap between heartbeats':<34}{gap:7.2f} s", end="")
        self.judge(f"{title}: heartbeat", gap / BEAT_S, 1.2)
        print(flush=True)

    def rounds(self, contestants: list[Contestant], *, memory: bool = False) -> list[list[Took]]:
        """Run all in turn, again and again; what each took, one list for each."""
        took: list[list[Took]] = [[] for _ in contestants]
        for number in range(self._rounds):
            # Who is first in one round is last in the next, so that nobody is always warmed up for.
            for place in sorted(range(len(contestants)), reverse=number % 2 == 1):
                took[place].append(self._run(contestants[place], memory=memory))
        return took

    def judge(self, what: str, value: float, limit: float, unit: str = "") -> None:
        """Print a value beside its limit."""
        over = value > limit
        print(f"   {value:6.2f}{unit} (at most {limit:g}{unit}){' OVER' if over else ''}", end="")
        if over:
            self.over.append(f"{what}: {value:.2f}{unit} > {limit:g}{unit}")

    @contextmanager
    def directory(self, *, memory: bool = False) -> Iterator[Path]:
        """A directory that is gone afterwards; ``memory`` for one that is on no disk."""
        at = SHM if memory and SHM.is_dir() else self._where
        with tempfile.TemporaryDirectory(dir=at, prefix="output-") as place:
            yield Path(place)

    def _run(self, contestant: Contestant, *, memory: bool) -> Took:
        with self.directory(memory=memory) as out:
            os.sync()  # what was written before, the tree above all, is nobody's to wait for
            return contestant.run(out)


def _figures(took: list[Took]) -> str:
    wall_s = statistics.median(each.wall_s for each in took)
    cpu_s = statistics.median(each.cpu_s for each in took)
    rss = max(each.rss_bytes for each in took)
    return f"{wall_s:7.2f} s  {cpu_s:7.2f} s cpu  {rss / MIB:5.0f} MiB"


def mixed(bench: Bench) -> None:
    """A mixed tree against everything that one might use instead."""
    with bench.directory() as place:
        tree = place / "tree"
        make_mixed(tree, bench.sizes.mixed_files, bench.sizes.mixed_bytes)
        contestants = [
            agent("agent-fs", "snapshot", tree),
            tee('tar -C "$SOURCE" -cf - .', tree),
            shell("tar --zstd, then hash", TWICE, tree),
        ]
        for program, script in (("restic", RESTIC), ("borg", BORG)):
            if reason := missing(program):
                print(f"not run: {program}: {reason}")
            else:
                contestants.append(shell(program, script, tree))
        limits = {
            "pipeline with tee": 0.90,
            "tar --zstd, then hash": 0.65,
            "restic": 0.35,
            "borg": 0.35,
        }
        bench.row("mixed tree (restic and borg deduplicate besides)", contestants, limits)


def encryption(bench: Bench) -> None:
    """What encryption costs on top."""
    if find_spec("cryptography") is None or find_spec("pyrage") is None:
        print("not run: encryption: the extra 'encryption' is not installed")
        return
    key = b64encode(secrets.token_bytes(32)).decode()
    with bench.directory() as place:
        tree = place / "tree"
        make_mixed(tree, bench.sizes.mixed_files, bench.sizes.mixed_bytes)
        plain = agent("agent-fs, not encrypted", "snapshot", tree)
        for algorithm, secret in (("aes-256-gcm", key), ("chacha20-poly1305", "correct horse 42")):
            variables = {
                "BAQUP_ARTIFACT_ENCRYPT": "true",
                "BAQUP_ARTIFACT_ENCRYPT_ALGORITHM": algorithm,
                "BAQUP_SECRET_ARTIFACT_KEY": secret,
            }
            ours = agent(f"agent-fs, {algorithm}", "snapshot", tree, **variables)
            bench.row(f"encryption, {algorithm}", [ours, plain], {plain.name: 1.08})


def big(bench: Bench) -> None:
    """One large file, as a file and through a pipe."""
    with bench.directory() as place:
        tree = place / "tree"
        tree.mkdir()
        make_big(tree / "big.db", bench.sizes.big_bytes)
        ours = agent("agent-fs", "snapshot", tree)
        baseline = tee('tar -C "$SOURCE" -cf - .', tree)
        bench.row("one large file", [ours, baseline], {baseline.name: 0.95})
        file, program = tree / "big.db", (sys.executable, str(output_piping.__file__))
        piped = agent("an agent that runs cat", "snapshot", file, *program)
        baseline = tee('cat "$SOURCE"', file)
        bench.row("the same through a pipe", [piped, baseline], {baseline.name: 1.0})


def small(bench: Bench) -> None:
    """Many small files."""
    with bench.directory() as place:
        tree = place / "tree"
        make_small(tree, bench.sizes.small_files)
        baseline = tee('tar -C "$SOURCE" -cf - .', tree)
        contestants = [agent("agent-fs", "snapshot", tree), baseline]
        bench.row(f"{bench.sizes.small_files} small files", contestants, {baseline.name: 1.10})


def empty(bench: Bench) -> None:
    """Empty files: what one file costs, its content aside."""
    files = bench.sizes.empty_files
    with bench.directory(memory=True) as place:
        make_empty(place / "tree", files, each=1000)
        (place / "none").mkdir()
        ours, idle, tar = bench.rounds(
            [
                agent("", "snapshot", place / "tree"),
                agent("", "snapshot", place / "none"),
                shell("", TAR_AWAY, place / "tree"),
            ]
        )
        print(f"\n{files} empty files, the start of the program taken off")
        print(f"  {'agent-fs':<34}{_figures(ours)}\n  {'GNU tar':<34}{_figures(tar)}\n ", end="")
        each = [(a.wall_s - b.wall_s) / files * 1e6 for a, b in zip(ours, idle, strict=True)]
        bench.judge("an empty file", statistics.median(each), 15, " µs")
        theirs = (one.wall_s / files * 1e6 for one in tar)
        ratios = [mine / other for mine, other in zip(each, theirs, strict=True)]
        bench.judge("an empty file against GNU tar", statistics.median(ratios), 4.0, " times")
        print(flush=True)


def memory(bench: Bench) -> None:
    """Peak memory, and how it grows with the number of files."""
    many, few = bench.sizes.empty_files, 10_000
    shapes: dict[str, Callable[[Path, int], None]] = {
        "nested": lambda root, count: make_empty(root, count, each=100),
        "in one directory": lambda root, count: make_empty(root, count, each=count),
        "directories in one directory": make_directories,
    }
    print("\npeak memory of the largest process")
    for shape, make in shapes.items():
        peaks = []
        for count in (few, many):
            with bench.directory(memory=True) as place:
                make(place / "tree", count)
                (took,) = bench.rounds([agent("", "snapshot", place / "tree")])
            peaks.append(statistics.median(each.rss_bytes for each in took) / MIB)
        print(f"  {shape:<34}{peaks[0]:5.0f} MiB for {few}", end="")
        bench.judge(f"memory, {shape}", peaks[1], 64, " MiB")
        print(f" for {many}, growth", end="")
        bench.judge(f"growth of memory, {shape}", peaks[1] - peaks[0], 5, " MiB")
        print(flush=True)


def restore(bench: Bench) -> None:
    """Bringing a tree back, on a filesystem in memory."""
    with bench.directory(memory=True) as place:
        make_small(place / "tree", bench.sizes.small_files)
        (place / "out").mkdir()
        source = published(place / "tree", place / "out")
        baseline = shell("tar -x", TAR_X, source)
        contestants = [agent("agent-fs", "restore", source), baseline]
        bench.row("restore, in memory", contestants, {baseline.name: 1.5}, memory=True)


ROWS = {row.__name__: row for row in (mixed, big, small, empty, memory, restore, encryption)}


def main() -> int:
    """Run the rows that were asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all if none")
    parser.add_argument("--full", action="store_true", help="trees of the full size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--where", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(ROWS):
        parser.error(f"there is no row {min(unknown)!r}; there are {', '.join(ROWS)}")
    if shutil.which("zstd") is None or shutil.which("openssl") is None:
        parser.error("the baselines need the commands zstd and openssl; install them")
    # As installing does; an agent that has to compile itself first is none that a user would start.
    compileall.compile_dir(Path(baqup_agent.__file__).parent, quiet=1)
    bench = Bench(FULL if arguments.full else SCALED, arguments.rounds, arguments.where)
    for name, run in ROWS.items():
        if name in (arguments.rows or ROWS):
            run(bench)
        else:
            print(f"not run: {name}: not asked for")
    if not arguments.full:
        print("\nnot run: the full sizes: ask for them by --full")
    for line in bench.over:
        print(f"OVER: {line}")
    return int(bool(bench.over))


if __name__ == "__main__":
    sys.exit(main())
