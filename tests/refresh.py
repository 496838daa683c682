"""Writes anew what is generated and committed: ``python -m tests.refresh``."""

from __future__ import annotations

import re
from pathlib import Path

from baqup_agent import CONTRACT
from baqup_agent.lifecycle.mermaid import mermaid
from baqup_agent.lifecycle.tables import states_table, transitions_table

ROOT = Path(__file__).parents[1]


def refresh() -> None:
    """Write the README's tables and the diagrams."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    for name, table in (
        ("states", states_table(CONTRACT)),
        ("transitions", transitions_table(CONTRACT)),
    ):
        block = f"<!-- {name}: generated -->\n{table}<!-- end -->"
        text = re.sub(rf"<!-- {name}: generated -->.*?<!-- end -->", block, text, flags=re.DOTALL)
    readme.write_text(text)
    diagram = ROOT / "diagrams" / "contract.mmd"
    diagram.write_text(mermaid(CONTRACT, "The lifecycle of a baqup job"))


if __name__ == "__main__":
    refresh()
