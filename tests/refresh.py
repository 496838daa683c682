"""Writes anew what is generated and committed: ``python -m tests.refresh``."""

from __future__ import annotations

import re
from pathlib import Path

from baqup_agent import CONTRACT
from baqup_agent.agents.fs import FsAgent
from baqup_agent.agents.postgres import PostgresAgent
from baqup_agent.agents.redis import RedisAgent
from baqup_agent.agents.sqlite import SqliteAgent
from baqup_agent.lifecycle.diagrams import mermaid, svg
from baqup_agent.lifecycle.tables import states_table, transitions_table
from tests.lifecycle.rich_example import RICH_EXAMPLE
from tests.reference import refresh_reference

ROOT = Path(__file__).parents[1]

#: The command that writes everything anew.
COMMAND = "python -m tests.refresh"


def diagrams() -> dict[str, str]:
    """What each file of ``diagrams/`` must hold."""
    drawn = {
        "contract": ("The lifecycle of a baqup job", CONTRACT),
        "agent-fs": (FsAgent.name, FsAgent.declared_lifecycle()),
        "agent-postgres": (PostgresAgent.name, PostgresAgent.declared_lifecycle()),
        "agent-redis": (RedisAgent.name, RedisAgent.declared_lifecycle()),
        "agent-sqlite": (SqliteAgent.name, SqliteAgent.declared_lifecycle()),
        "rich-example": ("A database, dumped table by table", RICH_EXAMPLE),
    }
    files = {}
    for name, (title, lifecycle) in drawn.items():
        files[f"{name}.mmd"] = mermaid(lifecycle, title)
        files[f"{name}.svg"] = svg(lifecycle, title)
    return files


def refresh() -> None:
    """Write the README's tables, the diagrams and the reference."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    for name, table in (
        ("states", states_table(CONTRACT)),
        ("transitions", transitions_table(CONTRACT)),
    ):
        block = f"<!-- {name}: generated -->\n{table}<!-- end -->"
        text = re.sub(rf"<!-- {name}: generated -->.*?<!-- end -->", block, text, flags=re.DOTALL)
    readme.write_text(text)
    for name, content in diagrams().items():
        (ROOT / "diagrams" / name).write_text(content)
    refresh_reference()


if __name__ == "__main__":
    refresh()
