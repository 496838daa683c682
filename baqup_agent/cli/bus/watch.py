"""``baqup-agent bus watch``: who works, how far they are, who is alive."""

from __future__ import annotations

import sys
import time
from typing import Protocol

import click

from baqup_agent.bus.url import PASSWORD_VARIABLE
from baqup_agent.config.load import environment
from baqup_agent.contract import ExitCode
from baqup_agent.controller.fleet import AgentPicture, Fleet
from baqup_agent.controller.messages import BusMessage
from baqup_agent.controller.reader import BusReader
from baqup_agent.controller.stop import StopRequests
from baqup_agent.errors import SourceUnavailable, UsageError

#: Seconds between two looks.
_TICK_S = 0.1

#: Seconds that ``--once`` waits for a bus.
_ONCE_S = 2.0

_HELP = """Show the agents that report on a bus: their state, the age of their last heartbeat (amber
from 15 s, red from 30 s), what they announced, their progress, events, and how they ended.

\b
baqup-agent bus watch --bus redis://localhost:6379/0
baqup-agent bus watch --job 3f2c8a4e-9d1b-4c77-8f0e-2b6a51d0c9e4 --json
BAQUP_BUS_URL=file:///var/lib/bus baqup-agent bus watch --once

A bus that is away is waited for. Ctrl-C ends the watching, and nothing else.
"""


class WatchView(Protocol):
    """A way to show a bus."""

    def message(self, message: BusMessage, agent: AgentPicture) -> None:
        """A message was read; the agent's picture holds it already."""

    def changed(self, agent: AgentPicture) -> None:
        """It is thought otherwise of an agent than before."""

    def notice(self, text: str) -> None:
        """There is something to say about the bus itself."""

    def tick(self, fleet: Fleet, *, seeing: bool) -> None:
        """Some time has passed."""

    def close(self) -> None:
        """Leave the output as it was found."""

    def once(self, fleet: Fleet) -> None:
        """Show how things stand, and nothing more."""


@click.command("watch", help=_HELP)
@click.option("--bus", metavar="URL", help="The bus; by default BAQUP_BUS_URL.")
@click.option("--key-prefix", metavar="PREFIX", help="By default BAQUP_BUS_KEY_PREFIX or baqup:.")
@click.option("--job", metavar="ID", help="This job alone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--once", is_flag=True, help="Show how things stand, and end.")
@click.option("--no-color", is_flag=True, help="No colours on a terminal.")
def watch_command(
    *,
    bus: str | None,
    key_prefix: str | None,
    job: str | None,
    as_json: bool,
    once: bool,
    no_color: bool,
) -> int:
    """Read the bus and show what it says until Ctrl-C."""
    given = environment()
    url = bus or given.get("BAQUP_BUS_URL")
    if not url:
        raise UsageError("no bus is given; add --bus URL or set BAQUP_BUS_URL")
    reader = BusReader(
        url,
        key_prefix=key_prefix if key_prefix is not None else _default_prefix(),
        job_id=job,
        password=given.get(PASSWORD_VARIABLE),
    )
    view = _view(reader.display, as_json=as_json, no_color=no_color, once=once)
    stop = StopRequests()
    try:
        with stop.on_signals(), reader:
            _check(reader)
            _once(reader, view, stop) if once else _watch(reader, view, stop)
    except BrokenPipeError:
        pass  # the reader of our output has seen enough
    return ExitCode.SUCCESS


def _default_prefix() -> str:
    return environment().get("BAQUP_BUS_KEY_PREFIX", "baqup:")


def _check(reader: BusReader) -> None:
    """Raise what only another URL or password helps against; an outage is waited for."""
    if reader.refusal is not None:
        raise reader.refusal


def _watch(reader: BusReader, view: WatchView, stop: StopRequests) -> None:
    fleet = Fleet()
    if reader.seeing and reader.trouble:
        view.notice(f"{reader.display}: {reader.trouble}; it is waited for")
    try:
        while stop.take() is None:
            _take(reader, view, fleet, _TICK_S)
            _check(reader)
            view.tick(fleet, seeing=reader.seeing)
    finally:
        view.close()


def _take(reader: BusReader, view: WatchView, fleet: Fleet, timeout_s: float) -> None:
    messages = reader.poll(timeout_s)
    now_s = time.monotonic()
    for message in messages:
        view.message(message, fleet.take(message, now_s))
    for agent in fleet.look(now_s, seeing=reader.seeing):
        view.changed(agent)
    for note in reader.notes():
        view.notice(note)


def _once(reader: BusReader, view: WatchView, stop: StopRequests) -> None:
    fleet = Fleet()
    deadline_s = time.monotonic() + _ONCE_S
    while not reader.seeing and time.monotonic() < deadline_s and stop.take() is None:
        _take(reader, view, fleet, _TICK_S)
    _check(reader)
    if not reader.seeing or reader.trouble:
        raise SourceUnavailable(
            f"the bus {reader.display} cannot be read: {reader.trouble or 'it does not answer'}; "
            "check that it is up and that the URL is right"
        )
    now_s = time.monotonic()
    for message in reader.finish():
        view.message(message, fleet.take(message, now_s))
    fleet.look(now_s)
    view.once(fleet)


def _view(display: str, *, as_json: bool, no_color: bool, once: bool) -> WatchView:
    if as_json:
        from baqup_agent.cli.views.watch_lines import JsonWatch

        return JsonWatch()
    terminal = sys.stdout.isatty() and environment().get("TERM") not in (
        *(None, ""),
        *("dumb", "unknown"),
    )
    if terminal or once:
        from baqup_agent.cli.views.watch import LiveWatch  # rich is slow to import

        return LiveWatch(display, no_color=no_color)
    from baqup_agent.cli.views.watch_lines import PlainWatch

    return PlainWatch()
