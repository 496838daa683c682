"""The group of bus commands; each one's module is imported when it is called."""

from __future__ import annotations

import click

from baqup_agent.cli.lazy_group import LazyGroup

#: Each command: where it lives, and its line in the overview.
_COMMANDS = {
    "watch": ("baqup_agent.cli.bus.watch:watch_command", "Show the agents that report on a bus."),
    "replay": ("baqup_agent.cli.bus.replay:replay", "Publish what agents could not report."),
}


@click.group("bus", cls=LazyGroup, table=_COMMANDS)
def bus_group() -> None:
    """Look at a bus, and publish what could not be reported."""
