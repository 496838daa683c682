"""What each page takes for granted: servers, files, and what a placeholder stands for.

The pages name servers at their usual ports; the tests start their own and put the ports in place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve

from baqup_agent.controller.embedded import EmbeddedServer
from tests.documentation.walk import Scene
from tests.servers.postgres import PASSWORD, PostgresServer, newest

#: The job of the commands below.
_JOB = "0c9a5b1e-6d3f-4e0a-9a57-1f6f7f1d2b3c"

_CONTRACT_DRAWING = "held against lifecycle.json by tests/contract"
_BY_CI = "carried out as it stands by .ci/run"

_LISTED = "tar --zstd -tf OUT/6f4922f4-5568-41a8-8cdf-4ad2299f6d23/data.tar.zst"

_RUN_DUMP = f"baqup-agent run ./dump_agent.py snapshot --staging OUT --job-id {_JOB}"

_LEFT_BEHIND = f"""
mkdir -p DIR && BAQUP_JOB_ID={_JOB} BAQUP_STAGING_DIR=DIR BAQUP_BUS_GRACE_PERIOD=0 \
BAQUP_BUS_FALLBACK_DIR=DIR BAQUP_BUS_URL=redis://127.0.0.1:1/0 \
python dump_agent.py snapshot 2>DIR/log && exit 1 || test $? = 75
"""

_MY_DB = """
python -c "import sqlite3; c = sqlite3.connect('my.db'); c.execute('create table t (x)')"
"""


@contextmanager
def scene_of(name: str, folder: Path, text: str) -> Iterator[Scene]:
    """Prepare what the page ``name`` takes for granted, as long as the block lasts."""
    scene = _SCENES[name](folder) if name in _SCENES else Scene(folder)
    if "6379" in text:
        with EmbeddedServer() as server:
            port = server.url.rpartition(":")[2].partition("/")[0]
            yield evolve(scene, instead={**scene.instead, "6379": port})
    elif "5432" in text:
        with PostgresServer(newest()) as database:
            yield _with_postgres(scene, database)
    else:
        yield scene


def _with_postgres(scene: Scene, database: PostgresServer) -> Scene:
    database.sql("create database shop;")
    database.sql("create table items (name text); insert into items values ('tea');", "shop")
    instead = {"5432": str(database.port), "correct-horse-battery": PASSWORD}
    environ = {"PATH": str(database.bin), "PGPASSWORD": PASSWORD}
    return evolve(
        scene,
        instead={**scene.instead, **instead},
        environ={**scene.environ, **environ},
    )


def _readme(folder: Path) -> Scene:
    return Scene(
        folder,
        instead={
            "--bus URL": "--bus redis://localhost:6379/0",
            "[--job ID] [--json] [--once]": "--once",
            "baqup-agent image check --image IMAGE": "baqup-agent image check --help",
            "pip install 'baqup-agent[yaml]'": "python -c 'import yaml'",
            "lifecycle_tests(DumpAgent)": "lifecycle_tests(DumpAgent, examples=5)",
        },
        before={
            "baqup-agent run ./my_agent.py snapshot --source my.db --staging OUT": _MY_DB,
            "baqup-agent lifecycle check dump_agent.py:DumpAgent": (
                f"{_RUN_DUMP} --trace trace.jsonl"
            ),
            "baqup-agent bus watch --bus URL [--job ID] [--json] [--once]   "
            "# agents live: state, beats, progress": _LEFT_BEHIND,
            "from baqup_agent.controller import BusReader": (
                "baqup-agent run ./dump_agent.py snapshot --staging OUT2 "
                "--bus redis://localhost:6379/0"
            ),
            "pip install 'baqup-agent[yaml]'": ("printf 'FROM scratch\\n' > Dockerfile"),
        },
        notes={
            "python3 -m venv .venv && .venv/bin/pip install --quiet . && .venv/bin/baqup-agent run "
            'fs snapshot --source . --exclude .venv --staging "$(mktemp -d)"': {"not run": _BY_CI},
            "python3 -m venv .venv && .venv/bin/pip install --quiet --editable '.[dev]' && "
            ".venv/bin/pytest": {"not run": _BY_CI},
            "from baqup_agent.testing import lifecycle_tests": {"pytest": ""},
            "from baqup_agent.controller import BusReader": {"follow": ""},
        },
    )


def _contract(folder: Path) -> Scene:
    return Scene(folder, notes={"stateDiagram-v2": {"not run": _CONTRACT_DRAWING}})


def _tutorial(folder: Path) -> Scene:
    return Scene(
        folder,
        instead={
            "pip install 'baqup-agent[testing,yaml]'": "python -c 'import pytest, yaml'",
            "lifecycle_tests(NotesAgent)": "lifecycle_tests(NotesAgent, examples=5)",
        },
    )


def _tree(folder: Path) -> Scene:
    absent = shutil.which("zstd") is None and "CI" not in os.environ
    return Scene(
        folder, notes={_LISTED: {"not run": "needs zstd, which is absent"} if absent else {}}
    )


_SCENES: dict[str, Callable[[Path], Scene]] = {
    "README.md": _readme,
    "spec/contract.md": _contract,
    "spec/how-to/back-up-a-tree.md": _tree,
    "spec/tutorial.md": _tutorial,
}
