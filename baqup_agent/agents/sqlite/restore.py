"""The role ``restore``: published databases come back, each in one step.

A database is verified, decompressed and checked under another name beside its place, and takes the
place only then. So a restore that fails, or is killed, leaves what was there as it was.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from baqup_agent import Manifest
from baqup_agent.agents.sqlite.checking import check_copy
from baqup_agent.agents.sqlite.lifecycle import Steps
from baqup_agent.agents.sqlite.names import chosen, database_of, shown
from baqup_agent.agents.sqlite.placing import Place
from baqup_agent.agents.sqlite.settings import RestoreSettings
from baqup_agent.errors import BaqupError, ConfigError, DataError
from baqup_agent.staging.reader import open_artifact

if TYPE_CHECKING:
    from baqup_agent import Job

_PIECE_BYTES = 1 << 20

#: What a restore manages on a slow disk, in bytes of the artifact.
_SLOW_BYTES_PER_S = 10_000_000


@frozen
class Stored:
    """One database in a backup.

    Attributes:
        name: its path relative to the source that it was copied from.
        artifact: the full name of the artifact; of a split one the joined name.
        size_bytes: bytes of the artifact, as stored, all parts together.
    """

    name: str
    artifact: str
    size_bytes: int


def restore(job: Job[Steps]) -> None:
    """Bring ``BAQUP_SOURCE_PATH`` to ``BAQUP_TARGET_PATH``.

    Raises:
        ConfigError: the backup holds no database that is asked for.
        VerificationFailed: the backup does not hold what its manifest promises.
        DataError: it is no backup of this agent, or a database in it is damaged.
        OutputError: a database is in the way, or there is no place to restore to.
        IOFailure: a database could not be written.
    """
    settings = job.config.of(RestoreSettings)
    manifest = Manifest.read(settings.source.path)
    stored = _wanted(_stored(manifest), settings.source.databases)
    into = _directory(manifest, stored, settings.target.path)
    places = [
        Place.of(job, settings.target.path, item.name if into else "", settings.target.replace)
        for item in stored
    ]
    for place in places:
        place.check()
    job.lifecycle.restore()
    _Restore(job, settings.source.path).run(stored, places)
    job.metadata(
        type="sqlite",
        path=shown(os.fspath(settings.target.path)),
        restored_job_id=manifest.job_id,
        databases_restored=sum(place.filled for place in places),
    )


def _stored(manifest: Manifest) -> list[Stored]:
    sizes: dict[str, int] = {}
    for artifact in manifest.artifacts:
        name = artifact.joined_name
        sizes[name] = sizes.get(name, 0) + artifact.size_bytes
    named = [(database_of(name), name) for name in sizes]
    foreign = [artifact for name, artifact in named if name is None]
    if foreign:
        raise DataError(
            f"the artifact {foreign[0]!r} is no database of agent-sqlite, but {manifest.agent}'s; "
            "let BAQUP_SOURCE_PATH name a directory that agent-sqlite published"
        )
    return [Stored(name, artifact, sizes[artifact]) for name, artifact in named if name is not None]


def _wanted(stored: list[Stored], patterns: tuple[str, ...]) -> list[Stored]:
    wanted = [item for item in stored if chosen(item.name, patterns)]
    if not wanted:
        held = ", ".join(repr(shown(item.name)) for item in stored[:10])
        raise ConfigError(f"BAQUP_SOURCE_DATABASES fits no database of the backup; it holds {held}")
    return wanted


def _directory(manifest: Manifest, stored: list[Stored], target: Path) -> bool:
    """Whether the target is a directory to restore into, not the database itself."""
    if len(stored) > 1 or manifest.source_metadata.get("layout") == "directory":
        return True
    return target.is_dir()


class _Restore:
    def __init__(self, job: Job[Steps], backup: Path) -> None:
        self._job = job
        self._backup = backup
        self._bytes = 0

    def run(self, stored: list[Stored], places: list[Place]) -> None:
        """Restore each database; raises the last one's error if not one could be."""
        failures: list[BaqupError] = []
        for item, place in zip(stored, places, strict=True):
            with self._job.component(shown(item.name)):
                try:
                    self._one(item, place)
                except BaqupError as error:
                    failures.append(error)
                    raise
            self._job.progress(
                percent_complete=round(100 * (len(failures) + self._filled(places)) / len(stored)),
                bytes_processed=self._bytes,
                files_processed=self._filled(places),
            )
        if len(failures) == len(stored):
            raise failures[-1]
        self._job.progress(percent_complete=100, bytes_processed=self._bytes)

    @staticmethod
    def _filled(places: list[Place]) -> int:
        return sum(place.filled for place in places)

    def _one(self, item: Stored, place: Place) -> None:
        expected_s = 5 + item.size_bytes / _SLOW_BYTES_PER_S
        name = shown(item.name)
        with self._job.intent("restore_database", expected_duration_s=expected_s, detail=name):
            with place.opened() as fd:
                self._fill(fd, item)
                os.fsync(fd)
                check_copy(self._job, place.scratch, name, "full")
            place.put()
        self._job.log.info("database restored", database=name, path=shown(os.fspath(place.path)))

    def _fill(self, fd: int, item: Stored) -> None:
        key = self._job.config.get("BAQUP_SECRET_ARTIFACT_KEY")
        with open_artifact(
            self._backup, item.artifact, key=key, on_chunk=lambda _: self._job.touch()
        ) as stream:
            while piece := stream.read(_PIECE_BYTES):
                self._write(fd, piece)
                self._bytes += len(piece)
                self._job.progress(bytes_processed=self._bytes, current_file=shown(item.name))

    @staticmethod
    def _write(fd: int, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(fd, rest) :]
