"""Verification: whether a directory holds what its manifest promises (Contract §4).

The reader's rules: no manifest means an incomplete backup; every artifact must be there, of the
size and with the checksum that the manifest states. Nothing here trusts what it reads, and
nothing that it reads makes it raise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from baqup_agent.contract import MANIFEST_NAME, ORPHAN_STATUS_NAME, STAGING_NAME
from baqup_agent.errors import BaqupError, IOFailure
from baqup_agent.staging.checking import ArtifactCheck, Damage, Finding, check_files
from baqup_agent.staging.directory import ORPHAN_SCRATCH_NAME
from baqup_agent.staging.durable import exists, open_directory
from baqup_agent.staging.job_id import is_job_id
from baqup_agent.staging.manifest import Manifest

__all__ = ["ArtifactCheck", "Content", "Damage", "Finding", "Verification", "verify"]

#: What may lie in a published directory beside the artifacts.
_EXPECTED = frozenset({MANIFEST_NAME, STAGING_NAME, ORPHAN_STATUS_NAME, ORPHAN_SCRATCH_NAME})

#: Names of unlisted files that are told one by one.
_MOST_UNLISTED = 20


@frozen
class Content:
    """What a look inside an artifact found.

    Attributes:
        name: the artifact's name, the joined one if it is split.
        size_bytes: bytes of its decrypted, decompressed content.
        members: entries of the archive that it is; None if it is none.
    """

    name: str
    size_bytes: int
    members: int | None


@frozen
class Verification:
    """What was found in a directory.

    Attributes:
        manifest: the manifest, None if there is none that holds.
        findings: each reason not to trust the backup.
        notes: one line for each thing that is odd and does no harm.
        checks: the files that the manifest lists, in its order.
        bytes_checked: bytes that were read and hashed.
        contents: what was found inside the artifacts, if anybody looked.
    """

    manifest: Manifest | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    checks: tuple[ArtifactCheck, ...] = ()
    bytes_checked: int = 0
    contents: tuple[Content, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the backup is complete and intact."""
        return not self.findings

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each reason not to trust the backup."""
        return tuple(finding.message for finding in self.findings)

    @property
    def damage(self) -> Damage | None:
        """The gravest kind of what was found; None if the backup is complete and intact."""
        found = {finding.damage for finding in self.findings}
        return next((damage for damage in Damage if damage in found), None)


class _Progress:
    """Counts the bytes of all artifacts and passes the count on."""

    def __init__(self, total: int, listener: Callable[[int, int], None] | None) -> None:
        self.done = 0
        self._total = total
        self._listener = listener

    def __call__(self, size: int) -> None:
        self.done += size
        if self._listener is not None:
            self._listener(self.done, self._total)


def verify(
    directory: str | os.PathLike[str],
    *,
    on_progress: Callable[[int, int], None] | None = None,
    parallelism: int | None = None,
) -> Verification:
    """Check a published directory against its manifest.

    The bytes are checked as they are stored: no key is needed for encrypted ones.

    Args:
        directory: the job's directory.
        on_progress: is told the bytes hashed so far and the bytes in all, after each chunk, in
            this very thread; what it raises ends the check.
        parallelism: files that are hashed at once; as many as there are processors if None.
    """
    path = Path(directory)
    try:
        manifest = Manifest.read(path / MANIFEST_NAME)
        fd = open_directory(path, follow=True)
    except BaqupError as error:
        return Verification(None, (_without_manifest(path, error),))
    except OSError as error:
        message = f"{str(path)!r} cannot be opened: {error.strerror}"
        return Verification(None, (Finding(Damage.UNREADABLE, message),))
    try:
        progress = _Progress(sum(a.size_bytes for a in manifest.artifacts), on_progress)
        checks = check_files(manifest.artifacts, fd, progress, parallelism)
        findings = [check.finding for check in checks if check.finding is not None]
        findings += [*_misplaced(path, manifest), *_unlisted(fd, manifest)]
        return Verification(manifest, tuple(findings), _notes(fd), checks, progress.done)
    finally:
        os.close(fd)


def _without_manifest(path: Path, error: BaqupError) -> Finding:
    """Tell why there is no manifest that holds: one of three things is to be done."""
    if isinstance(error, IOFailure):
        return Finding(Damage.UNREADABLE, error.message)
    if os.path.lexists(path / MANIFEST_NAME):
        return Finding(Damage.CORRUPT, error.message)
    job = _job_below(path)
    if job is None:
        return Finding(Damage.INCOMPLETE, error.message)
    return Finding(
        Damage.MISNAMED,
        f"{str(path)!r} is no job's directory, it holds those of jobs; "
        f"name {path}/JOB_ID, for instance {str(path / job)!r}",
    )


def _job_below(path: Path) -> str | None:
    """Return the name of a job's directory in a directory, the first by name."""
    try:
        with os.scandir(path) as entries:
            jobs = [entry.name for entry in entries if is_job_id(entry.name) and entry.is_dir()]
    except OSError:
        return None
    return min(jobs, default=None)


def _misplaced(path: Path, manifest: Manifest) -> list[Finding]:
    """A directory that bears one job's id must not hold another job's manifest."""
    name = path.resolve().name
    if not is_job_id(name) or name.lower() == manifest.job_id.lower():
        return []
    message = f"job {manifest.job_id!r} wrote the manifest, yet it lies in {name!r}; put it back"
    return [Finding(Damage.FOREIGN, message)]


def _unlisted(fd: int, manifest: Manifest) -> list[Finding]:
    listed = {artifact.filename for artifact in manifest.artifacts}
    extra = sorted(_names(fd) - listed - _EXPECTED)
    messages = [
        f"{name!r} is unlisted: the manifest does not promise it; move it elsewhere"
        for name in extra[:_MOST_UNLISTED]
    ]
    if len(extra) > _MOST_UNLISTED:
        messages.append(f"{len(extra) - _MOST_UNLISTED} more files are unlisted")
    return [Finding(Damage.FOREIGN, message) for message in messages]


def _notes(fd: int) -> tuple[str, ...]:
    if not exists(STAGING_NAME, fd):
        return ()
    try:
        staging = open_directory(STAGING_NAME, fd)
    except OSError:
        return ()
    try:
        left = len(_names(staging))
    finally:
        os.close(staging)
    return (f"{STAGING_NAME!r} still holds {left} unpublished entries",) if left else ()


def _names(directory: int) -> set[str]:
    with os.scandir(directory) as entries:
        return {entry.name for entry in entries}
