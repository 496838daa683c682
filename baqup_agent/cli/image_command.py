"""``baqup-agent image``: the labels of an agent's image, written and checked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from baqup_agent.cli.text import printable
from baqup_agent.contract import ExitCode
from baqup_agent.controller.agents import resolve_agent
from baqup_agent.errors import UsageError
from baqup_agent.runtime.labels import FORMS

if TYPE_CHECKING:
    from baqup_agent.packaging.description import Description

#: Seconds that the container runtime may take to tell of an image.
_INSPECT_S = 60.0

_CHECK_HELP = """Compare an image's labels with what its agent says of itself.

\b
baqup-agent image check --labels Dockerfile .venv/bin/agent-sqlite
baqup-agent image check --image agent-sqlite:1.0.0
docker inspect --format '{{json .Config.Labels}}' IMAGE | baqup-agent image check --labels - fs

AGENT is a built-in agent such as fs, the path of a .py file, or an executable. Without it the
agent in the image is asked, in a container without a network.
"""

_LABELS_HELP = """Print the labels that the image of AGENT must carry.

\b
baqup-agent image labels .venv/bin/agent-sqlite | xargs docker build --tag agent-sqlite .
baqup-agent image labels --write Dockerfile .venv/bin/agent-sqlite
"""


@click.group("image")
def image_group() -> None:
    """Label images, and check their labels."""


@image_group.command(
    "check",
    help=_CHECK_HELP,
    epilog="Exit code: 0 if they are the same, 65 if they are not, 64 if one cannot be read.",
)
@click.argument("agent", required=False)
@click.option(
    "--labels",
    "source",
    metavar="FILE|-",
    help="A Dockerfile, or labels as JSON; - for standard input.",
)
@click.option("--image", metavar="REF", help="An image that docker knows.")
def check_command(*, agent: str | None, source: str | None, image: str | None) -> int:
    """List every difference with its remedy."""
    from baqup_agent.packaging.comparison import compare
    from baqup_agent.packaging.label_files import labels_of_text

    if (source is None) == (image is None):
        raise UsageError("give --labels FILE or --image REF, one of the two")
    if image is not None and image.startswith("-"):
        raise UsageError(f"{image!r} is no image; give --image NAME:TAG")
    text = _read(source) if source is not None else _inspect(str(image))
    found = labels_of_text(text, name=printable(source or f"the image {image}"))
    differences = compare(found, _description(agent, image).labels())
    for difference in differences:
        click.echo(printable(str(difference)))
    if differences:
        return ExitCode.DATA_ERROR
    click.echo("the labels are the agent's")
    return ExitCode.SUCCESS


@image_group.command("labels", help=_LABELS_HELP)
@click.argument("agent")
@click.option(
    "--form",
    type=click.Choice(list(FORMS)),
    default="arguments",
    help="Arguments of docker build (default), lines of a Dockerfile, or JSON.",
)
@click.option(
    "--write",
    "path",
    type=click.Path(path_type=Path),
    metavar="DOCKERFILE",
    help="Put them in the place of those in the file, or at its end.",
)
def labels_command(*, agent: str, form: str, path: Path | None) -> int:
    """Print or write them."""
    from baqup_agent.packaging.label_files import write_labels

    labels = _description(agent, None).labels()
    if path is None:
        click.echo(FORMS[form](labels))
    else:
        write_labels(path, labels)
        click.echo(f"{printable(str(path))}: {len(labels)} labels written")
    return ExitCode.SUCCESS


def _description(agent: str | None, image: str | None) -> Description:
    from baqup_agent.packaging.description import describe

    if agent is not None:
        return describe(resolve_agent(agent).argv)
    if image is None:
        raise UsageError("no agent given to compare with; name one, for example fs")
    return describe(["docker", "run", "--rm", "--read-only", "--network", "none", image])


def _read(source: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return raw.decode("utf-8")
    except OSError as error:
        raise UsageError(
            f"{printable(source)!r} cannot be read: {error.strerror}; give a Dockerfile or JSON"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{printable(source)!r} is not UTF-8; give a Dockerfile or JSON"
        ) from error


def _inspect(image: str) -> str:
    form = "{{json .Config.Labels}}"
    try:
        done = subprocess.run(  # noqa: S603  no shell, and the image is no option
            ["docker", "inspect", "--type", "image", "--format", form, image],  # noqa: S607
            capture_output=True,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            timeout=_INSPECT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"docker cannot tell of {image!r}: {error}; give --labels FILE instead"
        ) from error
    if done.returncode != 0:
        last = printable(done.stderr.strip().rpartition("\n")[2], 200)
        raise UsageError(f"docker cannot tell of {image!r}: {last}; or give --labels FILE")
    return done.stdout
