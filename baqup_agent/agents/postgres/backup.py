"""A published backup of this agent, read for a restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from baqup_agent import Manifest
from baqup_agent.agents.postgres.names import database_of, holds_globals
from baqup_agent.errors import ConfigError, DataError, VerificationFailed
from baqup_agent.staging.verification import verify

if TYPE_CHECKING:
    from baqup_agent import Job

#: What reading and hashing manages on a slow disk, for the time that the intent announces.
_SLOW_BYTES_PER_S = 50_000_000


@frozen
class Dump:
    """One database in a backup.

    Attributes:
        database: its name.
        artifact: the full name of the artifact; of a split one the joined name.
        size_bytes: bytes of the artifact, as stored, all parts together.
    """

    database: str
    artifact: str
    size_bytes: int


@frozen
class Backup:
    """What a published directory holds.

    Attributes:
        path: the directory.
        job_id: the job that wrote it.
        dumps: its databases.
        globals: the artifact with roles and tablespaces; None without one.
        dump_version: the major version of the pg_dump that wrote it; 0 where that is not told.
    """

    path: Path
    job_id: str
    dumps: tuple[Dump, ...]
    globals: str | None
    dump_version: int


def read_backup(job: Job[Any], path: Path) -> Backup:
    """Verify a whole published directory and return what it holds.

    Raises:
        VerificationFailed: it does not hold what its manifest promises.
        DataError: it is no backup of this agent.
    """
    manifest = Manifest.read(path)
    total = sum(artifact.size_bytes for artifact in manifest.artifacts)
    with job.intent(
        "verify_checksum", expected_duration_s=10 + total / _SLOW_BYTES_PER_S, detail=str(path)
    ):
        verification = verify(path, on_progress=lambda _done, _total: job.touch())
    if not verification.ok:
        raise VerificationFailed("; ".join(verification.problems))
    return _backup(path, manifest)


def _backup(path: Path, manifest: Manifest) -> Backup:
    sizes: dict[str, int] = {}
    for artifact in manifest.artifacts:
        name = artifact.joined_name
        sizes[name] = sizes.get(name, 0) + artifact.size_bytes
    named = [(database_of(name), name) for name in sizes]
    dumps = tuple(
        Dump(database, name, sizes[name]) for database, name in named if database is not None
    )
    if not dumps:
        raise DataError(
            f"BAQUP_SOURCE_PATH {str(path)!r} holds no dump of a database; name a directory "
            f"published by a snapshot of agent-postgres, this one is {manifest.agent}'s"
        )
    globals_ = next((name for name in sizes if holds_globals(name)), None)
    version = manifest.source_metadata.get("dump_version")
    return Backup(
        path,
        manifest.job_id,
        dumps,
        globals_,
        version if isinstance(version, int) else 0,
    )


def wanted(backup: Backup, databases: tuple[str, ...]) -> tuple[Dump, ...]:
    """Return the dumps that are asked for.

    Raises:
        ConfigError: one of them is not in the backup.
    """
    if databases == ("all",):
        return backup.dumps
    held = {dump.database: dump for dump in backup.dumps}
    missing = [name for name in databases if name not in held]
    if missing:
        raise ConfigError(
            f"BAQUP_SOURCE_DATABASES names {', '.join(map(repr, missing))}, which the backup does "
            f"not hold; it holds {', '.join(map(repr, held))}"
        )
    return tuple(held[name] for name in dict.fromkeys(databases))
