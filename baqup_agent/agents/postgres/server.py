"""One server as the programs of PostgreSQL reach it; they do all of the talking."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from attrs import frozen

from baqup_agent import Secret
from baqup_agent.agents.postgres.refusals import refusal
from baqup_agent.agents.postgres.settings import RestoreSettings, SnapshotSettings
from baqup_agent.errors import CommandFailed, ConfigError, DataError

if TYPE_CHECKING:
    from baqup_agent import Job

#: Seconds until an attempt at a connection is given up.
CONNECT_TIMEOUT_S = 10

_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)[^\s]*)")

_PSQL = (
    "--no-psqlrc",
    "--quiet",
    "--tuples-only",
    "--no-align",
    "--no-password",
    "--file=-",
)


class Sink(Protocol):
    """Takes a program's output piece by piece."""

    def write(self, data: bytes, /) -> object:
        """Take one piece."""


@frozen
class Version:
    """A program's version.

    Attributes:
        text: as it tells it, for example ``16.4``.
        major: the number that decides what it can talk to.
    """

    text: str
    major: int


@frozen
class Server:
    """A server, and the programs to talk to it with.

    Attributes:
        job: runs the programs.
        host: a name, an address or a socket's directory.
        port: its port.
        user: whom the programs log in as.
        password: of that user; None where the server needs none.
        sslmode: how much TLS is asked for.
        sslrootcert: the certificates that are trusted; None for libpq's own.
        programs: the directory of the programs; None for the ones on ``PATH``.
    """

    job: Job[Any]
    host: str
    port: int
    user: Secret
    password: Secret | None
    sslmode: str
    sslrootcert: Path | None
    programs: Path | None

    @classmethod
    def of(cls, job: Job[Any], settings: SnapshotSettings | RestoreSettings) -> Server:
        """Return the server that a snapshot reads, or that a restore writes to."""
        place = settings.source if isinstance(settings, SnapshotSettings) else settings.target
        return cls(
            job,
            place.host,
            place.port,
            settings.db_user,
            settings.db_password,
            place.sslmode,
            place.sslrootcert,
            settings.agent.postgres_bin,
        )

    def version(self, program: str) -> Version:
        """Ask a program for its version.

        Raises:
            ConfigError: it cannot be run.
        """
        try:
            said = self.job.run([self._path(program), "--version"]).stdout.decode(errors="replace")
        except CommandFailed as error:
            raise ConfigError(
                f"{error.message}; put PostgreSQL's client programs into the image, or set "
                "BAQUP_AGENT_POSTGRES_BIN to the directory that holds them"
            ) from error
        match = _VERSION.search(said)
        if match is None:
            raise ConfigError(
                f"{program} --version says {said.strip()!r}, which is no version of PostgreSQL; "
                "correct BAQUP_AGENT_POSTGRES_BIN or PATH"
            )
        return Version(match[1], int(match[2]))

    def run(
        self,
        program: str,
        *arguments: str,
        database: str,
        stdin: bytes | IO[bytes] | None = None,
        stdout: Sink | None = None,
    ) -> tuple[bytes, str]:
        """Run a program that connects to a database.

        Args:
            program: its name.
            arguments: its arguments.
            database: what it connects to.
            stdin: what it is fed.
            stdout: takes its output; by default the output is returned.

        Returns:
            Its output, and what it said on stderr.

        Raises:
            BaqupError: it failed; of the class that `refusal` finds for its complaint.
            JobCancelled: the job must stop.
        """
        finished = self.job.run(
            [self._path(program), *arguments],
            stdin=stdin,
            stdout=stdout,
            env=self.environment(database),
            check=False,
        )
        if finished.returncode != 0:
            raise refusal(program, finished.returncode, finished.stderr)
        return finished.stdout, finished.stderr

    def query(self, sql: str, database: str) -> Any:
        """Return the one JSON value that a query gives.

        Raises:
            BaqupError: the server cannot be asked, or refuses the query.
        """
        told, _ = self.run(
            "psql", *_PSQL, "--set=ON_ERROR_STOP=1", database=database, stdin=sql.encode()
        )
        try:
            return json.loads(told.decode("utf-8", "surrogateescape"))
        except ValueError as error:
            raise DataError(
                f"the server's answer is no JSON: {error}; is it a PostgreSQL server?"
            ) from error

    def execute(self, sql: str, database: str) -> None:
        """Execute statements, each for itself; the first that fails is the last.

        Raises:
            BaqupError: one failed.
        """
        self.run(
            "psql",
            *_PSQL,
            "--set=ON_ERROR_STOP=1",
            database=database,
            stdin=sql.encode("utf-8", "surrogateescape"),
        )

    def execute_all(self, sql: bytes, database: str) -> list[str]:
        """Execute statements, whatever becomes of each.

        Returns:
            The SQLSTATE of each that failed.
        """
        _, said = self.run("psql", *_PSQL, "--set=VERBOSITY=sqlstate", database=database, stdin=sql)
        return re.findall(r"^psql:[^\n]*?:\d+: [^\n:]+:\s+([0-9A-Z]{5})$", said, re.MULTILINE)

    def environment(self, database: str) -> Mapping[str, str | Secret]:
        """Return what a program needs to connect; its arguments are for everybody to read."""
        variables: dict[str, str | Secret] = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": database,
            "PGSSLMODE": self.sslmode,
            "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT_S),
            "PGAPPNAME": "agent-postgres",
            "LC_ALL": "C",  # see `refusals`
        }
        if self.password is not None:
            variables["PGPASSWORD"] = self.password
        if self.sslrootcert is not None:
            variables["PGSSLROOTCERT"] = str(self.sslrootcert)
        return variables

    def _path(self, program: str) -> str:
        return program if self.programs is None else str(self.programs / program)
