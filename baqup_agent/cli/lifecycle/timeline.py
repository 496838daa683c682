"""``baqup-agent lifecycle timeline``: where the time of a run went."""

from __future__ import annotations

from pathlib import Path

import click

from baqup_agent.cli.lifecycle.output import write_text
from baqup_agent.contract import ExitCode
from baqup_agent.errors import UsageError
from baqup_agent.lifecycle.diagrams import TraceError, read_trace, timeline_svg, timeline_text

_HELP = """Show where the time of a run went, from its trace FILE.

\b
baqup-agent lifecycle timeline run.jsonl
baqup-agent lifecycle timeline run.jsonl --format svg --output run.svg

A trace is what a run writes to BAQUP_AGENT_TRACE_FILE.
"""


@click.command("timeline", help=_HELP)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "svg"]),
    help="What to write; text unless the output is named .svg.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE instead of the terminal.",
)
def timeline_command(*, file: Path, form: str | None, output: Path | None) -> int:
    """Read the trace and write its timeline where it is wanted."""
    form = form or ("svg" if output is not None and output.suffix.lower() == ".svg" else "text")
    try:
        trace = read_trace(file)
    except TraceError as error:
        raise UsageError(str(error)) from error
    write_text(timeline_svg(trace) if form == "svg" else timeline_text(trace), output)
    return ExitCode.SUCCESS
