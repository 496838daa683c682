"""The group of bus commands; each one's module is imported when it is called."""

from __future__ import annotations

from importlib import import_module

import click

#: Each command: where it lives, and its line in the overview.
_COMMANDS = {
    "watch": ("watch:watch_command", "Show the agents that report on a bus."),
    "replay": ("replay:replay", "Publish what agents could not report."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(f"baqup_agent.cli.bus.{module}"), name)
        assert isinstance(command, click.Command)  # noqa: S101  the table's promise
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.command(cls=_Lazy, name="bus")
def bus_group() -> None:
    """Look at a bus, and publish what could not be reported."""
