"""The command lines that are measured, ours and those of others, and what one run of each took."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from baqup_agent.contract import MANIFEST_NAME

#: Seconds between the heartbeats of a measured agent.
BEAT_S = 1

#: Starts a command from a small process, because the memory of the process that starts a program
#: counts as that program's own until it runs. What the command says goes to stderr.
LAUNCHER = """
import os, sys, time
began = time.perf_counter()
child = os.posix_spawnp(
    sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)]
)
_, status, usage = os.wait4(child, 0)
wall_s = time.perf_counter() - began
cpu_s = usage.ru_utime + usage.ru_stime
print([wall_s, cpu_s, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)])
"""

#: As one would write it who has no agent: compressed and hashed in a single pass.
TEE = """
set -e
mkfifo "$OUT/fifo"
openssl dgst -sha256 < "$OUT/fifo" > "$OUT/sum" &
{read} | zstd -q -3 -T2 | tee "$OUT/fifo" > "$OUT/a.zst"
wait
sync -d "$OUT/a.zst"
"""

#: The same in two passes.
TWICE = """
set -e
tar -C "$SOURCE" --use-compress-program 'zstd -q -3 -T0' -cf "$OUT/a.tar.zst" .
openssl dgst -sha256 "$OUT/a.tar.zst" > "$OUT/sum"
sync -d "$OUT/a.tar.zst"
"""

RESTIC = """
set -e
export RESTIC_PASSWORD=x RESTIC_REPOSITORY="$OUT/repo" RESTIC_CACHE_DIR="$OUT/cache"
restic -q init > /dev/null
restic -q backup "$SOURCE"
"""

BORG = """
set -e
export BORG_BASE_DIR="$OUT/base" BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
borg init -e none "$OUT/repo"
borg create -C zstd,3 "$OUT/repo::one" "$SOURCE"
"""

TAR_AWAY = 'tar -C "$SOURCE" -cf - . | cat > /dev/null'

TAR_X = 'mkdir "$OUT/target" && tar --zstd -xpf "$SOURCE"/data.tar.zst -C "$OUT/target"'


class Took(NamedTuple):
    """What one run took.

    Attributes:
        wall_s: seconds from start to end.
        cpu_s: processor seconds of all its processes.
        rss_bytes: the most that one of its processes held in memory.
        beat_gap_s: the longest time between two heartbeats; 0 where there are none.
    """

    wall_s: float
    cpu_s: float
    rss_bytes: int
    beat_gap_s: float = 0.0


class Contestant(NamedTuple):
    """Something to be measured.

    Attributes:
        name: what the table calls it.
        run: takes an empty directory to work in and does it once.
    """

    name: str
    run: Callable[[Path], Took]


def measured(command: list[str | Path], out: Path, **environ: str | Path) -> Took:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed.
    """
    words = {name: str(value) for name, value in environ.items()}
    with (out / "said").open("wb") as said:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", LAUNCHER, *command],
            check=True, stdout=subprocess.PIPE, stderr=said, env={**os.environ, **words},
        )  # fmt: skip
    wall_s, cpu_s, rss_bytes, code = json.loads(done.stdout)
    if code:
        tail = (out / "said").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{command[:3]} ended with {code}: {tail}")
    return Took(wall_s, cpu_s, rss_bytes)


def shell(name: str, script: str, source: Path) -> Contestant:
    """Return a baseline that is a script of the shell."""
    return Contestant(
        name, lambda out: measured(["bash", "-c", script], out, SOURCE=source, OUT=out)
    )


def tee(read: str, source: Path) -> Contestant:
    """Return the baseline that compresses and hashes what a command reads."""
    return shell("pipeline with tee", TEE.replace("{read}", read), source)


def agent(name: str, role: str, source: Path, *program: str | Path, **variables: str) -> Contestant:
    """Return a role of the installed agent, started as a controller would."""
    command = program or (Path(sys.executable).with_name("agent-fs"),)

    def run(out: Path) -> Took:
        job_id = str(uuid.uuid4())
        (out / "staging").mkdir()
        took = measured(
            [*command, role],
            out,
            BAQUP_JOB_ID=job_id,
            BAQUP_STAGING_DIR=out / "staging",
            BAQUP_BUS_URL=f"file://{out}/bus",
            BAQUP_BUS_FALLBACK_DIR=out / "buffer",
            BAQUP_AGENT_HEARTBEAT_INTERVAL=str(BEAT_S),
            BAQUP_AGENT_LOG_LEVEL="warn",
            BAQUP_SOURCE_PATH=source,
            BAQUP_SOURCE_ANOMALY="warn",  # a million empty files are one
            BAQUP_TARGET_PATH=out / "target",
            **variables,
        )
        assert (out / "staging" / job_id / MANIFEST_NAME).exists() or role == "restore"
        return took._replace(beat_gap_s=_longest_gap_s(out / "bus" / f"{job_id}.jsonl"))

    return Contestant(name, run)


def published(source: Path, out: Path) -> Path:
    """Back a directory up; return what was published."""
    agent("", "snapshot", source).run(out)
    (manifest,) = (out / "staging").glob(f"*/{MANIFEST_NAME}")
    return manifest.parent


def missing(program: str) -> str | None:
    """Say why a program of others is not measured; None if it is."""
    return None if shutil.which(program) else f"{program} is not installed"


def _longest_gap_s(messages: Path) -> float:
    beats = [
        datetime.fromisoformat(message["timestamp"])
        for message in map(json.loads, messages.read_text().splitlines())
        if message["type"] == "heartbeat"
    ]
    gaps = (later - earlier for earlier, later in itertools.pairwise(beats))
    return max((gap.total_seconds() for gap in gaps), default=0.0)
