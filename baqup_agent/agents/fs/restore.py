"""The role ``restore``: a published directory becomes a tree again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from baqup_agent.agents.fs.notes import notes_of
from baqup_agent.agents.fs.places import check_apart, check_target, open_source, open_target
from baqup_agent.agents.fs.snapshot import ARTIFACT
from baqup_agent.errors import DataError, VerificationFailed
from baqup_agent.security.extraction import Limits, extract
from baqup_agent.security.member import Kind, Member, printable
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.reader import open_artifact
from baqup_agent.staging.verification import verify

if TYPE_CHECKING:
    from baqup_agent import Job

_SHOW_EVERY_S = 0.1

#: What reading and hashing manages on a slow disk, for the time that the intent announces.
_SLOW_BYTES_PER_S = 50_000_000


def restore(job: Job) -> None:
    """Bring ``BAQUP_SOURCE_PATH`` back to ``BAQUP_TARGET_PATH``.

    The target is not touched before the manifest and the checksums were found to hold.

    Raises:
        ConfigError: the target lies in staging or in the source, or they in it.
        OutputError: the target is not empty, or cannot be made.
        SourceUnavailable: the source cannot be read.
        VerificationFailed: it does not hold what its manifest promises.
        DataError: it was not written by this agent, or its archive is refused.
        IOFailure: reading or writing failed.
    """
    source: Path = job.config["BAQUP_SOURCE_PATH"]
    target: Path = job.config["BAQUP_TARGET_PATH"]
    check_apart("BAQUP_TARGET_PATH", target, "BAQUP_STAGING_DIR", job.config["BAQUP_STAGING_DIR"])
    check_apart("BAQUP_TARGET_PATH", target, "BAQUP_SOURCE_PATH", source)
    check_target(target)
    os.close(open_source(source))
    manifest = Manifest.read(source)
    with _opened(job, source, manifest) as stream, _directory(target) as root:
        watcher = _Watcher(job, manifest.source_metadata.get("total_bytes_source"))
        limits = Limits(
            max_files=job.config["BAQUP_SOURCE_MAX_FILES"],
            max_depth=job.config["BAQUP_SOURCE_MAX_DEPTH"],
        )
        extract(stream, root, watcher, owners=os.geteuid() == 0, limits=limits)
    watcher.finish(target, manifest)


@contextmanager
def _opened(job: Job, source: Path, manifest: Manifest) -> Iterator[BinaryIO]:
    """Verify everything that was published and open the archive in it."""
    artifact = _archive_of(manifest, source)
    total = sum(listed.size_bytes for listed in manifest.artifacts)
    with ExitStack() as stack:
        with job.intent(
            "verify_checksum",
            expected_duration_s=10 + total / _SLOW_BYTES_PER_S,
            detail=artifact.filename,
        ):
            if len(manifest.artifacts) > 1:
                _verify_all(job, source)
            stream = stack.enter_context(open_artifact(source, artifact.filename))
        yield stream


def _archive_of(manifest: Manifest, source: Path) -> Artifact:
    for artifact in manifest.artifacts:
        if artifact.filename == ARTIFACT or artifact.filename.startswith(ARTIFACT + "."):
            return artifact
    raise DataError(
        f"BAQUP_SOURCE_PATH {str(source)!r} lists no artifact {ARTIFACT!r}; "
        f"name a directory published by a snapshot of this agent, this one is {manifest.agent}'s"
    )


def _verify_all(job: Job, source: Path) -> None:
    def progressed(_done: int, _total: int) -> None:
        job.cancellation.check()

    verification = verify(source, on_progress=progressed)
    if not verification.ok:
        raise VerificationFailed("; ".join(verification.problems))


@contextmanager
def _directory(target: Path) -> Iterator[int]:
    root = open_target(target)
    try:
        yield root
    finally:
        os.close(root)


class _Watcher:
    """Turns what the extraction tells into progress and events.

    Args:
        job: the job.
        expected_bytes: what the manifest says of the tree's size; anything, since it is foreign.
    """

    def __init__(self, job: Job, expected_bytes: object) -> None:
        self._job = job
        self._expected_bytes = expected_bytes if isinstance(expected_bytes, int) else 0
        self._files = 0
        self._bytes = 0
        self._current = b""
        self._shown_s = 0.0
        self.note = notes_of(job)

    def member(self, member: Member) -> None:
        """Count a member that is about to be written."""
        self._job.cancellation.check()
        self._files += member.kind is not Kind.DIRECTORY
        self._current = member.name
        self._show()

    def data(self, count: int) -> None:
        """Count content that was written."""
        self._job.cancellation.check()
        self._bytes += count
        self._show()

    def finish(self, target: Path, manifest: Manifest) -> None:
        """Tell the whole."""
        self._job.progress(
            percent_complete=100, bytes_processed=self._bytes, files_processed=self._files
        )
        self._job.metadata(
            type="filesystem",
            path=printable(os.fsencode(target)),
            files_restored=self._files,
            total_bytes_restored=self._bytes,
            restored_job_id=manifest.job_id,
        )
        self._job.log.info("tree restored", files=self._files, bytes=self._bytes)

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown_s < _SHOW_EVERY_S:
            return
        self._shown_s = now
        percent = None
        if self._expected_bytes > 0:
            percent = round(min(self._bytes / self._expected_bytes, 0.99) * 100, 1)
        self._job.progress(
            percent_complete=percent,
            bytes_processed=self._bytes,
            files_processed=self._files,
            current_file=printable(self._current) or ".",
        )
