"""How quickly an agent answers: ``python -m tests.benchmarks.bench_startup [ROUNDS]``.

Prints the median wall time of ``agent-fs --info`` beside that of a bare interpreter which imports
``argparse`` and ``json``, taken in turn in the same run, and the median of their ratios.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

BASELINE = [sys.executable, "-c", "import argparse, json"]
INFO = [sys.executable, "-m", "baqup_agent.agents.fs", "--info"]


def wall_s(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main(rounds: int) -> None:
    wall_s(BASELINE), wall_s(INFO)
    pairs = [(wall_s(BASELINE), wall_s(INFO)) for _ in range(rounds)]
    baseline, info = (statistics.median(column) * 1000 for column in zip(*pairs, strict=True))
    ratio = statistics.median(info / baseline for baseline, info in pairs)
    print(f"import argparse, json   {baseline:6.1f} ms")
    print(f"agent-fs --info         {info:6.1f} ms   {ratio:.2f} of it (at most 3)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
