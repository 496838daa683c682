"""What a restore would write, as an artifact of its own: one JSON object in each line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from baqup_agent.security.archive_reader import ByteSource
from baqup_agent.security.caps import Limits
from baqup_agent.security.choosing import Wanted
from baqup_agent.security.member import Kind, Member, printable
from baqup_agent.security.survey import survey

if TYPE_CHECKING:
    from baqup_agent import Job

#: The artifact's name before compression appends its suffix.
PLAN = "restore-plan.jsonl"

_KIND_WORDS = {
    Kind.FILE: "file",
    Kind.DIRECTORY: "directory",
    Kind.SYMLINK: "symlink",
    Kind.HARDLINK: "hardlink",
}


def write_plan(
    job: Job[Any],
    source: ByteSource,
    limits: Limits,
    wanted: Wanted | None,
    observe: Callable[[Member], None],
) -> bool:
    """Write the list as the artifact `PLAN`, and the totals into the job's metadata.

    Args:
        job: the job.
        source: the archive, uncompressed.
        limits: how much it may hold.
        wanted: what is asked for of it; None for everything.
        observe: is told of every member that would be written.

    Returns:
        Whether anything would be written.

    Raises:
        BaqupError: what the restore itself would raise about the archive.
    """
    files = total = entries = 0
    with job.staging.artifact(PLAN) as out:
        for member in survey(source, limits=limits, wanted=wanted):
            observe(member)
            entries += 1
            files += member.kind is not Kind.DIRECTORY
            total += member.size
            out.write(json.dumps(_line(member), ensure_ascii=False).encode() + b"\n")
    job.metadata(
        dry_run=True, files_planned=files, total_bytes_planned=total, entries_planned=entries
    )
    return entries > 0


def _line(member: Member) -> dict[str, Any]:
    line: dict[str, Any] = {
        "path": printable(member.name) or ".",
        "kind": _KIND_WORDS[member.kind],
        "mode": f"{member.mode:04o}",
        "uid": member.uid,
        "gid": member.gid,
        "mtime_ns": member.mtime_ns,
    }
    if member.kind is Kind.FILE:
        line["size_bytes"] = member.size
    if member.link:
        line["link"] = printable(member.link)
    return line
