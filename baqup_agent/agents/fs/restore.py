"""The role ``restore``: a published directory becomes a tree again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from baqup_agent.agents.fs.incomplete import MARKER, mark, sync_all, unmark
from baqup_agent.agents.fs.notes import notes_of
from baqup_agent.agents.fs.places import check_apart, check_target, open_source, open_target
from baqup_agent.agents.fs.plan import write_plan
from baqup_agent.agents.fs.read_ahead import ReadAhead
from baqup_agent.agents.fs.selection import compile_only
from baqup_agent.agents.fs.snapshot import ARTIFACT
from baqup_agent.agents.fs.target import KEEP, STREAMED, Target
from baqup_agent.errors import ConfigError, DataError, VerificationFailed
from baqup_agent.security.archive_reader import ByteSource
from baqup_agent.security.caps import Limits
from baqup_agent.security.choosing import Wanted
from baqup_agent.security.extraction import Selection, extract
from baqup_agent.security.member import Kind, Member, printable
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.reader import open_artifact
from baqup_agent.staging.verification import verify

if TYPE_CHECKING:
    from baqup_agent import Job

_SHOW_EVERY_S = 0.1

#: Members and pieces between two looks at clock and cancellation; a power of two. A piece from so
#: many bytes on is worth a look of its own.
_LOOK_EVERY, _LARGE_BYTES = 16, 1 << 16

#: What reading and hashing manages on a slow disk, for the time that the intent announces.
_SLOW_BYTES_PER_S = 50_000_000

#: Codes of restoring beyond those that snapshots know, with their severity.
_OWN_CODES = {"ATTRIBUTE_NOT_RESTORED": "warn"}


def restore(job: Job[Any]) -> None:
    """Bring ``BAQUP_SOURCE_PATH`` back to ``BAQUP_TARGET_PATH``, or what is asked for of it.

    By default the target is not touched before the manifest and the checksums were found to hold.
    Until all of it is there, and on the disk, a mark lies in it.

    Raises:
        ConfigError: the target lies in staging or in the source, or they in it; or nothing in the
            backup is what ``BAQUP_TARGET_ONLY`` asks for.
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
    _Restore(job, source, target, Manifest.read(source)).run()


class _Restore:
    """One restore of one backup.

    Args:
        job: the job.
        source: the published directory.
        target: where the tree shall stand.
        manifest: what was published.
    """

    def __init__(self, job: Job[Any], source: Path, target: Path, manifest: Manifest) -> None:
        self._job = job
        self._source = source
        self._target = target
        self._manifest = manifest
        self._options = Target.of(job.config)
        self._filename = _archive_of(manifest, source)
        self._limits = Limits(
            max_files=job.config["BAQUP_SOURCE_MAX_FILES"],
            max_depth=job.config["BAQUP_SOURCE_MAX_DEPTH"],
            max_bytes=self._options.max_bytes,
            max_entries=self._options.max_entries,
            max_name=self._options.max_name,
            header_bytes=self._options.max_header,
        )
        self._watcher = _Watcher(job, manifest.source_metadata.get("total_bytes_source"))

    def run(self) -> None:
        """Do it."""
        wanted = compile_only(self._options.only)
        if self._options.dry_run:
            with self._opened() as stream:
                found = write_plan(self._job, stream, self._limits, wanted, self._watcher.member)
        else:
            found = self._write(wanted)
        if not found:
            raise ConfigError(
                f"BAQUP_TARGET_ONLY {list(self._options.only)!r} picks nothing that is in the "
                "backup; name paths as its archive has them, without a slash for any place"
            )
        self._watcher.finish(self._target, self._manifest, dry_run=self._options.dry_run)

    def _write(self, wanted: Wanted | None) -> bool:
        sync, owner = self._options.sync, self._options.owner
        with self._opened() as stream, _directory(self._target) as root:
            mark(root, _mark_text(self._job), sync=sync)
            found = extract(
                stream,
                root,
                self._watcher,
                owners=os.geteuid() == 0 if owner is None else owner == KEEP,
                limits=self._limits,
                selection=None if wanted is None else Selection(wanted, self._opened),
                reserved=os.fsencode(MARKER),
                seal=self._sealing(root),
            )
            if sync:
                os.fsync(root)
        return found

    def _sealing(self, root: int) -> Callable[[], None]:
        def seal() -> None:
            if self._options.sync:
                with self._job.intent("sync_target", expected_duration_s=120):
                    sync_all(root)
            unmark(root)

        return seal

    @contextmanager
    def _opened(self) -> Iterator[ByteSource]:
        """Open the archive, all of the backup verified before or while it is read."""
        mode: Literal["first", "streamed"] = (
            "streamed" if self._options.verify == STREAMED else "first"
        )
        key = self._job.config.get("BAQUP_SECRET_ARTIFACT_KEY")
        total = sum(listed.size_bytes for listed in self._manifest.artifacts)
        with ExitStack() as stack:
            with self._job.intent(
                "verify_checksum",
                expected_duration_s=10 + total / _SLOW_BYTES_PER_S,
                detail=self._filename,
            ):
                self._verify_others()
                stream = stack.enter_context(
                    open_artifact(
                        self._source,
                        self._filename,
                        key=key,
                        verify=mode,
                        on_chunk=lambda _count: self._job.cancellation.check(),
                    )
                )
            yield stack.enter_context(ReadAhead(stream))

    def _verify_others(self) -> None:
        """Every artifact must hold before any is trusted (Contract §4)."""
        if all(_name_of(artifact) == self._filename for artifact in self._manifest.artifacts):
            return

        def progressed(_done: int, _total: int) -> None:
            self._job.cancellation.check()

        verification = verify(self._source, on_progress=progressed)
        if not verification.ok:
            raise VerificationFailed("; ".join(verification.problems))


def _archive_of(manifest: Manifest, source: Path) -> str:
    for artifact in manifest.artifacts:
        name = _name_of(artifact)
        if name == ARTIFACT or name.startswith(ARTIFACT + "."):
            return name
    raise DataError(
        f"BAQUP_SOURCE_PATH {str(source)!r} lists no artifact {ARTIFACT!r}; "
        f"name a directory published by a snapshot of this agent, this one is {manifest.agent}'s"
    )


def _name_of(artifact: Artifact) -> str:
    """An artifact's name; that of the whole where it is a part."""
    return artifact.filename if artifact.part is None else artifact.part.of


def _mark_text(job: Job[Any]) -> str:
    return (
        f"Job {job.id} restores into this directory and has not completed it.\n"
        "If no restore is running, what is here cannot be trusted: empty the directory.\n"
    )


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

    def __init__(self, job: Job[Any], expected_bytes: object) -> None:
        self._job = job
        self._check = job.cancellation.check
        self._expected_bytes = expected_bytes if isinstance(expected_bytes, int) else 0
        self._files = 0
        self._bytes = 0
        self._told = -1  # the first step is one to look at
        self._current = b""
        self._shown_s = 0.0
        self._note = notes_of(job)

    def member(self, member: Member) -> None:
        """Count a member that is about to be written."""
        self._files += member.kind is not Kind.DIRECTORY
        self._current = member.name
        self._step(member.size)

    def data(self, count: int) -> None:
        """Count content that was written; what is passed over may be large, and is looked at."""
        self._bytes += count
        self._step(count or _LARGE_BYTES)

    def note(self, code: str, name: bytes, message: str) -> None:
        """Tell the controller what could not be kept."""
        if code not in _OWN_CODES:
            self._note(code, name, message)
            return
        path = printable(name) or "."
        self._job.event(code, severity=_OWN_CODES[code], message=message, path=path)

    def finish(self, target: Path, manifest: Manifest, *, dry_run: bool) -> None:
        """Tell the whole."""
        self._job.progress(
            percent_complete=100, bytes_processed=self._bytes, files_processed=self._files
        )
        self._job.metadata(
            type="filesystem",
            path=printable(os.fsencode(target)),
            files_restored=0 if dry_run else self._files,
            total_bytes_restored=0 if dry_run else self._bytes,
            restored_job_id=manifest.job_id,
        )
        words = "nothing restored, as asked" if dry_run else "tree restored"
        self._job.log.info(words, files=self._files, bytes=self._bytes)

    def _step(self, size_bytes: int) -> None:
        self._told += 1
        if size_bytes >= _LARGE_BYTES or not self._told % _LOOK_EVERY:
            self._look()

    def _look(self) -> None:
        self._check()
        now = time.monotonic()
        if now - self._shown_s >= _SHOW_EVERY_S:
            self._shown_s = now
            self._show()

    def _show(self) -> None:
        percent = None
        if self._expected_bytes > 0:
            percent = round(min(self._bytes / self._expected_bytes, 0.99) * 100, 1)
        self._job.progress(
            percent_complete=percent,
            bytes_processed=self._bytes,
            files_processed=self._files,
            current_file=printable(self._current) or ".",
        )
