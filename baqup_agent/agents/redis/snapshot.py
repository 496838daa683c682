"""The role ``snapshot``: the server's content becomes one artifact, checked as it arrives."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from baqup_agent.agents.redis.lifecycle import Steps
from baqup_agent.agents.redis.program import fetch, find_program
from baqup_agent.agents.redis.rdb import RdbCheck
from baqup_agent.agents.redis.replication import Replication
from baqup_agent.agents.redis.settings import CLI, SnapshotSettings
from baqup_agent.agents.redis.wire import Connection, Refused
from baqup_agent.staging.writer import ArtifactWriter

if TYPE_CHECKING:
    from baqup_agent import Job

#: The artifact, before compression appends its suffix.
ARTIFACT = "dump.rdb"

#: What a server manages when it is slow, for the time that the intent announces.
_SLOW_BYTES_PER_S = 20_000_000

#: What of a server's own description is told, and used.
_TOLD = ("redis_version", "valkey_version", "role", "used_memory", "maxmemory_policy")


def snapshot(job: Job[Steps]) -> None:
    """Fetch the content of ``BAQUP_SOURCE_HOST``.

    Raises:
        ConfigError: the server refuses the user, or TLS is not agreed on.
        SourceUnavailable: the server cannot be reached, is not ready in time, or went away.
        DataError: what it sends is no RDB, or a damaged one.
        IOFailure: it could not be stored.
    """
    settings = job.config.of(SnapshotSettings)
    by_program = settings.source.method == CLI
    program = find_program(settings) if by_program else ""
    with job.span("agent.connect_source"), Connection.open(job, settings.source) as connection:
        connection.login(settings.db_user, settings.db_password)
        server = _described(connection)
        receiver = _Receiver(job, int(server.get("used_memory", 0)))
        if not by_program:
            _replicate(job, settings, connection, receiver)
    if by_program:
        _run(job, program, settings, receiver)
    receiver.finish(server, settings.source.method)


def _described(connection: Connection) -> dict[str, str]:
    """Ask the server what it is; nothing where it does not tell."""
    try:
        said = connection.ask("INFO")
    except Refused:
        return {}
    facts = dict(re.findall(r"^(\w+):([^\r\n]*)", said, re.MULTILINE))
    keys = sum(int(count) for count in re.findall(r"^db\d+:keys=(\d+)", said, re.MULTILINE))
    return {**{name: facts[name] for name in _TOLD if name in facts}, "keys": str(keys)}


def _replicate(
    job: Job[Steps], settings: SnapshotSettings, connection: Connection, receiver: _Receiver
) -> None:
    source = settings.source
    address = f"{source.host}:{source.port}"
    replication = Replication(job, connection, address, source.patience.total_seconds())
    job.lifecycle.ask()
    with job.intent("await_snapshot", expected_duration_s=receiver.expected_s, detail=address):
        replication.begin()
    job.lifecycle.receive()
    with job.staging.artifact(ARTIFACT) as out:
        receiver.begin(out, replication.expected_bytes)
        for piece in replication.pieces():
            receiver.write(piece)
        receiver.check()
    job.lifecycle.seal()


def _run(job: Job[Steps], program: str, settings: SnapshotSettings, receiver: _Receiver) -> None:
    job.lifecycle.ask()
    job.lifecycle.receive()
    with (
        job.intent("run_cli", expected_duration_s=receiver.expected_s, detail=program),
        job.staging.artifact(ARTIFACT) as out,
    ):
        receiver.begin(out, None)
        fetch(job, program, settings, receiver)
        receiver.check()
    job.lifecycle.seal()


class _Receiver:
    """Checks and stores what arrives, and tells how far it is.

    Args:
        job: the job.
        memory_bytes: what the server's content takes in its memory; 0 if it does not tell.
    """

    def __init__(self, job: Job[Steps], memory_bytes: int) -> None:
        self.expected_s = 10 + memory_bytes / _SLOW_BYTES_PER_S
        self._job = job
        self._check = RdbCheck()
        self._out: ArtifactWriter | None = None
        self._expected_bytes: int | None = None
        self._began_s = 0.0
        self._checksum = False

    def begin(self, out: ArtifactWriter, expected_bytes: int | None) -> None:
        """Store into an artifact from now on."""
        self._out = out
        self._expected_bytes = expected_bytes
        self._began_s = time.monotonic()

    def write(self, data: bytes, /) -> int:
        """Take one piece."""
        assert self._out is not None  # noqa: S101  `begin` came first
        self._check.feed(data)
        self._out.write(data)
        done = self._check.size_bytes
        share = done / self._expected_bytes if self._expected_bytes else None
        spent_s = time.monotonic() - self._began_s
        self._job.progress(
            percent_complete=None if share is None else round(min(share, 0.99) * 100, 1),
            bytes_processed=done,
            current_file=ARTIFACT,
            estimated_remaining_seconds=(
                None if not share else round(spent_s * (1 - share) / share, 1)
            ),
        )
        return len(data)

    @property
    def complete(self) -> bool:
        """Whether what was taken is a whole RDB."""
        return self._check.complete

    def check(self) -> None:
        """Judge the whole, before it is sealed.

        Raises:
            DataError: it is damaged.
        """
        self._checksum = self._check.finish()
        if not self._checksum:
            self._job.warn(
                "CHECKSUM_ABSENT",
                message="the server writes no checksum into its RDB (rdbchecksum no)",
            )

    def finish(self, server: dict[str, str], method: str) -> None:
        """Describe what was received."""
        size = self._check.size_bytes
        self._job.progress(percent_complete=100, bytes_processed=size, files_processed=1)
        self._job.metadata(
            type="redis",
            method=method,
            rdb_version=self._check.version,
            rdb_checksum=self._checksum,
            server={**server, **self._check.facts},
            total_bytes_source=size,
        )
        self._job.log.info("snapshot received", bytes=size, rdb=self._check.version)
