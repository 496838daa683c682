"""The environment of an agent as a table in Markdown."""

from __future__ import annotations

from baqup_agent.config.declaration import Declaration
from baqup_agent.config.schema import described
from baqup_agent.config.summary import default_text, kind_words, need_words
from baqup_agent.config.variables import Variable

_HEAD = "| Variable | Type | Default | |\n|---|---|---|---|\n"


def environment_table(declaration: Declaration, *, own: bool = False) -> str:
    """Return one row for each variable.

    Args:
        declaration: what the agent reads.
        own: only what the author declares and what some role needs.
    """
    rows = [
        _row(variable)
        for variable in declaration.variables.values()
        if not own or variable.name in declaration.own or variable.required_for
    ]
    return _HEAD + "".join(rows)


def _row(variable: Variable) -> str:
    need, default = need_words(variable), default_text(variable)
    cells = (
        f"`{variable.name}`",
        _escaped(kind_words(variable)),
        need if default is None else f"`{_escaped(default)}`",
        _escaped(described(variable)),
    )
    return f"| {' | '.join(cells)} |\n"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
