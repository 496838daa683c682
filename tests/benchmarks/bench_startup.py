"""How quickly an agent answers: ``python -m tests.benchmarks.bench_startup [ROUNDS]``.

Prints the median wall time of ``agent-fs --info`` and of ``agent-fs --validate snapshot`` beside
that of a bare interpreter which imports ``argparse`` and ``json``, taken in turn in the same run,
and the medians of their ratios. It ends with 1 if one is over its limit.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

AGENT = [sys.executable, "-m", "baqup_agent.agents.fs"]
BASELINE = [sys.executable, "-c", "import argparse, json"]

#: What is asked, and how many times the baseline it may take.
QUESTIONS = {
    "agent-fs --info": ([*AGENT, "--info"], 2.0),
    "agent-fs --validate": ([*AGENT, "--validate", "snapshot"], 3.0),
}

ENVIRON = {
    **os.environ,
    "BAQUP_JOB_ID": "123e4567-e89b-12d3-a456-426614174000",
    "BAQUP_STAGING_DIR": "/staging",
    "BAQUP_BUS_URL": "redis://localhost:6379/0",
    "BAQUP_SOURCE_PATH": "/data",
}


def wall_s(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRON)
    return time.perf_counter() - began


def main(rounds: int) -> int:
    commands = [BASELINE, *(command for command, _ in QUESTIONS.values())]
    for command in commands:
        wall_s(command)  # what is compiled and cached the first time
    rows = [[wall_s(command) for command in commands] for _ in range(rounds)]
    medians = [statistics.median(column) * 1000 for column in zip(*rows, strict=True)]
    print(f"import argparse, json   {medians[0]:6.1f} ms")
    over = False
    for place, (name, (_, limit)) in enumerate(QUESTIONS.items(), start=1):
        ratio = statistics.median(row[place] / row[0] for row in rows)
        over |= ratio > limit
        print(f"{name:<22}  {medians[place]:6.1f} ms   {ratio:.2f} of it (at most {limit:g})")
    return int(over)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
