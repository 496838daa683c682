"""Staging: where one job's artifacts come into being and are published from (Contract §4)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from baqup_agent.config.settings import ArtifactSettings
from baqup_agent.errors import InternalError, NoArtifact, OutputError
from baqup_agent.observability.sink import LogSink
from baqup_agent.observability.tracing import Tracing
from baqup_agent.staging.artifact import MAX_PARTS, Artifact, broken_rule, check_name, part_name
from baqup_agent.staging.checksum import new_hash
from baqup_agent.staging.child import Runner
from baqup_agent.staging.cipher import check_encryption, cipher_for, cipher_suffix
from baqup_agent.staging.codec import CODECS, Codec, check_level, choose
from baqup_agent.staging.directory import JobDirectory
from baqup_agent.staging.intake import Format
from baqup_agent.staging.job_id import check_job_id
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.orphan import write_orphan_status
from baqup_agent.staging.publication import Publication
from baqup_agent.staging.series import PartSeries
from baqup_agent.staging.writer import ArtifactWriter

#: The marks of the components that this thread works in, the outermost first.
_WITHIN: ContextVar[tuple[object, ...]] = ContextVar("baqup_components", default=())


def _go_on() -> None:
    """Ask for nothing: the check of a job that cannot be cancelled."""


def _unheard(asked: str, used: str) -> None:
    """Tell nobody of a fallback."""


class Staging:
    """The staging area of one job.

    The order of calls is `prepare`, any number of `artifact`, `publish`, `close`. Artifacts may be
    written by several threads at once, each artifact by one.

    Args:
        root: the root of staging.
        job_id: the job's UUID.
        settings: the form of artifacts.
        log: takes what is worth a line.
        check: called on each write to an artifact; raises when the job must stop.
        on_fallback: told the algorithm that was asked for and the one used instead.
        betrays: whether a name holds a secret.
        tracing: records spans.
        workers: threads that the compressor of a large artifact may have for itself.
        runner: runs the children whose output becomes an artifact.

    Raises:
        ConfigError: the job id is no UUID.
    """

    def __init__(  # noqa: PLR0913  what the parts of a run hand to it
        self,
        root: Path,
        job_id: str,
        settings: ArtifactSettings,
        *,
        log: LogSink,
        check: Callable[[], None] = _go_on,
        on_fallback: Callable[[str, str], None] = _unheard,
        betrays: Callable[[str], bool] = lambda _: False,
        tracing: Tracing | None = None,
        workers: int = 0,
        runner: Runner | None = None,
    ) -> None:
        self._root = root
        self._job_id = check_job_id(job_id)
        self._settings = settings
        self._log = log.bind("staging")
        self._check = check
        self._on_fallback = on_fallback
        self._betrays = betrays
        self._tracing = tracing or Tracing()
        self._workers = workers
        self._runner = runner
        self._lock = Lock()
        self._job: JobDirectory | None = None
        self._publication: Publication | None = None
        self._open: dict[str, ArtifactWriter] = {}
        self._sealed: dict[str, ArtifactWriter] = {}
        #: Components that are going on: the mark of each, and the marks that it stands in.
        self._components: dict[object, tuple[object, ...]] = {}
        #: The marks of the components that each open or sealed artifact belongs to.
        self._owners: dict[str, frozenset[object]] = {}

    @property
    def directory(self) -> Path:
        """The job's directory, in which artifacts appear when they are published."""
        return self._root / self._job_id

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The sealed artifacts, in the order in which they were sealed; parts one by one."""
        with self._lock:
            return tuple(part for writer in self._sealed.values() for part in writer.artifacts)

    @property
    def bytes_in(self) -> int:
        """Bytes of the sealed artifacts as the agent wrote them, before compression."""
        with self._lock:
            return sum(writer.bytes_in for writer in self._sealed.values())

    @property
    def open_writers(self) -> tuple[str, ...]:
        """The names of artifacts that are being written."""
        with self._lock:
            return tuple(self._open)

    @property
    def published(self) -> bool:
        """Whether the manifest is visible; may be asked from any thread."""
        return self._publication is not None and self._publication.visible

    def prepare(self) -> None:
        """Check the settings and make the directories; see `JobDirectory.prepare`.

        Raises:
            ConfigError: an algorithm is not available, the level is not one of its own, or the key
                does not fit the cipher.
            OutputError: the directories cannot be made or used.
            AlreadyPublished: an earlier attempt published this job.
        """
        check_level(self._settings)
        new_hash(self._settings.checksum_algorithm)
        if self._settings.encrypt:
            check_encryption(self._settings)
        self._job = JobDirectory.prepare(self._root, self._job_id, self._log)

    def artifact(self, name: str, *, compress: bool | str | None = None) -> ArtifactWriter:
        """Begin an artifact; use the result as a context manager.

        Args:
            name: its plain name; the suffixes of compression and encryption are appended.
            compress: None for the configured compression, False for none, True for the configured
                one or zstd where none is, or the name of an algorithm.

        Raises:
            InternalError: the name breaks a rule (``ARTIFACT_NAME_INVALID``), is in use already
                (``ARTIFACT_DUPLICATE``), or the algorithm is unknown; or it is too late.
            OutputError: its file cannot be created.
        """
        job = self._writable()
        if self._betrays(name):
            raise InternalError(
                "the name of an artifact holds a secret, and names are published; "
                "name it after what it holds",
                code="ARTIFACT_NAME_INVALID",
            )
        codec = self._codec(compress)
        filename = self._filename(check_name(name), codec)
        files = self._create(job, filename)
        writer = ArtifactWriter(
            files,
            self._form(codec, filename),
            log=self._log,
            check=self._check,
            settle=self._settle,
            tracing=self._tracing,
            runner=self._runner,
        )
        with self._lock:
            self._open[filename] = writer
            self._owners[filename] = frozenset(_WITHIN.get() or self._only_components())
        return writer

    @contextmanager
    def component(self) -> Iterator[object]:
        """Have what is written in the ``with`` block belong to one component; see `written_in`.

        A thread knows its components if it runs in a copy of their context, as those of
        `asyncio.to_thread` do. What any other thread begins belongs to the components that go on
        at that moment, unless some of them do so side by side: then it belongs to none.

        Yields:
            The mark of the component.
        """
        mark = object()
        within = (*_WITHIN.get(), mark)
        _WITHIN.set(within)
        with self._lock:
            self._components[mark] = within
        try:
            yield mark
        finally:
            with self._lock:
                del self._components[mark]
            # Not by a token: that fails where the block is left in another context.
            _WITHIN.set(tuple(each for each in _WITHIN.get() if each is not mark))

    def written_in(self, mark: object) -> tuple[str, ...]:
        """Return the sealed artifacts that belong to a component, each by its (first) file.

        Args:
            mark: what `component` gave; those inside it count too.
        """
        with self._lock:
            return tuple(
                writer.artifact.filename
                for name, writer in self._sealed.items()
                if mark in self._owners[name]
            )

    def discard(self, filename: str) -> None:
        """Remove a sealed artifact that shall not be published; its name is free again.

        Args:
            filename: its full name, or that of any of its parts, as in `artifacts`.

        Raises:
            InternalError: there is no such artifact, or it is too late.
            IOFailure: its file cannot be removed.
        """
        self._writable()
        with self._lock:
            writer = next((w for w in self._sealed.values() if _goes_by(w, filename)), None)
            if writer is not None:
                del self._sealed[writer.name], self._owners[writer.name]
        if writer is None:
            raise InternalError(
                f"there is no sealed artifact {filename!r} to discard; "
                f"sealed are: {_listed(self._sealed)}"
            )
        writer.remove()

    def publish(self, manifest: Manifest) -> Path:
        """Publish every sealed artifact, the manifest last; see `baqup_agent.staging.publication`.

        Args:
            manifest: must list exactly the sealed artifacts of this job.

        Returns:
            The job's directory.

        Raises:
            NoArtifact: nothing was sealed.
            InternalError: an artifact is still open, the manifest is not this job's, or this is
                the second call.
            LimitExceeded: the manifest is longer than what is read.
            OutputError: the manifest's file cannot be created.
            IOFailure: a step failed; `published` tells whether it came too late to matter.
        """
        job = self._writable()
        self._require_complete(manifest)
        content = manifest.to_bytes()
        self._publication = Publication(job, self._log)
        self._publication.write_manifest(content)
        self._publication.move([artifact.filename for artifact in manifest.artifacts])
        self._log.info("artifacts published", path=str(self.directory), artifacts=len(self._sealed))
        return self.directory

    def remove(self) -> None:
        """Delete this job's ``.staging``, nothing else; for a job that failed.

        Raises:
            IOFailure: something in it cannot be deleted.
        """
        if self._job is not None and self._job.fd >= 0:
            self._leave_writers()
            self._job.remove_staging()

    def write_orphan_status(self, message: Mapping[str, Any]) -> Path:
        """Leave the status in the job's directory; see `baqup_agent.staging.orphan`."""
        return write_orphan_status(self._root, self._job_id, message)

    def close(self) -> None:
        """Close what is open and let go of the job; everything stays on disk."""
        self._leave_writers()
        if self._job is not None:
            self._job.close()

    def _writable(self) -> JobDirectory:
        if self._job is None or self._job.fd < 0:
            raise InternalError("staging is not prepared; it is from the state 'running' on")
        if self._publication is not None:
            raise InternalError("staging was published already; it takes nothing more")
        return self._job

    def _codec(self, compress: bool | str | None) -> Codec:  # noqa: FBT001  part of the API
        configured = self._settings.compression
        if compress is None:
            asked = configured
        elif compress is True:
            asked = configured if configured != "none" else "zstd"
        else:
            asked = compress or "none"
        if asked not in CODECS:
            raise InternalError(
                f"compress={asked!r} names no compression; use one of {', '.join(CODECS)}"
            )
        codec, fallback = choose(asked)
        if fallback:
            self._log.info("compression not available", asked=asked, used=codec.name)
            self._on_fallback(asked, codec.name)
        return codec

    def _filename(self, name: str, codec: Codec) -> str:
        settings = self._settings
        suffix = codec.suffix + (cipher_suffix(settings.encryption) if settings.encrypt else "")
        longest = part_name(name + suffix, MAX_PARTS) if settings.split_bytes else name + suffix
        rule = broken_rule(longest)
        if rule is None:
            return name + suffix
        raise InternalError(
            f"the artifact name {name!r} cannot be used with the suffix "
            f"{longest.removeprefix(name)!r}: {rule}; choose a shorter one",
            code="ARTIFACT_NAME_INVALID",
        )

    def _form(self, codec: Codec, filename: str) -> Format:
        settings = self._settings
        return Format(
            codec,
            codec.level(settings),
            settings.checksum_algorithm,
            self._workers,
            cipher_for(settings, self._job_id, filename) if settings.encrypt else None,
        )

    def _create(self, job: JobDirectory, filename: str) -> PartSeries:
        with self._lock:
            taken = filename in self._open or filename in self._sealed
        if taken:  # one that was split has left its name on the disk
            raise _duplicate(filename)
        hasher = partial(new_hash, self._settings.checksum_algorithm)
        try:
            return PartSeries(job, filename, hasher, self._settings.split_bytes)
        except OutputError as error:
            # The disk is what decides: some filesystems see one name in 'a' and 'A'.
            if isinstance(error.__cause__, FileExistsError):
                raise _duplicate(filename) from error
            raise

    def _settle(self, writer: ArtifactWriter) -> None:
        with self._lock:
            self._open.pop(writer.name, None)
            owners = self._owners.pop(writer.name, frozenset())
            if writer.sealed:
                self._sealed[writer.name] = writer
                # Begun outside and completed inside a component, it belongs to that one too.
                self._owners[writer.name] = owners.union(_WITHIN.get())

    def _only_components(self) -> tuple[object, ...]:
        """Return the components that go on, if each stands in the one before; else none."""
        innermost = max(self._components.values(), key=len, default=())
        return innermost if self._components.keys() <= set(innermost) else ()

    def _require_complete(self, manifest: Manifest) -> None:
        if self.open_writers:
            raise InternalError(
                f"these artifacts are not finished: {_listed(self.open_writers)}; "
                "leave their 'with' blocks before the job completes"
            )
        if not self.artifacts:
            raise NoArtifact("no artifact was written; write at least one, even an empty one")
        if manifest.job_id != self._job_id or set(manifest.artifacts) != set(self.artifacts):
            raise InternalError(
                f"the manifest lists {_listed(a.filename for a in manifest.artifacts)} of job "
                f"{manifest.job_id!r}; it must list "
                f"{_listed(a.filename for a in self.artifacts)} of job {self._job_id!r}"
            )

    def _leave_writers(self) -> None:
        with self._lock:
            writers, self._open = self._open, {}
        for writer in writers.values():
            writer.leave()


def _goes_by(writer: ArtifactWriter, filename: str) -> bool:
    return filename == writer.name or any(filename == part.filename for part in writer.artifacts)


def _duplicate(filename: str) -> InternalError:
    return InternalError(
        f"the artifact {filename!r} exists already; give each artifact a name of its own",
        code="ARTIFACT_DUPLICATE",
    )


def _listed(names: Any) -> str:
    return ", ".join(repr(os.fspath(name)) for name in names) or "none"
