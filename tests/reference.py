"""The text of ``spec/reference.md``, derived from docstrings and declarations.

The parts about the package's names are in `tests.reference_names`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from baqup_agent import CONTRACT, Agent, errors
from baqup_agent.cli.app import cli
from baqup_agent.config.declaration import contract
from baqup_agent.config.table import environment_table
from baqup_agent.conformance import conform_file
from baqup_agent.contract import EVENT_CODES, EXIT_CODES
from baqup_agent.controller.agents import built_in_agents
from baqup_agent.lifecycle.tables import states_table, transitions_table
from baqup_agent.runtime.arguments import OPTIONS
from tests.reference_names import documentation, public_names

#: Where the text is kept.
PAGE = Path(__file__).parents[1] / "spec" / "reference.md"

_OPENING = """\
# Reference

<!-- Written by `python -m tests.refresh`; change the docstrings and declarations instead. -->

Everything below is derived from the package's docstrings and declarations. What the words mean is
told in [contract.md](contract.md), what they promise in [guarantees.md](guarantees.md).
"""

#: Columns of help texts, so that they do not depend on who refreshes them.
_WIDTH = 92

#: As the group itself has it; a context made here does not inherit it.
_HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


def reference() -> str:
    """Return what ``spec/reference.md`` must hold."""
    parts = [
        _OPENING,
        "## Lifecycle",
        states_table(CONTRACT),
        transitions_table(CONTRACT),
        "## Exit codes",
        _exit_codes(),
        "## Error codes",
        _error_codes(),
        "## Event codes",
        _event_codes(),
        "## Variables",
        "What every agent reads:",
        environment_table(contract()),
        *_agents(),
        "## Command lines",
        *_agent_command_line(),
        *_commands(cli, "baqup-agent"),
        "## conform.toml",
        documentation(conform_file),
        "## Names",
        *public_names(),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def refresh_reference() -> None:
    """Write the page anew."""
    PAGE.write_text(reference(), "utf-8")


def squeezed(text: str) -> str:
    """Return the text without what libraries of different versions wrap and indent differently."""
    return " ".join(text.split())


def _table(heading: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _exit_codes() -> str:
    return _table(
        ("Exit", "Name", "Meaning", "Run again?"),
        (
            (int(code), f"`{code.name}`", facts.meaning, facts.retriable or "-")
            for code, facts in EXIT_CODES.items()
        ),
    )


def _error_codes() -> str:
    return _table(
        ("Code", "Class of `baqup_agent.errors`", "Exit", "Category", "Retriable", "When"),
        (
            (
                f"`{cls.code}`",
                f"`{cls.__name__}`",
                int(cls.exit_code),
                cls.category,
                "yes" if cls.retriable else "no",
                _first_sentence(cls),
            )
            for cls in _tree(errors.BaqupError)
            if "code" in vars(cls) and cls is not errors.BaqupError
        ),
    )


def _tree(cls: type[errors.BaqupError]) -> Iterator[type[errors.BaqupError]]:
    yield cls
    for below in cls.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _tree(below)


def _first_sentence(cls: type) -> str:
    return (cls.__doc__ or "").partition("\n")[0].replace("``", "`")


def _event_codes() -> str:
    return _table(
        ("Code", "Severity", "Meaning"),
        ((f"`{code}`", event.severity, event.meaning) for code, event in EVENT_CODES.items()),
    )


def _agents() -> Iterator[str]:
    for name in built_in_agents():
        agent = _class_of(name)
        yield f"### What {agent.name} reads besides"
        yield environment_table(agent.declaration(), own=True)
        yield f"### The states of {agent.name}"
        yield states_table(agent.declared_lifecycle())


def _class_of(name: str) -> type[Agent]:
    module = import_module(f"baqup_agent.agents.{name}")
    (agent,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Agent) and value is not Agent
    )
    return agent


def _agent_command_line() -> Iterator[str]:
    yield "### AGENT"
    yield "Every agent is called with a role, or with one of these:"
    yield _table(
        ("Option", "What it does"),
        ((f"`{option.name}`{_words(option.words)}", option.purpose) for option in OPTIONS),
    )


def _words(words: Sequence[str]) -> str:
    return " " + " or ".join(f"`{word}`" for word in words) if words else ""


def _commands(command: click.Command, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, terminal_width=_WIDTH, **_HELP)
    yield f"### {name}"
    yield _indented(command.get_help(context))
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from _commands(found, f"{name} {below}")


def _indented(text: str) -> str:
    return re.sub(r"^(?=.)", "    ", text, flags=re.MULTILINE)
