"""The role ``restore``: verified dumps become databases of a server again.

Nothing of the target is touched before the whole backup was verified and every database that is
in the way was found. What is replaced is renamed first and dropped last, so that a restore that
fails leaves it as it was. A job that must stop runs no more programs: after an abort a database may
be half restored, and the one that it was to replace keeps its other name, ``name~`` and the first
eight characters of the job's id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BufferedReader
from typing import TYPE_CHECKING, BinaryIO

from baqup_agent import JobCancelled
from baqup_agent.agents.postgres.backup import Backup, Dump, read_backup, wanted
from baqup_agent.agents.postgres.counted import Counted
from baqup_agent.agents.postgres.globals import missing_globals
from baqup_agent.agents.postgres.inspection import Inspection, has_content, inspect
from baqup_agent.agents.postgres.lifecycle import Steps
from baqup_agent.agents.postgres.names import GLOBALS_COMPONENT, identifier
from baqup_agent.agents.postgres.refusals import coded
from baqup_agent.agents.postgres.server import Server, Version
from baqup_agent.agents.postgres.settings import RestoreSettings, Target
from baqup_agent.agents.postgres.watch import Progress
from baqup_agent.errors import BaqupError, ConfigError, DataError, OutputError
from baqup_agent.staging.reader import open_artifact

if TYPE_CHECKING:
    from baqup_agent import Job

#: What a restore manages on a slow server, in bytes of the artifact.
_SLOW_BYTES_PER_S = 2_000_000

#: Bytes of a dump that are read at once.
_PIECE_BYTES = 1 << 20

#: From this version on pg_restore begins with a setting that earlier servers do not know.
_NEEDS_OWN_KIND = 17

#: Bytes of the longest name that the server keeps.
_NAME_BYTES = 63

_RESTORE = ("--format=custom", "--no-password", "--exit-on-error")

# A connection string, so that the database is the one of the environment.
_CONNECT = "--dbname=connect_timeout=10"


def restore(job: Job[Steps]) -> None:
    """Bring ``BAQUP_SOURCE_PATH`` to ``BAQUP_TARGET_HOST``.

    Raises:
        ConfigError: the target refuses the user, or the programs are of the wrong version.
        OutputError: a database of the target is not empty.
        SourceUnavailable: the target cannot be reached.
        VerificationFailed: the backup does not hold what its manifest promises.
        DataError: it is no backup of this agent.
    """
    settings = job.config.of(RestoreSettings)
    server = Server.of(job, settings)
    program = server.version("pg_restore")
    backup = read_backup(job, settings.source.path)
    dumps = wanted(backup, settings.source.databases)
    with job.span("agent.connect_target"):
        inspection = inspect(server, _maintenance(None))
    check_version(program, backup, inspection.version)
    restore = _Restore(job, server, settings.target, backup, inspection)
    restore.look(dumps)
    job.lifecycle.load()
    restore.load(dumps)


def check_version(program: Version, backup: Backup, server: Version) -> None:
    """Make sure that a pg_restore can read a backup and write to a server.

    Raises:
        ConfigError: it cannot.
    """
    if program.major < backup.dump_version:
        raise coded(
            ConfigError,
            f"pg_restore {program.text} is older than the pg_dump {backup.dump_version} that wrote "
            "the backup; install PostgreSQL's client programs of that version, or set "
            "BAQUP_AGENT_POSTGRES_BIN to their directory",
            "VERSION_MISMATCH",
        )
    if program.major >= _NEEDS_OWN_KIND > server.major:
        raise coded(
            ConfigError,
            f"pg_restore {program.text} cannot restore into a server of version {server.text}; "
            f"use programs of a version from {max(backup.dump_version, 1)} to 16, or a newer "
            "server",
            "VERSION_MISMATCH",
        )


def _maintenance(database: str | None) -> str:
    """Return the database to be connected to while ``database`` is renamed or dropped."""
    return "template1" if database == "postgres" else "postgres"


class _Restore:
    def __init__(
        self,
        job: Job[Steps],
        server: Server,
        target: Target,
        backup: Backup,
        inspection: Inspection,
    ) -> None:
        self._job = job
        self._server = server
        self._target = target
        self._backup = backup
        self._inspection = inspection
        self._full: frozenset[str] = frozenset()

    def look(self, dumps: tuple[Dump, ...]) -> None:
        """Find the databases that are in the way.

        Raises:
            OutputError: there is one, and it must not be replaced.
        """
        self._full = frozenset(
            dump.database
            for dump in dumps
            if dump.database in self._inspection.databases
            and has_content(self._server, dump.database)
        )
        if self._full and not self._target.replace:
            raise OutputError(
                f"the target's {', '.join(map(repr, sorted(self._full)))} is not empty; restore "
                "into another server, drop it, or set BAQUP_TARGET_REPLACE=true to replace it",
                code="TARGET_NOT_EMPTY",
                retriable=False,
            )

    def load(self, dumps: tuple[Dump, ...]) -> None:
        """Restore the globals and each database.

        Raises:
            BaqupError: not one database could be restored; the last one's error.
        """
        if self._target.globals and self._backup.globals is not None:
            with self._job.component(GLOBALS_COMPONENT):
                self._load_globals(self._backup.globals)
        progress = Progress(self._job, sum(dump.size_bytes for dump in dumps))
        failures: list[BaqupError] = []
        for dump in dumps:
            with self._job.component(dump.database):
                try:
                    self._load(dump, progress)
                except BaqupError as error:
                    failures.append(error)
                    raise
        if len(failures) == len(dumps):
            raise failures[-1]
        progress.finish()
        self._job.metadata(
            type="postgresql",
            server_version=self._inspection.version.text,
            restored_job_id=self._backup.job_id,
            databases_restored=len(dumps) - len(failures),
        )

    def _load_globals(self, artifact: str) -> None:
        with self._opened(artifact) as stream:
            sql = missing_globals(stream.read(), self._inspection.roles)
        failed = self._server.execute_all(sql, _maintenance(None))
        if failed:
            raise coded(
                DataError,
                f"{len(failed)} of the statements for roles and tablespaces failed, with SQLSTATE "
                f"{', '.join(sorted(set(failed)))}; run {artifact!r} by psql to see which",
                "GLOBALS_INCOMPLETE",
            )

    def _opened(self, artifact: str) -> AbstractContextManager[BinaryIO]:
        """Open an artifact, all of which was verified before; while it is read it is once more."""
        return open_artifact(
            self._backup.path,
            artifact,
            key=self._job.config.get("BAQUP_SECRET_ARTIFACT_KEY"),
            verify="streamed",
        )

    def _load(self, dump: Dump, progress: Progress) -> None:
        with (
            self._job.intent(
                "restore_database",
                expected_duration_s=10 + dump.size_bytes / _SLOW_BYTES_PER_S,
                detail=dump.database,
            ),
            self._opened(dump.artifact) as stream,
        ):
            content = Counted(stream)
            with progress.database(dump.database, dump.size_bytes, lambda: content.bytes_out):
                self._place(dump.database, content)
        self._job.log.info("database restored", database=dump.database, bytes=content.bytes_out)

    def _place(self, database: str, dump: Counted) -> None:
        """Restore into a database that is made anew, or that is there and empty."""
        if database in self._full:
            with self._aside(database):
                self._create(database, dump)
        elif database in self._inspection.databases:
            self._run(dump, database, "--single-transaction")
        else:
            self._create(database, dump)

    def _create(self, database: str, dump: Counted) -> None:
        try:
            self._run(dump, _maintenance(database), "--create")
        except JobCancelled:
            self._job.log.warn("a database is left half restored", database=database)
            raise
        except Exception:
            self._drop(database)
            raise

    def _run(self, dump: Counted, database: str, *how: str) -> None:
        owners = () if self._target.owners else ("--no-owner", "--no-privileges")
        self._server.run(
            "pg_restore",
            *_RESTORE,
            *how,
            *owners,
            _CONNECT,
            database=database,
            stdin=BufferedReader(dump, _PIECE_BYTES),
        )

    @contextmanager
    def _aside(self, database: str) -> Iterator[None]:
        """Rename a database for the block; then drop it, or give it its name back."""
        kept = _shortened(database) + f"~{self._job.id[:8]}"
        at = _maintenance(database)
        self._server.execute(_renamed(database, kept), at)
        try:
            yield
        except JobCancelled:
            self._job.log.warn("what was to be replaced is kept", database=database, kept=kept)
            raise
        except Exception:
            self._server.execute(_renamed(kept, database), at)
            raise
        self._server.execute(f"drop database {identifier(kept)};", at)
        self._job.event("DATABASE_REPLACED", message="replaced by its backup", path=database)

    def _drop(self, database: str) -> None:
        self._server.execute(
            f"drop database if exists {identifier(database)};", _maintenance(database)
        )


def _renamed(database: str, name: str) -> str:
    return f"alter database {identifier(database)} rename to {identifier(name)};"


def _shortened(name: str) -> str:
    """Cut a name so that a mark of nine bytes still fits behind it."""
    return name.encode()[: _NAME_BYTES - 9].decode(errors="ignore")
