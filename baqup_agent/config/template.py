"""The environment of an agent as a commented ``.env`` file, ready to be filled in."""

from __future__ import annotations

from collections.abc import Iterator

from baqup_agent.config.declaration import Declaration
from baqup_agent.config.schema import described
from baqup_agent.config.summary import default_text, kind_words, need_words
from baqup_agent.config.variables import PREFIXES, Variable

_HEAD = """\
# The environment of {name}. What stands here without '#' has to be filled in: a line that is
# left empty counts as not set. The other lines show the defaults, nothing where there is none.
"""


def environment_template(declaration: Declaration, name: str, role: str | None = None) -> str:
    """Return the text of the file.

    Args:
        declaration: what the agent reads.
        name: the agent's name.
        role: what it shall do; None marks only what every role needs.
    """
    lines = [_HEAD.format(name=name)]
    for prefix, purpose in PREFIXES.items():
        members = [v for v in declaration.variables.values() if v.name.startswith(prefix)]
        if members:
            lines.append(f"\n# === {purpose} ===\n")
        for variable in members:
            lines.extend(_lines(variable, role))
    return "".join(lines)


def _lines(variable: Variable, role: str | None) -> Iterator[str]:
    facts = [_one_line(described(variable)), _one_line(kind_words(variable)), need_words(variable)]
    yield f"\n# {'; '.join(fact for fact in facts if fact)}\n"
    needed = variable.required or role in variable.required_for
    default = default_text(variable)
    value = "" if default is None or "\n" in default else default
    yield f"{variable.name}=\n" if needed else f"#{variable.name}={value}\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())
