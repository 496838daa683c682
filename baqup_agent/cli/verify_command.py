"""``baqup-agent verify``: does a published directory hold what its manifest promises?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from baqup_agent.cli.text import printable
from baqup_agent.cli.views.summary import artifact_text
from baqup_agent.contract import ExitCode
from baqup_agent.staging.verification import ArtifactCheck, Verification, verify

_HELP = """Check each published DIR: its manifest, and every artifact's size and checksum.

\b
baqup-agent verify OUT/JOB_ID
baqup-agent verify --json OUT/*
"""


@click.command(
    "verify",
    help=_HELP,
    epilog="Exit code: 0 if everything holds, 65 if anything does not, 64 if a DIR is none.",
)
@click.argument(
    "directories", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each DIR.")
def verify_command(*, directories: tuple[Path, ...], as_json: bool) -> int:
    """Verify the directories in turn and print what was found."""
    codes = [_verify(directory, as_json=as_json) for directory in directories]
    if ExitCode.USAGE_CONFIG_ERROR in codes:
        return ExitCode.USAGE_CONFIG_ERROR
    return max(codes)


def _verify(directory: Path, *, as_json: bool) -> ExitCode:
    if not directory.is_dir():
        reason = "is not a directory" if os.path.lexists(directory) else "does not exist"
        shown = printable(str(directory))
        click.echo(f"baqup-agent verify: error: {shown} {reason}; name OUT/JOB_ID", err=True)
        return ExitCode.USAGE_CONFIG_ERROR
    found = verify(directory)
    if as_json:
        click.echo(json.dumps(_record(directory, found)))
    else:
        click.echo("\n".join(_lines(directory, found)))
    return ExitCode.SUCCESS if found.ok else ExitCode.DATA_ERROR


def _lines(directory: Path, found: Verification) -> list[str]:
    word = click.style("valid", fg="green") if found.ok else click.style("not valid", fg="red")
    lines = [f"{printable(str(directory))}: {word}"]
    lines += [
        f"  {_artifact_word(check)}  {artifact_text(check.artifact)}" for check in found.checks
    ]
    lines += [f"  problem: {printable(problem)}" for problem in found.problems]
    lines += [f"  note: {printable(note)}" for note in found.notes]
    return lines


def _artifact_word(check: ArtifactCheck) -> str:
    return click.style("bad", fg="red") if check.problem else click.style("ok ", fg="green")


def _record(directory: Path, found: Verification) -> dict[str, Any]:
    manifest = found.manifest
    return {
        "type": "verification",
        "directory": str(directory),
        "ok": found.ok,
        "job_id": manifest.job_id if manifest else None,
        "artifacts": [
            {**check.artifact.to_wire(), "ok": check.problem is None, "problem": check.problem}
            for check in found.checks
        ],
        "problems": list(found.problems),
        "notes": list(found.notes),
        "bytes_checked": found.bytes_checked,
    }
