"""Fetching a server's content by ``redis-cli --rdb`` or ``valkey-cli --rdb``."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any, Protocol

from baqup_agent.agents.redis.refusals import refusal
from baqup_agent.agents.redis.settings import SnapshotSettings
from baqup_agent.errors import ConfigError

if TYPE_CHECKING:
    from baqup_agent import Job

_NAMES = ("valkey-cli", "redis-cli")


#: The mark that follows an RDB straight from the server's fork: so many hexadecimal digits.
_MARK = re.compile(rb"[0-9a-f]{40}")
_MARK_BYTES = 40


class Sink(Protocol):
    """Takes the RDB piece by piece."""

    def write(self, data: bytes, /) -> object:
        """Take one piece."""

    @property
    def complete(self) -> bool:
        """Whether what was taken is a whole RDB."""
        ...


class _Unmarked:
    """Keeps the mark from a sink, which the programs leave behind the RDB on a pipe."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._kept = b""

    def write(self, data: bytes, /) -> int:
        """Take one piece."""
        whole = self._kept + data
        self._kept = whole[-_MARK_BYTES:]
        if piece := whole[:-_MARK_BYTES]:
            self._sink.write(piece)
        return len(data)

    def finish(self) -> None:
        """Hand on what was kept back, unless it is the mark."""
        if self._kept and not (self._sink.complete and _MARK.fullmatch(self._kept)):
            self._sink.write(self._kept)


def find_program(settings: SnapshotSettings) -> str:
    """Return the program to use.

    Raises:
        ConfigError: there is none, or it cannot log in without telling everybody.
    """
    if settings.db_user is not None:
        raise ConfigError(
            "BAQUP_SOURCE_METHOD is 'cli', which takes the name of a user as an argument that "
            "everybody can read; use 'replication', or leave BAQUP_SECRET_DB_USER unset"
        )
    if settings.agent.redis_cli is not None:
        return str(settings.agent.redis_cli)
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    raise ConfigError(
        f"BAQUP_SOURCE_METHOD is 'cli', and neither {' nor '.join(_NAMES)} is on PATH; install "
        "one, name it by BAQUP_AGENT_REDIS_CLI, or use 'replication'"
    )


def fetch(job: Job[Any], program: str, settings: SnapshotSettings, sink: Sink) -> None:
    """Have the program write the RDB into a sink.

    Raises:
        BaqupError: it failed.
        JobCancelled: the job must stop; it was ended.
    """
    source = settings.source
    arguments = ["-h", source.host, "-p", str(source.port), "--no-auth-warning"]
    if source.tls:
        arguments.append("--tls")
        for option, path in (
            ("--cacert", source.tls_ca),
            ("--cert", source.tls_cert),
            ("--key", source.tls_key),
        ):
            arguments += [option, str(path)] if path is not None else []
    password = {} if settings.db_password is None else {"REDISCLI_AUTH": settings.db_password}
    unmarked = _Unmarked(sink)
    command = [program, *arguments, "--rdb", "-"]
    finished = job.run(command, stdout=unmarked, env=password, check=False)
    if finished.returncode != 0:
        lines = [line.strip() for line in finished.stderr.splitlines() if line.strip()]
        said = lines[-1] if lines else f"exit code {finished.returncode}"
        raise refusal(f"{source.host}:{source.port}", said.rpartition("with error: ")[2])
    unmarked.finish()
