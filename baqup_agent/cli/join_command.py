"""``baqup-agent join``: the parts of a split artifact become one file again."""

from __future__ import annotations

from pathlib import Path

import click

from baqup_agent.cli.gauge import gauge
from baqup_agent.cli.text import count, printable, size
from baqup_agent.contract import ExitCode
from baqup_agent.errors import UsageError
from baqup_agent.staging.joining import Joined, join, split_artifact

_HELP = """Join the parts of a split artifact of the published DIR into one file.

NAME is the artifact's name without '.part00001'; it may be left out if only one artifact of DIR is
split. Every part is verified on the way, and none is changed. The file is what

    cat NAME.part* > NAME

gives: as it was stored, so still compressed, and encrypted if it was.

\b
baqup-agent join OUT/JOB_ID
baqup-agent join OUT/JOB_ID data.tar.zst --to /mnt/data.tar.zst
"""


@click.command(
    "join",
    help=_HELP,
    epilog="Exit code: 0 if the file is complete, 64 for wrong usage, 65 if a part is missing or "
    "corrupt, 73 if the file is there already or cannot be created, 74 if reading or writing "
    "failed. Unless it is 0, no file is left.",
)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--to",
    "target",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The new file, or a directory for it.  [default: NAME, in the current directory]",
)
def join_command(*, directory: Path, name: str | None, target: Path | None) -> int:
    """Join one artifact and tell what came of it."""
    if not directory.is_dir():
        raise UsageError(
            f"{printable(str(directory))!r} is not a directory; name a published one, OUT/JOB_ID"
        )
    whole = split_artifact(directory, name)
    place = target if target is not None else Path()
    path = place / whole.name if place.is_dir() else place
    with gauge(whole.size_bytes, "joining") as tell:
        joined = join(directory, whole, path, tell)
    click.echo(_line(joined))
    return ExitCode.SUCCESS


def _line(joined: Joined) -> str:
    parts = count(len(joined.whole.files), "part")
    word = click.style("joined", fg="green")
    return f"{printable(str(joined.path))}: {word}, {parts}, {size(joined.whole.size_bytes)}"
