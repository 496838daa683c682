"""``baqup-agent verify``: does a published directory hold what its manifest promises?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from baqup_agent.cli.gauge import gauge
from baqup_agent.cli.text import count, printable, size
from baqup_agent.cli.views.summary import artifact_text
from baqup_agent.config.load import environment
from baqup_agent.contract import ExitCode
from baqup_agent.errors import BaqupError
from baqup_agent.security.secret import Secret
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.verification import ArtifactCheck, Content, Damage, Verification, verify
from baqup_agent.staging.whole import Whole, wholes

_KEY = "BAQUP_SECRET_ARTIFACT_KEY"

_HELP = """Check each published DIR: its manifest, and every artifact's size and checksum.

The bytes are checked as they are stored, so encrypted artifacts need no key. With --deep the
artifacts are also decrypted, by the key in the variable BAQUP_SECRET_ARTIFACT_KEY, and
decompressed, and tar archives are read member by member.

\b
baqup-agent verify OUT/JOB_ID
baqup-agent verify --deep OUT/JOB_ID
baqup-agent verify --json OUT/*
"""

#: Exit codes, the one that counts most first.
_GRAVEST_FIRST = (ExitCode.USAGE_CONFIG_ERROR, ExitCode.DATA_ERROR, ExitCode.IO_ERROR)


@click.command(
    "verify",
    help=_HELP,
    epilog="Exit code: 0 if everything holds; 64 if a DIR is none, or if a key or a package is "
    "missing for what was asked; 65 if a backup is corrupt or incomplete (--json tells which, as "
    "'damage'), or holds what cannot be decoded or was not promised; 74 if something cannot be "
    "read. Of several, the first of these.",
)
@click.argument(
    "directories", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path)
)
@click.option("--deep", is_flag=True, help="Decrypt and decompress too, and walk archives.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each DIR.")
def verify_command(*, directories: tuple[Path, ...], deep: bool, as_json: bool) -> int:
    """Verify the directories in turn and print what was found."""
    codes = [_verify(directory, deep=deep, as_json=as_json) for directory in directories]
    return next((code for code in _GRAVEST_FIRST if code in codes), ExitCode.SUCCESS)


def _verify(directory: Path, *, deep: bool, as_json: bool) -> ExitCode:
    if not directory.is_dir():
        reason = "is not a directory" if os.path.lexists(directory) else "does not exist"
        shown = printable(str(directory))
        click.echo(f"baqup-agent verify: error: {shown} {reason}; name OUT/JOB_ID", err=True)
        return ExitCode.USAGE_CONFIG_ERROR
    found = _found(directory, deep=deep)
    if as_json:
        click.echo(json.dumps(_record(directory, found, deep=deep)))
    else:
        click.echo("\n".join(_lines(directory, found, deep=deep)))
    return found.damage.exit_code if found.damage else ExitCode.SUCCESS


def _found(directory: Path, *, deep: bool) -> Verification:
    before = 0
    with gauge(_size_bytes(_manifest(directory)), "checksums") as tell:

        def progressed(done: int, _total: int) -> None:
            nonlocal before
            tell(done - before)
            before = done

        found = verify(directory, on_progress=progressed)
    return _inside(directory, found) if deep else found


def _inside(directory: Path, found: Verification) -> Verification:
    from baqup_agent.staging.inside import look_inside

    value = environment().get(_KEY)
    key = Secret(value) if value else None
    with gauge(_size_bytes(found.manifest), "contents") as tell:
        return look_inside(directory, found, key=key, on_stored=tell)


def _manifest(directory: Path) -> Manifest | None:
    """The manifest, for the bar alone; what is wrong with it is told by the verification."""
    try:
        return Manifest.read(directory)
    except BaqupError:
        return None


def _size_bytes(manifest: Manifest | None) -> int:
    return sum(artifact.size_bytes for artifact in manifest.artifacts) if manifest else 0


def _lines(directory: Path, found: Verification, *, deep: bool) -> list[str]:
    lines = [f"{printable(str(directory))}: {_word(found)}"]
    lines += [
        f"  {_artifact_word(check)}  {artifact_text(check.artifact)}{_how(check)}"
        for check in found.checks
    ]
    lines += [f"  inside: {_content_text(content)}" for content in found.contents]
    lines += [f"  problem: {printable(problem)}" for problem in found.problems]
    lines += [f"  note: {printable(note)}" for note in _notes(found, deep=deep)]
    return lines


def _word(found: Verification) -> str:
    if found.ok:
        return click.style("valid", fg="green")
    if found.damage in (Damage.UNCHECKED, Damage.MISNAMED):
        return click.style("not checked", fg="yellow")
    return click.style("not valid", fg="red")


def _artifact_word(check: ArtifactCheck) -> str:
    return click.style("bad", fg="red") if check.problem else click.style("ok ", fg="green")


def _how(check: ArtifactCheck) -> str:
    """What kind of file it is, beside its name and size."""
    artifact = check.artifact
    words = ""
    if artifact.part is not None:
        words += f"  part {artifact.part.number} of {artifact.part.count}"
    if artifact.encrypted:
        words += "  encrypted"
    return words


def _content_text(content: Content) -> str:
    text = f"{printable(content.name)}  {size(content.size_bytes)}"
    return text if content.members is None else f"{text}, {count(content.members, 'member')}"


def _notes(found: Verification, *, deep: bool) -> list[str]:
    notes = list(found.notes)
    sealed = [whole for whole in _wholes(found) if whole.encrypted]
    if sealed and not deep:
        notes.append(
            f"{count(len(sealed), 'artifact')} encrypted: checked as stored, which takes no key; "
            f"--deep decrypts, by the key in {_KEY}"
        )
    return notes


def _wholes(found: Verification) -> tuple[Whole, ...]:
    return wholes(found.manifest) if found.manifest else ()


def _record(directory: Path, found: Verification, *, deep: bool) -> dict[str, Any]:
    manifest = found.manifest
    return {
        "type": "verification",
        "directory": str(directory),
        "ok": found.ok,
        "damage": found.damage,
        "job_id": manifest.job_id if manifest else None,
        "artifacts": [
            {
                **check.artifact.to_wire(),
                "ok": check.problem is None,
                "damage": check.finding.damage if check.finding else None,
                "problem": check.problem,
            }
            for check in found.checks
        ],
        "contents": [
            {"name": each.name, "size_bytes": each.size_bytes, "members": each.members}
            for each in found.contents
        ]
        if deep
        else None,
        "problems": list(found.problems),
        "findings": [
            {"damage": finding.damage, "message": finding.message} for finding in found.findings
        ],
        "notes": _notes(found, deep=deep),
        "bytes_checked": found.bytes_checked,
    }
