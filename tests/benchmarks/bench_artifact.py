"""An artifact's writer against the shell: ``python -m tests.benchmarks.bench_artifact [MIB [N]]``.

The content, MIB mebibytes (2048 by default) that compress about as well as a home directory does,
lies in one file. Four ways take turns, N rounds of them:

* ``zstd``: ``zstd -q -3 -T2 < file | tee >(openssl dgst -sha256) > artifact``, the baseline;
* ``file``: `ArtifactWriter.copy_from_fd` of the file;
* ``pipe``: `ArtifactWriter.copy_from_fd` of a pipe that ``cat`` fills;
* ``write``: `ArtifactWriter.write` of pieces of 64 KiB, as a program makes them.

Each of ours ends with the artifact synced; the baseline leaves that to the kernel, so its own sync
is timed beside it. Printed are seconds of the clock and of the processors (children included), each
way's ratio to the baseline of the same round, and the most memory that a process of ours held.

The goals are 0.95 of the baseline for a file and 1.0 for a pipe.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

#: Mebibytes of the content, and rounds, where none are given.
_MIB, _ROUNDS = 2048, 3

#: What runs in a process of its own, so that its memory is its own.
_OURS = ("file", "pipe", "write")

_PIECE_BYTES = 64 << 10


def make_content(path: Path, mebibytes: int) -> None:
    """Write words and noise, by turns; the same bytes for the same size."""
    chance = random.Random(1)
    words = [chance.randbytes(chance.randrange(3, 9)).hex().encode() for _ in range(4000)]
    with path.open("wb") as out:
        for _ in range(mebibytes):
            text = b" ".join(chance.choices(words, k=50_000))[: 600 << 10]
            out.write(text + chance.randbytes((1 << 20) - len(text)))


def baseline(source: Path, scratch: Path) -> None:
    """The pipeline that people write."""
    target = scratch / "baseline.zst"
    command = f"zstd -q -3 -T2 < '{source}' | tee >(openssl dgst -sha256 > /dev/null) > '{target}'"
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)


def ours(way: str, source: Path, scratch: Path) -> None:
    """One artifact, in this process."""
    from baqup_agent.config.settings import ArtifactSettings
    from baqup_agent.observability.sink import NullLog
    from baqup_agent.staging.area import Staging

    staging = Staging(scratch, str(uuid4()), ArtifactSettings(), log=NullLog(), workers=2)
    staging.prepare()
    with staging.artifact("data") as out, source.open("rb", buffering=0) as file:
        if way == "file":
            out.copy_from_fd(file.fileno())
        elif way == "write":
            while piece := file.read(_PIECE_BYTES):
                out.write(piece)
        else:
            with subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as cat:
                assert cat.stdout is not None
                out.copy_from_fd(cat.stdout.fileno())
    staging.close()


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processors that an action and its children took."""
    cpu = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    begin = time.perf_counter()
    action()
    wall = time.perf_counter() - begin
    return wall, sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - cpu


def in_a_process(way: str, source: Path, scratch: Path) -> tuple[float, float, int]:
    """Time one way of ours; the third is the most memory that it held, in mebibytes."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_artifact", way, source, scratch]
    held = scratch / "held"

    def run() -> None:
        with held.open("wb") as out:
            subprocess.run(command, check=True, stdout=out)

    return *timed(run), int(held.read_text()) // 1024


def one_round(source: Path, scratch: Path, figures: dict[str, list[tuple[float, float]]]) -> None:
    """All ways once, each on an empty and synced disk."""
    for way in ("zstd", *_OURS):
        os.sync()
        if way == "zstd":
            figure = timed(lambda: baseline(source, scratch))
            note = f"and {timed(os.sync)[0]:.2f} s to sync it"
        else:
            *figure, held = in_a_process(way, source, scratch)
            note = f"{held} MiB"
        figures.setdefault(way, []).append((figure[0], figure[1]))
        ratio = figure[0] / figures["zstd"][-1][0]
        print(f"{way:6} {figure[0]:6.2f} s, CPU {figure[1]:6.2f} s, ratio {ratio:.2f}, {note}")
        for path in sorted(scratch.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()


def main() -> None:
    """Make the content, run the rounds, print the medians."""
    if sys.argv[1:2] and sys.argv[1] in _OURS:
        ours(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    asked = [int(word) for word in sys.argv[1:]]
    mebibytes, rounds = (*asked, *(_MIB, _ROUNDS)[len(asked) :])
    figures: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        source, scratch = Path(place, "content"), Path(place, "scratch")
        scratch.mkdir()
        make_content(source, mebibytes)
        for _ in range(rounds):
            one_round(source, scratch, figures)
    for way, all_of_it in figures.items():
        pairs = zip(all_of_it, figures["zstd"], strict=True)
        ratio = statistics.median(mine[0] / base[0] for mine, base in pairs)
        cpu = statistics.median(mine[1] for mine in all_of_it)
        print(f"median {way:6} ratio {ratio:.3f}, CPU {cpu:.2f} s")


if __name__ == "__main__":
    main()
