"""A server of any version as a process that a test may stop, kill, freeze and bring back."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from redis import Redis

from baqup_agent.controller.embedded import _LAUNCHER
from tests.servers.versions import Version
from tests.waiting import eventually

LOOPBACK = "127.0.0.1"

#: A cluster's nodes talk on a second port, this much above the first.
_BUS_OFFSET = 10000

#: Seconds until a server has to answer.
_START_S = 20.0


class Server:
    """A server in a ``with`` block; its directory, and so its data, outlives a restart.

    Args:
        version: which server.
        arguments: as on its command line.
        port: by default a free one.
        config: the text of a configuration file, for what has no place on the command line.
        tls: the authority of a port that speaks TLS; the arguments name the server's own files.
    """

    def __init__(
        self,
        version: Version,
        *arguments: str,
        port: int | None = None,
        config: str | None = None,
        tls: Path | None = None,
    ) -> None:
        self.version = version
        self.port = port or free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="baqup-server-"))
        self._arguments = arguments
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        if config is not None:
            (self.directory / "server.conf").write_text(config)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """Its URL."""
        return f"{'rediss' if self._tls else 'redis'}://{self.address}/0"

    @property
    def pid(self) -> int:
        """Its process, while it runs."""
        assert self._process is not None
        return self._process.pid

    def admin(self) -> Redis:
        """Return a client of our own; close it by ``with``."""
        secured = {"ssl": True, "ssl_ca_certs": str(self._tls)} if self._tls else {}
        return Redis(
            host=LOOPBACK,
            port=self.port,
            password=self._password(),
            decode_responses=True,
            socket_timeout=10,
            **secured,
        )

    def start(self, *, loading: bool = False) -> None:
        """Start it and wait for its first answer, which while loading is that it is loading."""
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,
            )
        ready = (b"-LOADING",) if loading else (b"+PONG", b"-NOAUTH")
        eventually(lambda: self._answer().startswith(ready), within_s=_START_S)

    def kill(self) -> None:
        """End it as a crash would; harmless when repeated."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Kill it and bring it back on the same port; without persistence it is empty then."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay, answers do not come."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def log(self) -> str:
        """Return what it said."""
        return (self.directory / "server.log").read_text(errors="replace")

    def _password(self) -> str | None:
        given = " ".join(self._arguments)
        with contextlib.suppress(OSError):
            given += " " + (self.directory / "server.conf").read_text()
        match = re.search(r"requirepass (\S+)", given)
        return None if match is None else match[1].strip('"')

    def _command(self) -> list[str]:
        config = self.directory / "server.conf"
        ports = ["--port", "0", "--tls-port"] if self._tls else ["--port"]
        return [
            str(self.version.binary),
            *([str(config)] if config.exists() else []),
            *("--bind", LOOPBACK, *ports, str(self.port), "--dir", str(self.directory)),
            *self._arguments,
        ]

    def _answer(self) -> bytes:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.version.name} ended: {self.log()[-800:]}"
        if self._tls:  # whether it listens is enough: the port was free before
            return b"+PONG" if _listens(self.port) else b""
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1) as at:
            at.settimeout(1)
            at.sendall(b"PING\r\n")
            return at.recv(64)
        return b""


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
        return True
    return False


def free_port() -> int:
    """Return a free port whose sibling for a cluster's bus is free too."""
    while True:
        with socket.socket() as probe, socket.socket() as sibling:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                sibling.bind((LOOPBACK, port + _BUS_OFFSET))
                return port
