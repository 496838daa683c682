"""``baqup-agent lifecycle diagram``: a lifecycle as a picture, and a run laid over it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from baqup_agent.cli.lifecycle.live import follow
from baqup_agent.cli.lifecycle.output import write_bytes, write_text
from baqup_agent.cli.lifecycle.target import Target, find
from baqup_agent.contract import ExitCode
from baqup_agent.errors import UsageError
from baqup_agent.lifecycle.diagrams import (
    GraphvizError,
    Overlay,
    TooLargeError,
    TraceError,
    dot,
    mermaid,
    overlay,
    png,
    read_trace,
    svg,
    text,
)

_HELP = """Draw the lifecycle of a TARGET, or a run of it.

\b
baqup-agent lifecycle diagram contract
baqup-agent lifecycle diagram my_agent:MyAgent --format svg --output agent.svg
baqup-agent lifecycle diagram my_agent:MyAgent --trace run.jsonl
baqup-agent lifecycle diagram my_agent:MyAgent --live run.jsonl

A trace is what a run writes to BAQUP_AGENT_TRACE_FILE. Only png needs a program: Graphviz's dot.
"""

_TEXTS: dict[str, Callable[[Target, Overlay | None], str]] = {
    "mermaid": lambda target, run: mermaid(target.lifecycle, target.name, run),
    "dot": lambda target, run: dot(target.lifecycle, target.name, run),
    "svg": lambda target, run: svg(target.lifecycle, target.name, run),
}

_FORMATS = ("text", "mermaid", "dot", "svg", "png")

_FILE = click.Path(path_type=Path)


@click.command("diagram", help=_HELP)
@click.argument("target")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="What to write; text unless the name of the output says otherwise.",
)
@click.option("--output", type=_FILE, metavar="FILE", help="Write to FILE instead of the terminal.")
@click.option("--trace", type=_FILE, metavar="FILE", help="Lay the run of this trace over it.")
@click.option("--live", type=_FILE, metavar="FILE", help="Re-draw as this trace grows, to its end.")
def diagram_command(
    *,
    target: str,
    form: str | None,
    output: Path | None,
    trace: Path | None,
    live: Path | None,
) -> int:
    """Draw it and write it where it is wanted."""
    form = form or _form_of(output)
    if live is not None and (form != "text" or output is not None or trace is not None):
        raise UsageError(
            "--live re-draws text in the terminal; give no --format, --output, --trace"
        )
    found = find(target)
    try:
        if live is not None:
            follow(found, live)
        else:
            run = overlay(found.lifecycle, read_trace(trace)) if trace is not None else None
            _draw(found, form, run, output)
    except (TraceError, GraphvizError, TooLargeError) as error:
        raise UsageError(str(error)) from error
    return ExitCode.SUCCESS


def _form_of(output: Path | None) -> str:
    suffixes = {".svg": "svg", ".png": "png", ".mmd": "mermaid", ".dot": "dot", ".gv": "dot"}
    return suffixes.get(output.suffix.lower(), "text") if output is not None else "text"


def _draw(target: Target, form: str, run: Overlay | None, output: Path | None) -> None:
    if form == "png":
        write_bytes(png(dot(target.lifecycle, target.name, run)), output)
    elif form == "text":
        colour = output is None and sys.stdout.isatty()
        write_text(text(target.lifecycle, target.name, run, colour=colour), output)
    else:
        write_text(_TEXTS[form](target, run), output)
