"""The group of lifecycle commands; each one's module is imported when it is called."""

from __future__ import annotations

import click

from baqup_agent.cli.lazy_group import LazyGroup

#: Each command: where it lives, and its line in the overview.
_COMMANDS = {
    "check": (
        "baqup_agent.cli.lifecycle.check:check_command",
        "Prove that a lifecycle refines the contract.",
    ),
    "diagram": (
        "baqup_agent.cli.lifecycle.diagram:diagram_command",
        "Draw a lifecycle, or a run of it.",
    ),
    "timeline": (
        "baqup_agent.cli.lifecycle.timeline:timeline_command",
        "Show where the time of a run went.",
    ),
    "convert": (
        "baqup_agent.cli.lifecycle.convert:convert_command",
        "Store a lifecycle, or export it to another tool.",
    ),
}


@click.group("lifecycle", cls=LazyGroup, table=_COMMANDS)
def lifecycle_group() -> None:
    """Look at, prove, draw and convert lifecycles.

    A TARGET is module:Class, path/to/agent.py:Class, contract, or a stored .json or .yaml file.
    """
