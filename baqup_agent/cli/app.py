"""The group of commands; a command's module is imported when it is called."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

import click

from baqup_agent import __version__

#: The program's name in help and errors.
PROGRAM = "baqup-agent"

#: Each command: where it lives, and its line in the overview.
_COMMANDS = {
    "run": ("baqup_agent.cli.run_command:run_command", "Run one job of an agent and judge it."),
    "verify": ("baqup_agent.cli.verify_command:verify_command", "Check published directories."),
    "lifecycle": ("baqup_agent.cli.lifecycle.group:lifecycle_group", "Draw and prove lifecycles."),
    "bus": ("baqup_agent.cli.bus.group:bus_group", "Watch a bus, replay what is left."),
    "new": ("baqup_agent.cli.new_command:new_command", "Write the project of a new agent."),
    "kubernetes": (
        "baqup_agent.cli.kubernetes_command:kubernetes_command",
        "Print the Kubernetes Job of an agent.",
    ),
    "image": ("baqup_agent.cli.image_command:image_group", "Label images, check their labels."),
    "explain": ("baqup_agent.cli.explain_command:explain_command", "Tell what a code means."),
}

_HELP = """The developer's companion for baqup backup agents.

\b
baqup-agent run fs snapshot --source DIR --staging OUT
baqup-agent run fs restore --from OUT/JOB_ID --target DIR2
baqup-agent verify OUT/JOB_ID
baqup-agent explain 75
"""


class LazyGroup(click.Group):
    """A group that knows its commands' names, and imports a command only to call it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101  the table's promise
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, with a hint if there is none."""
        name = args[0]
        if not name.startswith("-") and name not in _COMMANDS:
            close = get_close_matches(name, _COMMANDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(_COMMANDS)}."
            ctx.fail(f"No command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the overview without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes of this program's own errors: 64 for wrong usage, 73 for a staging "
    "directory that cannot be made, 70 for a bug.",
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """The developer's companion for baqup backup agents."""
