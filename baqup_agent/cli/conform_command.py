"""``baqup-agent conform``: judge any agent from outside."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from baqup_agent.config.load import environment
from baqup_agent.errors import BaqupError, IOFailure

if TYPE_CHECKING:
    from baqup_agent.conformance.report import Report

_PATH = click.Path(path_type=Path)

#: The file that is read if it is there and --config names no other.
_DEFAULT_FILE = "conform.toml"

_EPILOG = """
\b
Examples:
  baqup-agent conform -- agent-fs
  baqup-agent conform --config conform.toml --junit conform.xml -- ./my-agent
  baqup-agent conform --html conform.html -- ./my-agent
  baqup-agent conform --only signals --seed 7 --repeat 5 -- ./my-agent
  baqup-agent conform --list
  baqup-agent conform --explain contract/5/required-missing

conform.toml tells what a valid environment is; see spec/reference.md. Without one,
only BAQUP_SOURCE_PATH is set beside what every job needs.

Exit code: 0 the agent conforms, 1 it does not, 2 that could not be told.
"""


@click.command("conform", epilog=_EPILOG)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--config", "config", type=_PATH, metavar="FILE", help="Default: conform.toml.")
@click.option(
    "--only", "only", multiple=True, metavar="PATTERN", help="Section, number, id, 14-18."
)
@click.option("--tier", type=click.Choice(["A", "B"]), help="A: any agent; B: one with fixtures.")
@click.option("--strict", is_flag=True, help="A broken SHOULD counts.")
@click.option("--seed", type=int, metavar="N", help="Repeats what was drawn at random.")
@click.option("--repeat", type=click.IntRange(min=1), default=1, metavar="N", help="Times each.")
@click.option("--jobs", type=click.IntRange(1, 64), metavar="N", help="Checks at once.")
@click.option("--full", is_flag=True, help="Sweeps at full length, the contract's own intervals.")
@click.option(
    "--time-scale",
    type=click.FloatRange(0.01, 10),
    metavar="FACTOR",
    help="Of intervals that a variable sets; default 0.1, with --full 1.",
)
@click.option("--limit", type=click.FloatRange(min=1), default=3600.0, metavar="SECONDS")
@click.option("--bus", "bus_url", metavar="URL", help="A server; default: one of its own.")
@click.option("--json", "json_file", type=_PATH, metavar="FILE", help="Write the report as JSON.")
@click.option("--junit", "junit_file", type=_PATH, metavar="FILE", help="Write it as JUnit XML.")
@click.option("--html", "html_file", type=_PATH, metavar="FILE", help="Write it as one HTML page.")
@click.option("--no-color", is_flag=True, help="No colours on a terminal.")
@click.option("--list", "as_list", is_flag=True, help="List the checks and exit.")
@click.option("--explain", metavar="PATTERN", help="Tell all about checks and exit.")
def conform_command(  # noqa: PLR0913  one argument for each option
    *,
    command: tuple[str, ...],
    config: Path | None,
    only: tuple[str, ...],
    tier: str | None,
    strict: bool,
    seed: int | None,
    repeat: int,
    jobs: int | None,
    full: bool,
    time_scale: float | None,
    limit: float,
    bus_url: str | None,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
    no_color: bool,
    as_list: bool,
    explain: str | None,
) -> int:
    """Judge COMMAND, an agent in any language, as a controller would meet it."""
    from rich.console import Console

    from baqup_agent.conformance.check import Tier, all_checks, select
    from baqup_agent.conformance.conform_file import ConformFile, read_conform_file
    from baqup_agent.conformance.session import Settings
    from baqup_agent.conformance.suite import run_suite
    from baqup_agent.conformance.terminal import Terminal, explain_lines, list_lines
    from baqup_agent.conformance.verdicts import CannotJudge

    console = Console(no_color=no_color or "NO_COLOR" in environment())
    with _cannot_judge(BaqupError, CannotJudge):
        checks = select(all_checks(), only, Tier(tier) if tier else None)
        if as_list:
            return _print(list_lines(checks))
        if explain is not None:
            found = select(all_checks(), [explain])
            return _print("\n\n".join("\n".join(explain_lines(one)) for one in found).split("\n"))
        path = config or (Path(_DEFAULT_FILE) if Path(_DEFAULT_FILE).is_file() else None)
        settings = Settings(
            command=command,
            file=read_conform_file(path) if path else ConformFile(),
            host=environment(),
            seed=int.from_bytes(os.urandom(4)) if seed is None else seed,
            time_scale=time_scale or (1.0 if full else 0.1),
            full=full,
            bus_url=bus_url,
            jobs=jobs or max(2, len(os.sched_getaffinity(0))),
            repeat=repeat,
            limit_s=limit,
        )
        view = Terminal(console, strict=strict)
        with _stop_by_signal():
            report = run_suite(settings, checks, strict=strict, told=view.told)
        view.report(report)
        _write(report, json_file, junit_file, html_file)
        return report.exit_code


def _print(lines: list[str]) -> int:
    for line in lines:
        click.echo(line)
    return 0


def _write(
    report: Report, json_file: Path | None, junit_file: Path | None, html_file: Path | None
) -> None:
    from baqup_agent.conformance.junit import to_junit
    from baqup_agent.conformance.report_html import to_html

    if json_file is not None:
        _save(json_file, json.dumps(report.to_json(), indent=1) + "\n")
    if junit_file is not None:
        _save(junit_file, to_junit(report))
    if html_file is not None:
        _save(html_file, to_html(report))


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8", "backslashreplace")
    except OSError as error:
        raise IOFailure(f"{path} cannot be written: {error.strerror}; check it") from error


@contextmanager
def _cannot_judge(*kinds: type[Exception]) -> Iterator[None]:
    """End with 2, which says that nothing is known of the agent, on an error of our own."""
    try:
        yield
    except kinds as error:
        text = " ".join(str(error).split())
        print(f"baqup-agent conform: error: {text}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from error


@contextmanager
def _stop_by_signal() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C, so that nothing is left behind."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
