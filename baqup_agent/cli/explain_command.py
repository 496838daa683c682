"""``baqup-agent explain``: what a code means, and what a controller does with it."""

from __future__ import annotations

import json
import textwrap

import click
from attrs import asdict

from baqup_agent.contract import ExitCode
from baqup_agent.controller.spec import (
    Explanation,
    error_codes,
    event_codes,
    exit_codes,
    explain,
)

#: Width of the text, columns.
_WIDTH = 96

#: Width of the column of labels.
_LABEL = 12


_HELP = """Tell what each CODE means: an exit code, its name, an error code or an event code.

Without a CODE, list all of them.

\b
baqup-agent explain 75
baqup-agent explain PARTIAL_FAILURE ABORTED 137
"""


@click.command("explain", help=_HELP)
@click.argument("codes", nargs=-1, metavar="[CODE]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def explain_command(*, codes: tuple[str, ...], as_json: bool) -> int:
    """Look the codes up in the contract's data and print what they say."""
    found = [entry for code in codes for entry in explain(code)]
    if as_json:
        for entry in found or [*exit_codes(), *error_codes(), *event_codes()]:
            click.echo(json.dumps(asdict(entry) | {"details": dict(entry.details)}))
    elif found:
        click.echo("\n\n".join(_text(entry) for entry in found))
    else:
        click.echo(_overview())
    return ExitCode.SUCCESS


def _text(entry: Explanation) -> str:
    title = entry.code if entry.name in ("", entry.code) else f"{entry.code} {entry.name}"
    lines = [click.style(title, bold=True) + f" ({entry.kind})", *_item("meaning", entry.meaning)]
    if entry.retriable is not None:
        lines += _item("retriable", entry.retriable)
    if entry.controller:
        lines += _item("controller", entry.controller)
    for label, text in entry.details:
        lines += _item(label, text)
    return "\n".join(lines)


def _item(label: str, text: str) -> list[str]:
    if len(label) > _LABEL:
        return [f"  {label}", *_wrapped(text, " " * (_LABEL + 3))]
    return _wrapped(text, f"  {label:<{_LABEL}} ")


def _wrapped(text: str, first: str) -> list[str]:
    rest = " " * len(first)
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=rest)


def _overview() -> str:
    return "\n".join(
        [
            *_table(
                "Exit codes", [(f"{e.code:>3} {e.name}", _with_retry(e)) for e in exit_codes()]
            ),
            "",
            *_table("Error codes", [(e.code, _with_exit(e)) for e in error_codes()]),
            "",
            *_table("Event codes", [(e.code, e.meaning) for e in event_codes()]),
        ]
    )


def _with_retry(entry: Explanation) -> str:
    return f"{entry.meaning} Retry: {entry.retriable}." if entry.retriable else entry.meaning


def _with_exit(entry: Explanation) -> str:
    return f"{entry.meaning} Exit {dict(entry.details)['exit code'].split()[0]}."


def _table(title: str, rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    lines = [click.style(title, bold=True)]
    for name, text in rows:
        lines += _wrapped(text, f"  {name:<{width}}  ")
    return lines
