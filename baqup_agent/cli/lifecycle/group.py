"""The group of lifecycle commands; each one's module is imported when it is called."""

from __future__ import annotations

from importlib import import_module

import click

#: Each command: where it lives, and its line in the overview.
_COMMANDS = {
    "check": ("check:check_command", "Prove that a lifecycle refines the contract."),
    "diagram": ("diagram:diagram_command", "Draw a lifecycle, or a run of it."),
    "timeline": ("timeline:timeline_command", "Show where the time of a run went."),
    "convert": ("convert:convert_command", "Store a lifecycle, or export it to another tool."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(f"baqup_agent.cli.lifecycle.{module}"), name)
        assert isinstance(command, click.Command)  # noqa: S101  the table's promise
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.command(cls=_Lazy, name="lifecycle")
def lifecycle_group() -> None:
    """Look at, prove, draw and convert lifecycles.

    A TARGET is module:Class, path/to/agent.py:Class, contract, or a stored .json or .yaml file.
    """
