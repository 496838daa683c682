"""``baqup-agent conform``: judge any agent from outside."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from attrs import frozen

from baqup_agent.config.load import environment
from baqup_agent.errors import BaqupError, IOFailure

if TYPE_CHECKING:
    from baqup_agent.conformance.check import Check
    from baqup_agent.conformance.report import Report
    from baqup_agent.conformance.session import Settings

_PATH = click.Path(path_type=Path)

#: The file that is read if it is there and --config names no other.
_DEFAULT_FILE = Path("conform.toml")

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


@frozen
class _Asked:
    """What the command line asks for; each attribute is the option of that name."""

    command: tuple[str, ...]
    config: Path | None
    only: tuple[str, ...]
    tier: str | None
    strict: bool
    complete: bool
    seed: int | None
    repeat: int
    jobs: int | None
    full: bool
    time_scale: float | None
    limit: float
    bus_url: str | None
    json_file: Path | None
    junit_file: Path | None
    html_file: Path | None
    no_color: bool
    as_list: bool
    explain: str | None


@click.command("conform", epilog=_EPILOG)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--config", "config", type=_PATH, metavar="FILE", help="Default: conform.toml.")
@click.option(
    "--only", "only", multiple=True, metavar="PATTERN", help="Section, number, id, 14-18."
)
@click.option("--tier", type=click.Choice(["A", "B"]), help="A: any agent; B: one with fixtures.")
@click.option("--strict", is_flag=True, help="A broken SHOULD counts.")
@click.option(
    "--complete",
    is_flag=True,
    help="Every check has to apply, at least in part, unless FILE says why not.",
)
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
def conform_command(**options: Any) -> int:
    """Judge COMMAND, an agent in any language, as a controller would meet it."""
    asked = _Asked(**options)
    with _cannot_judge():
        if asked.as_list:
            return _print(_listed(asked))
        if asked.explain is not None:
            return _print(_explained(asked.explain))
        return _judge(asked)


def _checks(asked: _Asked) -> list[Check]:
    from baqup_agent.conformance.check import Tier, all_checks, select

    return select(all_checks(), asked.only, Tier(asked.tier) if asked.tier else None)


def _listed(asked: _Asked) -> list[str]:
    from baqup_agent.conformance.terminal import list_lines

    return list_lines(_checks(asked))


def _explained(pattern: str) -> list[str]:
    from baqup_agent.conformance.check import all_checks, select
    from baqup_agent.conformance.terminal import explain_lines

    found = select(all_checks(), [pattern])
    return "\n\n".join("\n".join(explain_lines(one)) for one in found).split("\n")


def _print(lines: list[str]) -> int:
    for line in lines:
        click.echo(line)
    return 0


def _judge(asked: _Asked) -> int:
    from rich.console import Console

    from baqup_agent.conformance.suite import run_suite
    from baqup_agent.conformance.terminal import Terminal

    checks, settings = _checks(asked), _settings(asked)
    console = Console(no_color=asked.no_color or "NO_COLOR" in environment())
    view = Terminal(console, strict=asked.strict)
    with _stop_by_signal():
        report = run_suite(settings, checks, strict=asked.strict, told=view.told)
    view.report(report)
    _write(report, asked)
    return report.exit_code


def _settings(asked: _Asked) -> Settings:
    from baqup_agent.conformance.conform_file import ConformFile, read_conform_file
    from baqup_agent.conformance.session import Settings

    path = asked.config or (_DEFAULT_FILE if _DEFAULT_FILE.is_file() else None)
    return Settings(
        command=asked.command,
        file=read_conform_file(path) if path else ConformFile(),
        host=environment(),
        seed=int.from_bytes(os.urandom(4)) if asked.seed is None else asked.seed,
        time_scale=asked.time_scale or (1.0 if asked.full else 0.1),
        full=asked.full,
        complete=asked.complete,
        bus_url=asked.bus_url,
        jobs=asked.jobs or max(2, len(os.sched_getaffinity(0))),
        repeat=asked.repeat,
        limit_s=asked.limit,
    )


def _write(report: Report, asked: _Asked) -> None:
    from baqup_agent.conformance.junit import to_junit
    from baqup_agent.conformance.report_html import to_html

    if asked.json_file is not None:
        _save(asked.json_file, json.dumps(report.to_json(), indent=1) + "\n")
    if asked.junit_file is not None:
        _save(asked.junit_file, to_junit(report))
    if asked.html_file is not None:
        _save(asked.html_file, to_html(report))


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8", "backslashreplace")
    except OSError as error:
        raise IOFailure(f"{path} cannot be written: {error.strerror}; check it") from error


@contextmanager
def _cannot_judge() -> Iterator[None]:
    """End with 2, which says that nothing is known of the agent, on an error of our own."""
    from baqup_agent.conformance.verdicts import CannotJudge

    try:
        yield
    except (BaqupError, CannotJudge) as error:
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
