"""``baqup-agent run``: one job, watched and judged."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from baqup_agent.cli.views.guarded import GuardedView, View
from baqup_agent.config.load import environment
from baqup_agent.contract import LogLevel
from baqup_agent.controller.agents import resolve_agent
from baqup_agent.controller.env_file import parse_pair, read_env_file
from baqup_agent.controller.liveness import Patience
from baqup_agent.controller.request import JobRequest
from baqup_agent.controller.run import run_job

_PATH = click.Path(path_type=Path)

_EPILOG = """
\b
Examples:
  baqup-agent run fs snapshot --source DIR --staging OUT
  baqup-agent run fs restore --from OUT/JOB_ID --target DIR2
  baqup-agent run ./my_agent.py snapshot --env-file job.env
  baqup-agent run fs snapshot --source DIR --staging OUT --bus embedded --json

The agent sees none of your BAQUP_* variables, only what is given here: first the defaults, then
--env-file, then the options, then --env. PATH, HOME, LANG, LC_*, TZ, TMPDIR, PYTHON*,
VIRTUAL_ENV and LD_LIBRARY_PATH are passed on.

Exit code: the agent's own; 128 plus the signal's number if one ended it. If the agent's code
promises a backup (0, 75 or 76) and what it left does not bear that out, the code is 70 instead,
so that no script takes the promise for the thing.

An agent without a heartbeat for 30 s is probed (SIGUSR1), and killed if it gives none within 5 s.

Ctrl-C asks the agent to stop (SIGTERM, once) and waits for it.
"""


@click.command("run", epilog=_EPILOG)
@click.argument("agent")
@click.argument("role")
@click.option("--staging", type=_PATH, metavar="DIR", help="Root of staging; made if need be.")
@click.option("--source", type=_PATH, metavar="DIR", help="What to back up (BAQUP_SOURCE_PATH).")
@click.option(
    "--from",
    "published",
    type=_PATH,
    metavar="DIR",
    help="A published directory to read; its parent is the default of --staging.",
)
@click.option("--target", type=_PATH, metavar="DIR", help="Where to restore (BAQUP_TARGET_PATH).")
@click.option("--exclude", "excludes", multiple=True, metavar="PATTERN", help="Can be repeated.")
@click.option("--env-file", type=_PATH, metavar="FILE", help="Lines of KEY=VALUE.")
@click.option("--env", "pairs", multiple=True, metavar="KEY=VALUE", help="Can be repeated.")
@click.option("--job-id", metavar="UUID", help="Default: a new one.")
@click.option("--timeout", "timeout_s", type=click.IntRange(min=1), metavar="SECONDS")
@click.option(
    "--bus",
    metavar="file|embedded|URL",
    help="Where messages go: files (default), a server that lasts as long as the run, or a URL.",
)
@click.option(
    "--log-level",
    type=click.Choice([level.word for level in LogLevel]),
    help="What the agent logs (BAQUP_AGENT_LOG_LEVEL).",
)
@click.option(
    "--trace", type=_PATH, metavar="FILE", help="Write the transitions there, for 'lifecycle'."
)
@click.option(
    "--no-zombie-check",
    is_flag=True,
    help="Let the agent be silent, under a debugger for instance.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show all of the agent's log.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, the verdict last.")
@click.option("--no-color", is_flag=True, help="No colours on a terminal.")
def run_command(  # noqa: PLR0913  one argument for each option
    *,
    agent: str,
    role: str,
    staging: Path | None,
    source: Path | None,
    published: Path | None,
    target: Path | None,
    excludes: tuple[str, ...],
    env_file: Path | None,
    pairs: tuple[str, ...],
    job_id: str | None,
    timeout_s: int | None,
    bus: str | None,
    log_level: str | None,
    trace: Path | None,
    no_zombie_check: bool,
    verbose: bool,
    as_json: bool,
    no_color: bool,
) -> int:
    """Run AGENT in ROLE as a controller would: start, watch, verify, judge.

    AGENT is a built-in agent such as fs, the path of a .py file, or an executable.
    """
    request = JobRequest(
        agent=resolve_agent(agent),
        role=role,
        staging=staging,
        source=source,
        published=published,
        target=target,
        excludes=excludes,
        job_id=job_id,
        timeout_s=timeout_s,
        log_level=log_level,
        trace=trace,
        bus=bus,
        patience=None if no_zombie_check else Patience(),
        file_variables=read_env_file(env_file) if env_file else {},
        variables=dict(parse_pair(pair) for pair in pairs),
    )
    view = GuardedView(_view(as_json=as_json, verbose=verbose, no_color=no_color))
    try:
        report = run_job(request, watcher=view, pass_on_signals=True)
    finally:
        view.close()
    view.report(report)
    return report.verdict.exit_code


def _view(*, as_json: bool, verbose: bool, no_color: bool) -> View:
    if as_json:
        from baqup_agent.cli.views.json_lines import JsonView

        return JsonView(verbose=verbose)
    if _is_terminal():
        from baqup_agent.cli.views.live import LiveView  # rich is slow to import

        return LiveView(verbose=verbose, no_color=no_color)
    from baqup_agent.cli.views.plain import PlainView

    return PlainView(verbose=verbose)


def _is_terminal() -> bool:
    return sys.stdout.isatty() and environment().get("TERM") not in (None, "", "dumb", "unknown")
