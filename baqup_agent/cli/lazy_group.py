"""A group of commands whose modules are imported when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

#: Each command: its module and the name in it, and its line in the overview.
Table = Mapping[str, tuple[str, str]]


class LazyGroup(click.Group):
    """Knows its commands' names, and imports a command only to call it.

    Args:
        *arguments: of `click.Group`.
        table: the commands, in the order of the overview.
        **options: of `click.Group`.
    """

    def __init__(self, *arguments: Any, table: Table, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        if cmd_name not in self._table:
            return None
        module, _, name = self._table[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101  the table's promise
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, with a hint if there is none."""
        name = args[0]
        if not name.startswith("-") and name not in self._table:
            close = get_close_matches(name, self._table, n=1)
            known = ", ".join(self._table)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {known}."
            ctx.fail(f"No command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the overview without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._table.items()])
