"""The role ``snapshot``: the globals and each database become an artifact."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from attrs import frozen

from baqup_agent.agents.postgres.inspection import Database, Inspection, inspect
from baqup_agent.agents.postgres.lifecycle import Steps
from baqup_agent.agents.postgres.names import GLOBALS, GLOBALS_COMPONENT, artifact_name
from baqup_agent.agents.postgres.refusals import coded
from baqup_agent.agents.postgres.server import Server, Version
from baqup_agent.agents.postgres.settings import SnapshotSettings, Source
from baqup_agent.agents.postgres.watch import Progress
from baqup_agent.errors import BaqupError, ConfigError

if TYPE_CHECKING:
    from baqup_agent import Job

#: What a dump manages on a slow server, for the time that the intent announces.
_SLOW_BYTES_PER_S = 20_000_000

#: Pg_dump's own compression is left off: the artifact's runs beside pg_dump, not within it.
_DUMP = ("--format=custom", "--compress=0", "--no-password")

_GLOBALS: tuple[str, ...] = ("--globals-only", "--no-password")


def snapshot(job: Job[Steps]) -> None:
    """Dump ``BAQUP_SOURCE_DATABASES`` of ``BAQUP_SOURCE_HOST``.

    Raises:
        ConfigError: the server refuses the user, pg_dump is older than the server, or none of the
            databases exists.
        SourceUnavailable: the server cannot be reached, or a lock was not to be had.
        DataError: a database is damaged.
        IOFailure: a dump could not be stored.
    """
    settings = job.config.of(SnapshotSettings)
    server = Server.of(job, settings)
    program = server.version("pg_dump")
    with job.span("agent.connect_source"):
        inspection = inspect(server, settings.source.maintenance_database)
    _check_version(program, inspection.version)
    chosen = choose(inspection, settings.source)
    job.lifecycle.dump()
    snapshot = _Snapshot(job, server, settings.source, inspection)
    dumps = snapshot.dump(chosen)
    job.lifecycle.seal()
    snapshot.seal(chosen, dumps, program)


@frozen
class Chosen:
    """The databases of one job.

    Attributes:
        databases: those that are dumped.
        unknown: names that were asked for in vain.
    """

    databases: tuple[Database, ...]
    unknown: tuple[str, ...]


def choose(inspection: Inspection, source: Source) -> Chosen:
    """Return the databases that are asked for.

    Raises:
        ConfigError: none of them can be dumped.
    """
    known = inspection.databases
    if source.databases == ("all",):
        names = tuple(n for n, found in known.items() if found.usable and not found.template)
    else:
        names = tuple(dict.fromkeys(source.databases))
    patterns = source.exclude or ()
    names = tuple(n for n in names if not any(fnmatchcase(n, pattern) for pattern in patterns))
    databases = tuple(known[name] for name in names if name in known)
    if databases:
        return Chosen(databases, tuple(name for name in names if name not in known))
    asked = ", ".join(repr(name) for name in source.databases)
    raise coded(
        ConfigError,
        f"BAQUP_SOURCE_DATABASES {asked} leaves no database to dump; the server has "
        f"{', '.join(repr(n) for n, found in known.items() if not found.template)}",
        "DATABASE_UNKNOWN",
    )


def _check_version(program: Version, server: Version) -> None:
    if program.major < server.major:
        raise coded(
            ConfigError,
            f"pg_dump {program.text} is older than the server, {server.text}; install "
            f"PostgreSQL's client programs of version {server.major} or later, or set "
            "BAQUP_AGENT_POSTGRES_BIN to their directory",
            "VERSION_MISMATCH",
        )


class _Snapshot:
    def __init__(
        self, job: Job[Steps], server: Server, source: Source, inspection: Inspection
    ) -> None:
        self._job = job
        self._server = server
        self._source = source
        self._inspection = inspection
        self._lock_ms = max(1, round(source.lock_timeout.total_seconds() * 1000))

    def dump(self, chosen: Chosen) -> dict[str, str]:
        """Dump everything; returns the artifact of each database that succeeded.

        Raises:
            BaqupError: not one database could be dumped; the last one's error.
        """
        if self._source.globals:
            with self._job.component(GLOBALS_COMPONENT):
                self._dump_globals()
        failures: list[BaqupError] = []
        for name in chosen.unknown:
            with self._job.component(name):
                raise _unknown(name)
        total = sum(database.size_bytes or 0 for database in chosen.databases)
        progress = Progress(self._job, total)
        dumps: dict[str, str] = {}
        for database in chosen.databases:
            with self._job.component(database.name):
                try:
                    dumps[database.name] = self._dump(database, progress)
                except BaqupError as error:
                    failures.append(error)
                    raise
        if not dumps and failures:
            raise failures[-1]  # the globals alone are no backup
        progress.finish()
        return dumps

    def _dump_globals(self) -> None:
        arguments = list(_GLOBALS)
        if not self._inspection.reads_passwords:
            arguments.append("--no-role-passwords")
            self._job.warn(
                "ROLE_PASSWORDS_LEFT_OUT",
                message="roles are dumped without passwords: the user may not read pg_authid",
            )
        database = self._source.maintenance_database
        arguments.append(f"--lock-wait-timeout={self._lock_ms}")
        with self._job.staging.artifact(GLOBALS) as out:
            self._server.run("pg_dumpall", *arguments, database=database, stdout=out)

    def _dump(self, database: Database, progress: Progress) -> str:
        size = database.size_bytes or 0
        with (
            self._job.intent(
                "dump_database",
                expected_duration_s=10 + size / _SLOW_BYTES_PER_S,
                detail=database.name,
            ),
            self._job.staging.artifact(artifact_name(database.name)) as out,
            progress.database(database.name, size, lambda: out.bytes_in),
        ):
            self._server.run(
                "pg_dump",
                *_DUMP,
                f"--lock-wait-timeout={self._lock_ms}",
                database=database.name,
                stdout=out,
            )
        self._job.log.info("database dumped", database=database.name, bytes=out.bytes_in)
        return out.name

    def seal(self, chosen: Chosen, dumps: dict[str, str], program: Version) -> None:
        """Tell of databases that came or went meanwhile, and describe what was dumped."""
        after = inspect(self._server, self._source.maintenance_database)
        for name in sorted(after.databases.keys() - self._inspection.databases.keys()):
            if self._source.databases == ("all",) and not after.databases[name].template:
                self._job.event(
                    "DATABASE_APPEARED",
                    message="made after the snapshot began, so it is not in it",
                    path=name,
                )
        for name in sorted(dumps.keys() - after.databases.keys()):
            self._job.event("DATABASE_VANISHED", message="dropped after it was dumped", path=name)
        self._job.metadata(
            type="postgresql",
            server_version=after.version.text,
            dump_format="custom",
            dump_version=program.major,
            globals=self._source.globals,
            databases=_described(chosen.databases, dumps),
            total_bytes_source=sum(
                database.size_bytes or 0 for database in chosen.databases if database.name in dumps
            ),
        )


def _described(databases: Sequence[Database], dumps: dict[str, str]) -> list[dict[str, object]]:
    return [
        {
            "name": database.name,
            "size_bytes": database.size_bytes,
            "artifact": dumps[database.name],
        }
        for database in databases
        if database.name in dumps
    ]


def _unknown(name: str) -> BaqupError:
    return coded(
        ConfigError,
        f"the server has no database {name!r}; correct BAQUP_SOURCE_DATABASES",
        "DATABASE_UNKNOWN",
    )
