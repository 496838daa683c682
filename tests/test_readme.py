"""What the README says is run, and what it shows of the lifecycle is the declaration's."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from baqup_agent import CONTRACT
from baqup_agent.bus.client import BusClient
from baqup_agent.config.settings import BusSettings
from baqup_agent.controller.embedded import EmbeddedServer
from baqup_agent.lifecycle.tables import states_table, transitions_table
from baqup_agent.observability.sink import NullLog
from baqup_agent.security.secret import Secret
from tests.agent_process import AgentProcess
from tests.refresh import COMMAND, diagrams

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_ten_line_agent_works_as_it_stands(tmp_path: Path) -> None:
    """The README's agent, saved as a file, makes a real backup of a real database."""
    code, *_ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    script = tmp_path / "my_agent.py"
    script.write_text(code)
    database = tmp_path / "my.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("create table t (x)")
        connection.execute("insert into t values ('hello')")

    run = AgentProcess(tmp_path, program=script, environ={"BAQUP_SOURCE_PATH": str(database)})

    try:
        assert run.wait() == 0
        assert [event["code"] for event in run.of("event")] == ["DUMP_DONE"]
        dumped = (run.directory / "data.sql.zst").read_bytes()
    finally:
        run.end()
    from baqup_agent.staging.reader import open_artifact

    with open_artifact(run.directory, "data.sql.zst") as content:
        assert b"INSERT INTO \"t\" VALUES('hello')" in content.read()
    assert dumped.startswith(b"\x28\xb5\x2f\xfd")


@pytest.mark.parametrize(
    ("name", "text"),
    [("states", states_table(CONTRACT)), ("transitions", transitions_table(CONTRACT))],
)
def test_the_tables_are_fresh(name: str, text: str) -> None:
    """Refresh them with `python -m tests.refresh`."""
    (shown,) = re.findall(rf"<!-- {name}: generated -->\n(.*?)<!-- end -->", README, re.DOTALL)

    assert shown == text, f"stale; refresh with: {COMMAND}"


@pytest.mark.parametrize("name", sorted(diagrams()))
def test_the_diagrams_are_fresh(name: str) -> None:
    """Each is what the declarations say; refresh them with `python -m tests.refresh`."""
    shown = (ROOT / "diagrams" / name).read_text()

    assert shown == diagrams()[name], f"diagrams/{name} is stale; refresh with: {COMMAND}"


def test_there_is_no_diagram_besides_the_generated_ones() -> None:
    """A picture that nothing refreshes would go stale unseen."""
    assert sorted(path.name for path in (ROOT / "diagrams").iterdir()) == sorted(diagrams())


def block_with(word: str) -> str:
    """The README's one Python example that holds a word."""
    (code,) = (
        code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if word in code
    )
    return code


def test_the_settings_of_the_readme_are_checked_as_it_says(tmp_path: Path) -> None:
    """A good environment passes; a bad one is told by its variables, without the secret."""
    script = tmp_path / "shop.py"
    script.write_text(block_with("class ShopAgent"))
    good = {
        "BAQUP_JOB_ID": "8c5ea2ac-94c2-4c7e-9d4c-5f2d4cbb2a11",
        "BAQUP_STAGING_DIR": str(tmp_path),
        "BAQUP_BUS_URL": f"file://{tmp_path}",
        "BAQUP_SOURCE_HOST": "db",
        "BAQUP_SECRET_DB_PASSWORD": "correct-horse",
    }
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BAQUP_")}

    def validate(**variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(script), "--validate", "snapshot"],
            env={**environ, **good, **variables},
            check=False,
            capture_output=True,
            text=True,
        )

    assert (validate().returncode, validate().stdout) == (0, "the configuration is valid\n")
    refused = validate(BAQUP_SOURCE_PORT="99999", BAQUP_SOURCE_HOST="no host")
    assert refused.returncode == 64
    assert ["BAQUP_SOURCE_HOST" in line for line in refused.stdout.splitlines()] == [True, False]
    assert "correct-horse" not in refused.stdout + refused.stderr


def test_the_reader_of_the_readme_reads(tmp_path: Path, redis_server: EmbeddedServer) -> None:
    """What an agent sends is printed."""
    script = tmp_path / "controller.py"
    script.write_text(block_with("BusReader").replace("redis://localhost:6379/0", redis_server.url))
    settings = BusSettings(url=Secret(redis_server.url), fallback_dir=tmp_path / "buffer")
    bus = BusClient(settings, NullLog(), job_id="readme-job", agent_id="agent-readme")
    reader = subprocess.Popen(
        [sys.executable, "-u", str(script)], stdout=subprocess.PIPE, text=True
    )
    try:
        bus.heartbeat("running")
        assert bus.flush(10)
        assert reader.stdout is not None
        first = next(line for line in reader.stdout if "readme-job" in line)
    finally:
        bus.close()
        reader.kill()
        reader.wait()
        reader.stdout.close()

    assert "Heartbeat" in first
