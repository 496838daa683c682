"""What the agent reads from its environment, for each role (Contract §2)."""

# ruff: noqa: RUF009  the calls make fields of attrs, they are no defaults

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from attrs import frozen

from baqup_agent import Secret, config

#: The server's own port where none is given.
PORT = 5432

#: A name or an address, or the directory that holds the server's socket; one, not a list.
_HOST = r"[^\s,]+"

_HOST_IS = "name or address of the server, or the directory of its socket"
_SSL_IS = "how much TLS is asked of the server, as libpq's sslmode"
_ROOT_IS = "certificates of the authorities that may sign the server's, for verify-ca, verify-full"
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_DATABASES_ARE = "databases by name, or all for every one that admits connections, no templates"
_BIN_IS = "directory of the programs of PostgreSQL; without it they are looked for on PATH"
_USER_IS = "user that the agent logs in as"
_PASSWORD_IS = "password of that user, where the server asks for one"  # noqa: S105  a description
_ALL = ("all",)


@frozen
class Source:
    """The server that is dumped.

    Attributes:
        host: where it is.
        port: its port.
        databases: the names asked for; ``("all",)`` for all.
        exclude: patterns of names that are left out.
        globals: whether roles and tablespaces are dumped too.
        lock_timeout: longest wait for the lock of a table.
        sslmode: how much TLS is asked for.
        sslrootcert: which authorities are trusted.
        maintenance_database: where questions about the server are asked.
    """

    host: str = config.text(_HOST_IS, pattern=_HOST)
    port: int = config.port("its port", default=PORT)
    databases: tuple[str, ...] = config.array(_DATABASES_ARE, default=_ALL, min_items=1)
    exclude: tuple[str, ...] | None = config.array(
        "patterns of databases that are left out, with * and ?", default=None
    )
    globals: bool = config.flag("dump roles and tablespaces too", default=True)
    lock_timeout: timedelta = config.duration(
        "longest wait for another session's lock", default="60s"
    )
    sslmode: str = config.enum(_SSL_IS, _SSL_MODES, default="prefer")
    sslrootcert: Path | None = config.path(_ROOT_IS, default=None, must_exist="file")
    maintenance_database: str = config.text(
        "database in which the server is asked about itself", default="postgres", min_length=1
    )


@frozen
class Published:
    """The backup that is restored.

    Attributes:
        path: its directory.
        databases: the names asked for; ``("all",)`` for all that it holds.
    """

    path: Path = config.path("published directory to restore")
    databases: tuple[str, ...] = config.array(_DATABASES_ARE, default=_ALL, min_items=1)


@frozen
class Target:
    """The server that is restored to.

    Attributes:
        host: where it is.
        port: its port.
        replace: whether databases that are not empty are replaced.
        globals: whether roles and tablespaces are restored first.
        owners: whether owners and privileges are restored.
        sslmode: how much TLS is asked for.
        sslrootcert: which authorities are trusted.
    """

    host: str = config.text(_HOST_IS, pattern=_HOST)
    port: int = config.port("its port", default=PORT)
    replace: bool = config.flag("replace databases that are not empty", default=False)
    globals: bool = config.flag(
        "make the roles and tablespaces first that are not there", default=True
    )
    owners: bool = config.flag("restore owners and privileges", default=True)
    sslmode: str = config.enum(_SSL_IS, _SSL_MODES, default="prefer")
    sslrootcert: Path | None = config.path(_ROOT_IS, default=None, must_exist="file")


@frozen
class Programs:
    """Where the programs of PostgreSQL are.

    Attributes:
        postgres_bin: their directory; None for the ones on ``PATH``.
    """

    postgres_bin: Path | None = config.path(_BIN_IS, default=None, must_exist="directory")


@frozen
class SnapshotSettings:
    """All that a snapshot reads."""

    source: Source = config.section(Source)
    agent: Programs = config.section(Programs)
    db_user: Secret = config.secret(_USER_IS)
    db_password: Secret | None = config.secret(_PASSWORD_IS, default=None)


@frozen
class RestoreSettings:
    """All that a restore reads."""

    source: Published = config.section(Published)
    target: Target = config.section(Target)
    agent: Programs = config.section(Programs)
    db_user: Secret = config.secret(_USER_IS)
    db_password: Secret | None = config.secret(_PASSWORD_IS, default=None)
