"""What the README says is run, and what it shows of the lifecycle is the declaration's."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest

from baqup_agent import CONTRACT
from baqup_agent.lifecycle.tables import states_table, transitions_table
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
