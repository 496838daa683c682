"""``baqup-agent new``: a complete project of a new agent."""

from __future__ import annotations

from pathlib import Path

import click

from baqup_agent.cli.text import count, printable, size
from baqup_agent.contract import ExitCode, Role

_HELP = """Write the project of a new agent called NAME into an empty folder.

\b
baqup-agent new sqlite
baqup-agent new agent-sqlite --directory src/agent-sqlite --role snapshot

It holds an agent that works, its settings and lifecycle, tests, a Dockerfile, a compose file, a
Kubernetes Job and a CI workflow. NAME is lower-case words joined by hyphens; 'agent-' is put before
it where it is missing.
"""

#: The roles that there is a template for; others are methods that an author adds.
_ROLES = (Role.SNAPSHOT, Role.RESTORE)


@click.command(
    "new",
    help=_HELP,
    epilog="Exit code: 0 if everything was written; 64 for a name or folder that cannot be used, "
    "73 if it cannot be written. Then nothing has changed.",
)
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where to; by default a folder of the agent's name.",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([role.value for role in _ROLES]),
    help="Can be repeated; both by default.",
)
@click.option("--dry-run", is_flag=True, help="List the files and write nothing.")
@click.option("--force", is_flag=True, help="Overwrite files of the same names in DIR.")
def new_command(
    *, name: str, directory: Path | None, roles: tuple[str, ...], dry_run: bool, force: bool
) -> int:
    """Make the texts, and write them if all of them could be made."""
    from baqup_agent.packaging.names import project_names
    from baqup_agent.packaging.project import Project
    from baqup_agent.packaging.writing import check_target, write_all

    names = project_names(name)
    target = directory or Path(names.agent)
    check_target(target, force=force)
    asked = [Role(role) for role in roles] or _ROLES
    texts = Project(names, [role for role in _ROLES if role in asked]).texts()
    if not dry_run:
        write_all(texts, target)
    click.echo("\n".join(_lines(texts, target, dry_run=dry_run)))
    return ExitCode.SUCCESS


def _lines(texts: dict[str, str], target: Path, *, dry_run: bool) -> list[str]:
    where = printable(str(target))
    files = count(len(texts), "file")
    if not dry_run:
        return [f"{where}: {files} written; begin with {printable(str(target / 'README.md'))}"]
    rows = [
        f"  {size(len(text.encode())):>9}  {name}"
        + ("  (overwrites)" if (target / name).exists() else "")
        for name, text in texts.items()
    ]
    return [f"{where}: {files} would be written", *rows]
