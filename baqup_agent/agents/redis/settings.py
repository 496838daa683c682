"""What agent-redis reads from its environment beyond the contract's common variables."""

# ruff: noqa: RUF009  the calls make fields of attrs, they are no defaults

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from attrs import frozen

from baqup_agent import Secret, config

#: The server's own port where none is given.
PORT = 6379

#: How the content is fetched.
REPLICATION, CLI = "replication", "cli"


@frozen
class Source:
    """The server that is read.

    Attributes:
        host: where it is.
        port: its port.
        method: how its content is fetched.
        tls: whether it speaks TLS.
        tls_ca: the authorities that may sign its certificate; None for the system's.
        tls_cert: our own certificate; None where the server asks for none.
        tls_key: the key of that certificate.
        timeout: longest silence of the server.
        patience: longest wait until the server begins to send.
    """

    host: str = config.hostname("server to read from")
    port: int = config.port("its port", default=PORT)
    method: str = config.enum(
        "fetch the content as a replica does, or by redis-cli or valkey-cli",
        (REPLICATION, CLI),
        default=REPLICATION,
    )
    tls: bool = config.flag("whether the server speaks TLS", default=False)
    tls_ca: Path | None = config.path(
        "certificates of the authorities that may sign the server's",
        default=None,
        must_exist="file",
    )
    tls_cert: Path | None = config.path(
        "the agent's own certificate", default=None, must_exist="file", needs="tls_key"
    )
    tls_key: Path | None = config.path(
        "the key of that certificate", default=None, must_exist="file", needs="tls_cert"
    )
    timeout: timedelta = config.duration("longest silence of the server", default="60s")
    patience: timedelta = config.duration(
        "longest wait until the server begins to send its snapshot", default="30m"
    )


@frozen
class Programs:
    """The program of the method ``cli``.

    Attributes:
        redis_cli: its path; None to look for it on ``PATH``.
    """

    redis_cli: Path | None = config.path(
        "redis-cli or valkey-cli; without it they are looked for on PATH",
        default=None,
        must_exist="file",
    )


@frozen
class SnapshotSettings:
    """All that a snapshot reads."""

    source: Source = config.section(Source)
    agent: Programs = config.section(Programs)
    db_user: Secret | None = config.secret("user to log in as, with ACLs", default=None)
    db_password: Secret | None = config.secret("password of the server or user", default=None)


@frozen
class Published:
    """The backup that is restored.

    Attributes:
        path: its directory.
    """

    path: Path = config.path("published directory to restore")


@frozen
class Target:
    """Where the RDB is laid down.

    Attributes:
        path: the file, or the server's data directory.
        host: a running server; refused, with the remedy.
    """

    path: Path | None = config.path(
        "the file to write, or the data directory of a stopped server", default=None
    )
    host: str | None = config.hostname("not supported: servers load RDB at start", default=None)


@frozen
class RestoreSettings:
    """All that a restore reads."""

    source: Published = config.section(Published)
    target: Target = config.section(Target)
