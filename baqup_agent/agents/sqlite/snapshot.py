"""The role ``snapshot``: each database is copied, checked and stored, one after the other."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baqup_agent.agents.sqlite.access import Database
from baqup_agent.agents.sqlite.checking import check_copy
from baqup_agent.agents.sqlite.copying import Copied, Copying
from baqup_agent.agents.sqlite.discovery import Found, find
from baqup_agent.agents.sqlite.lifecycle import Steps
from baqup_agent.agents.sqlite.names import artifact_name, shown
from baqup_agent.agents.sqlite.scratch import scratch_file
from baqup_agent.agents.sqlite.settings import SnapshotSettings, Source
from baqup_agent.errors import BaqupError

if TYPE_CHECKING:
    from baqup_agent import Job

#: Databases that the manifest describes one by one; the artifacts tell of all.
_MOST_DESCRIBED = 1000


def snapshot(job: Job[Steps]) -> None:
    """Copy ``BAQUP_SOURCE_PATH``.

    Raises:
        ConfigError: there is no database that is asked for.
        SourceUnavailable: the source cannot be read, or was locked for too long.
        DataError: a file is no database, or a database is damaged.
        OutputError: there is no place for the copy.
        IOFailure: the copy could not be written.
    """
    source = job.config.of(SnapshotSettings).source
    with job.span("agent.connect_source"):
        found = find(job, source)
    _Snapshot(job, source, found).run()


class _Snapshot:
    def __init__(self, job: Job[Steps], source: Source, found: Found) -> None:
        self._job = job
        self._source = source
        self._found = found
        self._expected_bytes = sum(database.size_bytes for database in found.databases)
        self._done_bytes = 0
        self._described: list[dict[str, Any]] = []

    def run(self) -> None:
        """Do it all; raises the last database's error if not one could be copied."""
        failures: list[BaqupError] = []
        sealed = False
        for count, database in enumerate(self._found.databases):
            with self._job.component(database.text):
                self._job.lifecycle.copy()
                sealed = False
                try:
                    self._store(database)
                    sealed = True
                except BaqupError as error:
                    failures.append(error)
                    raise
                finally:
                    self._done_bytes += database.size_bytes
            self._job.progress(files_processed=count + 1)
        if len(failures) == len(self._found.databases):
            raise failures[-1]
        if not sealed:
            self._job.lifecycle.seal()
        self._finish()

    def _store(self, database: Database) -> None:
        lock_timeout_s = self._source.lock_timeout.total_seconds()
        with scratch_file(self._job) as scratch:
            copied = Copying(
                self._job,
                database,
                scratch,
                lock_timeout_s,
                self._source.restarts,
                lambda done, total: self._tell(database, done, total),
            ).run()
            self._job.lifecycle.check()
            facts = check_copy(self._job, scratch, database.text, self._source.check)
            self._job.lifecycle.seal()
            artifact = self._seal(scratch, database)
        self._describe(database, artifact, copied, facts)

    def _seal(self, scratch: Path, database: Database) -> str:
        fd = os.open(scratch, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with self._job.staging.artifact(artifact_name(database.name)) as out:
                out.copy_from_fd(fd, on_bytes=lambda _: self._job.touch())
        finally:
            os.close(fd)
        return out.name

    def _describe(
        self, database: Database, artifact: str, copied: Copied, facts: dict[str, Any]
    ) -> None:
        self._job.log.info(
            "database copied",
            database=database.text,
            bytes=facts["page_size"] * facts["page_count"],
            restarts=copied.restarts,
        )
        self._described.append(
            {
                "name": database.text,
                "artifact": artifact,
                "size_bytes": facts["page_size"] * facts["page_count"],
                "journal": copied.journal,
                "restarts": copied.restarts,
                "writers_blocked": copied.locked,
                **facts,
            }
        )

    def _tell(self, database: Database, done: int, total: int) -> None:
        share = min(done / total, 1.0) if total else 0.0
        read = self._done_bytes + round(share * database.size_bytes)
        self._job.progress(
            percent_complete=(
                round(min(read / self._expected_bytes, 0.99) * 100, 1)
                if self._expected_bytes
                else None
            ),
            bytes_processed=read,
            current_file=database.text,
        )

    def _finish(self) -> None:
        self._job.progress(percent_complete=100, bytes_processed=self._done_bytes)
        self._job.metadata(
            type="sqlite",
            path=shown(os.fspath(self._source.path)),
            layout="file" if self._found.one_file else "directory",
            sqlite_version=sqlite3.sqlite_version,
            check=self._source.check,
            databases=self._described[:_MOST_DESCRIBED],
            databases_total=len(self._described),
            total_bytes_source=sum(each["size_bytes"] for each in self._described),
        )
