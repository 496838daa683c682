"""``baqup-agent lifecycle convert``: store a lifecycle, or export it to another tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from baqup_agent.cli.lifecycle.target import find
from baqup_agent.contract import ExitCode
from baqup_agent.errors import OutputError, UsageError
from baqup_agent.lifecycle import formats
from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.refinement import LifecycleDeclarationError

_HELP = """Write the lifecycle of TARGET in another form.

json and yaml keep all of it and can be loaded again, as a TARGET too. scxml, transitions and
xstate are for other tools: transitions gives the arguments of its Machine, and xstate the
configuration for createMachine, both as JSON.

\b
baqup-agent lifecycle convert my_agent.py:MyAgent --to yaml
baqup-agent lifecycle convert lifecycle.yaml --to xstate --output machine.json
"""


def _json(form: Callable[[Lifecycle], dict[str, Any]]) -> Callable[[Lifecycle], str]:
    return lambda lifecycle: json.dumps(form(lifecycle), indent=2, ensure_ascii=False) + "\n"


_FORMS: dict[str, Callable[[Lifecycle], str]] = {
    "json": _json(formats.to_json),
    "yaml": formats.to_yaml,
    "scxml": formats.to_scxml,
    "transitions": _json(formats.to_transitions),
    "xstate": _json(formats.to_xstate),
}


@click.command("convert", help=_HELP)
@click.argument("target", metavar="TARGET")
@click.option("--to", "form", type=click.Choice(list(_FORMS)), required=True, help="The form.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="The file to write; by default the terminal."
)
def convert_command(*, target: str, form: str, output: Path | None) -> int:
    """Write a lifecycle in the form asked for."""
    try:
        text = _FORMS[form](find(target).lifecycle)
    except LifecycleDeclarationError as error:
        raise UsageError(str(error)) from error
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
    return ExitCode.SUCCESS


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{str(output)!r} cannot be written: {error.strerror}; name a file that can"
        ) from error
