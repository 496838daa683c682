"""What ``--help`` says below the options: the environment, the exit codes, completion."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from baqup_agent.agent import Agent
from baqup_agent.config.schema import described
from baqup_agent.config.summary import default_text, kind_words, need_words
from baqup_agent.config.variables import Variable
from baqup_agent.contract import EXIT_CODES
from baqup_agent.runtime.completion import SHELLS

_WIDTH = 96


def epilogue(agent_class: type[Agent]) -> str:
    """Return the text."""
    declaration = agent_class.declaration()
    shown = [
        variable
        for variable in declaration.variables.values()
        if variable.required or variable.required_for or variable.name in declaration.own
    ]
    rest = len(declaration.variables) - len(shown)
    codes = ", ".join(f"{int(code)} {facts.meaning}" for code, facts in EXIT_CODES.items())
    return "\n".join(
        [
            "environment:",
            *(line for variable in shown for line in _lines(variable)),
            f"  and {rest} more, all optional; see --env-template or --env-table",
            "",
            *_wrapped("exit codes: ", codes),
            "",
            "logs go to stderr, answers to stdout",
            f"completion in bash: {SHELLS['bash'].format(command=agent_class.name)}",
        ]
    )


def _lines(variable: Variable) -> Iterator[str]:
    default = default_text(variable)
    facts = [
        kind_words(variable),
        need_words(variable) if default is None else f"default {default}",
    ]
    yield f"  {variable.name}  ({'; '.join(fact for fact in facts if fact)})"
    yield from textwrap.wrap(described(variable), _WIDTH, initial_indent=" " * 6)


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=head, subsequent_indent="  ")
