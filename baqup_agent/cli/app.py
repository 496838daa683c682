"""The group of commands; a command's module is imported when it is called."""

from __future__ import annotations

import click

from baqup_agent import __version__
from baqup_agent.cli.lazy_group import LazyGroup

#: The program's name in help and errors.
PROGRAM = "baqup-agent"

#: Each command: where it lives, and its line in the overview.
_COMMANDS = {
    "run": ("baqup_agent.cli.run_command:run_command", "Run one job of an agent and judge it."),
    "verify": ("baqup_agent.cli.verify_command:verify_command", "Check published directories."),
    "join": ("baqup_agent.cli.join_command:join_command", "Join the parts of a split artifact."),
    "conform": (
        "baqup_agent.cli.conform_command:conform_command",
        "Judge any agent against the contract.",
    ),
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


@click.group(
    cls=LazyGroup,
    table=_COMMANDS,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes of this program's own errors: 64 for wrong usage, 73 for a staging "
    "directory that cannot be made, 70 for a bug.",
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """The developer's companion for baqup backup agents."""
