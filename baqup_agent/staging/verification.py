"""Verification: whether a directory holds what its manifest promises (Contract §4).

The reader's rules: no manifest means an incomplete backup; every artifact must be there, of the
size and with the checksum that the manifest states. Nothing here trusts what it reads, and
nothing that it reads makes it raise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from baqup_agent.contract import MANIFEST_NAME, ORPHAN_STATUS_NAME, STAGING_NAME
from baqup_agent.errors import BaqupError, ConfigError
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.checksum import feed, new_hash
from baqup_agent.staging.directory import ORPHAN_SCRATCH_NAME
from baqup_agent.staging.durable import open_directory, open_regular
from baqup_agent.staging.job_id import is_job_id
from baqup_agent.staging.manifest import Manifest

#: What may lie in a published directory beside the artifacts.
_EXPECTED = frozenset({MANIFEST_NAME, STAGING_NAME, ORPHAN_STATUS_NAME, ORPHAN_SCRATCH_NAME})

#: Names of unlisted files that are told one by one.
_MOST_UNLISTED = 20


@frozen
class ArtifactCheck:
    """What was found of one artifact that the manifest lists.

    Attributes:
        artifact: the manifest's entry.
        problem: one line on what is wrong with the file; None if it is intact.
    """

    artifact: Artifact
    problem: str | None


@frozen
class Verification:
    """What was found in a directory.

    Attributes:
        manifest: the manifest, None if there is none that holds.
        problems: one line for each reason not to trust the backup.
        notes: one line for each thing that is odd and does no harm.
        checks: the artifacts that the manifest lists, in its order.
        bytes_checked: bytes that were read and hashed.
    """

    manifest: Manifest | None
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    checks: tuple[ArtifactCheck, ...] = ()
    bytes_checked: int = 0

    @property
    def ok(self) -> bool:
        """Whether the backup is complete and intact."""
        return not self.problems


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
    directory: str | os.PathLike[str], *, on_progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Check a published directory against its manifest.

    Args:
        directory: the job's directory.
        on_progress: is told the bytes hashed so far and the bytes in all, after each chunk.
    """
    path = Path(directory)
    try:
        manifest = Manifest.read(path / MANIFEST_NAME)
        fd = open_directory(path, follow=True)
    except BaqupError as error:
        return Verification(None, (error.message,))
    except OSError as error:
        return Verification(None, (f"{str(path)!r} cannot be opened: {error.strerror}",))
    try:
        return _verify(path, fd, manifest, on_progress)
    finally:
        os.close(fd)


def _verify(
    path: Path, fd: int, manifest: Manifest, on_progress: Callable[[int, int], None] | None
) -> Verification:
    progress = _Progress(sum(a.size_bytes for a in manifest.artifacts), on_progress)
    checks = tuple(
        ArtifactCheck(artifact, _check(artifact, fd, progress)) for artifact in manifest.artifacts
    )
    problems = [check.problem for check in checks if check.problem is not None]
    problems += _misplaced(path, manifest)
    problems += _unlisted(fd, manifest)
    return Verification(manifest, tuple(problems), _notes(fd), checks, progress.done)


def _check(artifact: Artifact, directory: int, progress: Callable[[int], None]) -> str | None:
    try:
        with opened(artifact.filename, directory) as fd:
            return broken_promise(artifact, fd, progress)
    except FileNotFoundError:
        return f"{artifact.filename!r} is missing; the backup is incomplete, discard it"
    except OSError as error:
        return f"{artifact.filename!r} cannot be read: {error.strerror or error}"
    except ConfigError as error:
        return f"{artifact.filename!r} cannot be checked: {error.message}"


@contextmanager
def opened(filename: str, directory: int) -> Iterator[int]:
    """Open a regular file for reading, for the length of the block.

    Raises:
        OSError: it is absent, no regular file, or cannot be opened.
    """
    fd = open_regular(filename, directory)
    try:
        yield fd
    finally:
        os.close(fd)


def broken_promise(
    artifact: Artifact, fd: int, on_chunk: Callable[[int], None] | None = None
) -> str | None:
    """Compare an open file with the manifest's entry; None if they agree.

    Args:
        artifact: what the manifest promises.
        fd: the open file, at its beginning.
        on_chunk: is told the bytes of each chunk that was hashed.

    Raises:
        OSError: the file cannot be read.
        ConfigError: the checksum's algorithm needs a package that is not installed.
    """
    remedy = "it is corrupt, discard the backup"
    hasher = new_hash(artifact.checksum_algorithm)
    stored = os.fstat(fd).st_size
    size = feed(hasher, fd, on_chunk) if stored == artifact.size_bytes else stored
    if size != artifact.size_bytes:
        return (
            f"{artifact.filename!r} has {size} bytes, the manifest promises "
            f"{artifact.size_bytes}; {remedy}"
        )
    checksum = hasher.hexdigest()
    if checksum == artifact.checksum_value:
        return None
    return (
        f"{artifact.filename!r} has the {artifact.checksum_algorithm} {checksum}, the manifest "
        f"promises {artifact.checksum_value}; {remedy}"
    )


def _misplaced(path: Path, manifest: Manifest) -> list[str]:
    """A directory that bears one job's id must not hold another job's manifest."""
    name = path.resolve().name
    if not is_job_id(name) or name.lower() == manifest.job_id.lower():
        return []
    return [f"job {manifest.job_id!r} wrote the manifest, yet it lies in {name!r}; put it back"]


def _unlisted(fd: int, manifest: Manifest) -> list[str]:
    listed = {artifact.filename for artifact in manifest.artifacts}
    extra = sorted(_names(fd) - listed - _EXPECTED)
    problems = [
        f"{name!r} is unlisted: the manifest does not promise it; move it elsewhere"
        for name in extra[:_MOST_UNLISTED]
    ]
    if len(extra) > _MOST_UNLISTED:
        problems.append(f"{len(extra) - _MOST_UNLISTED} more files are unlisted")
    return problems


def _notes(fd: int) -> tuple[str, ...]:
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
