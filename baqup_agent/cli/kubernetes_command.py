"""``baqup-agent kubernetes``: the Job of an agent in one role."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from baqup_agent.contract import ExitCode
from baqup_agent.controller.agents import resolve_agent
from baqup_agent.controller.env_file import parse_pair, read_env_file
from baqup_agent.errors import UsageError

if TYPE_CHECKING:
    from baqup_agent.packaging.description import Description

_EPILOG = """
\b
Examples:
  baqup-agent kubernetes fs > job.yaml && kubectl create -f job.yaml
  baqup-agent kubernetes fs --role restore --env BAQUP_SOURCE_PATH=/staging/ID-OF-THE-JOB
  baqup-agent kubernetes .venv/bin/agent-sqlite --env-file job.env --namespace backups

The environment is checked against the agent's schema. Values of secrets, and URLs that carry a
password, are never printed: the Job takes them from a Secret. Without --name each 'kubectl create'
makes a new Job, and its UID is the job's id for all of its attempts.

YAML needs the extra: pip install "baqup-agent[yaml]". Its comments tell what the Job needs:
the image in a registry, claims, a Secret, and a bus; without BAQUP_BUS_URL it is
redis://redis:6379/0. A bus of files (file://) must lie in a volume, for instance in /staging.

Exit code: 0, or 64 if something is missing or wrong.
"""


@click.command("kubernetes", epilog=_EPILOG)
@click.argument("agent")
@click.option("--role", help="By default the agent's first.")
@click.option("--image", metavar="REF", help="By default the agent's name and version.")
@click.option(
    "--env-file", type=click.Path(path_type=Path), metavar="FILE", help="Lines of KEY=VALUE."
)
@click.option("--env", "pairs", multiple=True, metavar="KEY=VALUE", help="Can be repeated.")
@click.option("--namespace", metavar="NAME", help="Where it shall run.")
@click.option("--name", metavar="NAME", help="A name that stays the same.")
@click.option("--secret", metavar="NAME", help="The Secret; by default the agent's name-secrets.")
@click.option(
    "--claim",
    "claims",
    multiple=True,
    metavar="VOLUME=NAME",
    help="The claim for staging, source or target; by default baqup-VOLUME.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["yaml", "json"]),
    help="By default yaml, or json where the extra yaml is not installed; kubectl takes both.",
)
def kubernetes_command(  # noqa: PLR0913  one argument for each option
    *,
    agent: str,
    role: str | None,
    image: str | None,
    env_file: Path | None,
    pairs: tuple[str, ...],
    namespace: str | None,
    name: str | None,
    secret: str | None,
    claims: tuple[str, ...],
    form: str | None,
) -> int:
    """Print the Kubernetes Job that runs AGENT in a role.

    AGENT is a built-in agent such as fs, the path of a .py file, or an executable.
    """
    from baqup_agent.packaging.description import describe
    from baqup_agent.packaging.kubernetes import JobManifest, job_manifest, notes, tag_of
    from baqup_agent.packaging.placement import Placement

    from_file = read_env_file(env_file) if env_file else {}
    values = {**from_file, **dict(parse_pair(pair) for pair in pairs)}
    description = describe(resolve_agent(agent).argv)
    placement = Placement(
        description,
        _role(description, role),
        f"{description.name}:{tag_of(description.version)}" if image is None else image,
        values,
    )
    order = JobManifest(placement, namespace, name, secret, dict(map(_claim, claims)))
    for oddity in placement.environment.oddities:
        click.echo(f"baqup-agent kubernetes: note: {oddity}", err=True)
    click.echo(_written(job_manifest(order), notes(order), form))
    return ExitCode.SUCCESS


def _written(manifest: dict[str, Any], comments: list[str], form: str | None) -> str:
    """The manifest as text: as it was asked for, or else as it can be."""
    from baqup_agent.packaging.yaml_text import YamlMissing, to_yaml

    if form != "json":
        try:
            return to_yaml(manifest, comments).removesuffix("\n")
        except YamlMissing as missing:
            if form == "yaml":
                raise
            click.echo(f"baqup-agent kubernetes: JSON instead of YAML: {missing}", err=True)
    return json.dumps(manifest, indent=2)


def _role(description: Description, word: str | None) -> str:
    if word is None:
        return description.roles[0]
    if word in description.roles:
        return word
    close = get_close_matches(word, description.roles, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"unknown role {word!r}; the agent has {', '.join(description.roles)}{hint}")


def _claim(text: str) -> tuple[str, str]:
    volume, equals, claim = text.partition("=")
    if not equals or not claim or volume not in {"staging", "source", "target"}:
        raise UsageError(f"--claim {text!r}: expected staging=NAME, source=NAME or target=NAME")
    return volume, claim
