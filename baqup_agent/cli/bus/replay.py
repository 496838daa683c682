"""``baqup-agent bus replay``: publish what dead agents left."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from attrs import asdict

from baqup_agent.bus.configured import settings_from
from baqup_agent.bus.url import PASSWORD_VARIABLE
from baqup_agent.cli.text import count, printable, size
from baqup_agent.config.load import environment
from baqup_agent.config.settings import BusSettings
from baqup_agent.contract import ExitCode
from baqup_agent.controller.replay import Replay
from baqup_agent.controller.replay_sources import (
    ALIVE,
    FOUND,
    PUBLISHED,
    UNUSABLE,
    WAITING,
    Outcome,
    find,
    look,
)
from baqup_agent.errors import UsageError

_HELP = """Publish what agents left in DIR that died, or ended while the bus was out of reach.

DIR is a fallback directory (BAQUP_BUS_FALLBACK_DIR) or a staging root (BAQUP_STAGING_DIR), or one
job's directory in either. Outboxes and .baqup-status.json files are found below it. Repeating a
replay does no harm: no event is written twice, and a newer status is not overwritten. Outboxes of
live agents are left alone.

\b
baqup-agent bus replay /tmp/baqup-buffer --dry-run
baqup-agent bus replay /tmp/baqup-buffer --bus redis://localhost:6379/0
baqup-agent bus replay OUT --remove-status
"""

_EPILOG = (
    "Exit code: 0 if everything is published, 75 if the bus is out of reach (everything is kept), "
    "65 if something damaged was skipped, 64 for bad input."
)


@click.command("replay", help=_HELP, epilog=_EPILOG)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--bus", "url", metavar="URL", help="The bus; by default BAQUP_BUS_URL.")
@click.option(
    "--key-prefix",
    metavar="PREFIX",
    help="What keys begin with; by default what each outbox tells, else BAQUP_BUS_KEY_PREFIX.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be sent; needs no bus.")
@click.option("--remove-status", is_flag=True, help="Remove the status files that were sent.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def replay(
    *,
    directory: Path,
    url: str | None,
    key_prefix: str | None,
    dry_run: bool,
    remove_status: bool,
    as_json: bool,
) -> int:
    """Find what can be replayed, publish it, and print what became of it."""
    sources = find(directory)
    if dry_run:
        return _show((look(source) for source in sources), directory, None, as_json=as_json)
    courier = Replay(_settings(url), key_prefix=key_prefix, remove_status=remove_status)
    return _show(courier.run(sources), directory, courier, as_json=as_json)


def _settings(url: str | None) -> BusSettings:
    given = dict(environment())
    url = url or given.get("BAQUP_BUS_URL")
    if not url:
        raise UsageError("no bus is given; add --bus URL, set BAQUP_BUS_URL, or use --dry-run")
    names = ("BAQUP_BUS_KEY_PREFIX", PASSWORD_VARIABLE)
    return settings_from(
        {"BAQUP_BUS_URL": url, **{name: given[name] for name in names if given.get(name)}}
    )


def _show(
    outcomes: Iterable[Outcome], directory: Path, courier: Replay | None, *, as_json: bool
) -> int:
    told: list[Outcome] = []
    for outcome in outcomes:
        told.append(outcome)
        click.echo(json.dumps(_record(outcome)) if as_json else "\n".join(_lines(outcome)))
    if not told and not as_json:
        click.echo(f"{printable(str(directory))}: nothing to replay")
    if courier is not None and courier.outage is not None:
        reason = printable(courier.outage)
        click.echo(
            f"baqup-agent bus replay: error: the bus is out of reach: {reason}; "
            "everything it has not taken is kept, so try again",
            err=True,
        )
        return ExitCode.COMPLETED_UNREPORTED
    if courier is not None and any(it.result == WAITING for it in told):
        return ExitCode.COMPLETED_UNREPORTED
    damaged = any(it.corrupt or it.rejected or it.result == UNUSABLE for it in told)
    return ExitCode.DATA_ERROR if damaged else ExitCode.SUCCESS


#: How a result reads.
_WORDS = {
    FOUND: click.style("would be published", fg="cyan"),
    PUBLISHED: click.style("published", fg="green"),
    WAITING: click.style("kept", fg="yellow"),
    ALIVE: "left alone, its process lives",
    UNUSABLE: click.style("not usable", fg="red"),
}


def _lines(outcome: Outcome) -> list[str]:
    whose = " ".join(filter(None, [outcome.job_id, outcome.agent_id]))
    what = "outbox" if outcome.kind == "outbox" else "status file"
    lines = [f"{printable(whose)} ({what}): {_WORDS[outcome.result]}{_contents(outcome)}"]
    if outcome.corrupt and outcome.kind == "outbox":
        lines.append(f"  problem: {count(outcome.corrupt, 'damaged record')} skipped")
    if outcome.rejected:
        lines.append(f"  problem: {count(outcome.rejected, 'message')} that no bus will take")
    if outcome.dropped:
        words = ", ".join(f"{number:,} {severity}" for severity, number in outcome.dropped.items())
        lines.append(f"  note: its process had no room for some events: {words}")
    if outcome.problem:
        lines.append(f"  problem: {printable(f'{outcome.path}: {outcome.problem}')}")
    return lines


def _contents(outcome: Outcome) -> str:
    if outcome.result in {ALIVE, UNUSABLE}:
        return ""
    parts = [count(outcome.events, "event")] if outcome.kind == "outbox" else []
    parts += ["the status"] if outcome.statuses else []
    return f": {', '.join([*parts, size(outcome.size_bytes)])}"


def _record(outcome: Outcome) -> dict[str, Any]:
    return {"type": "replay", **asdict(outcome), "path": str(outcome.path)}
