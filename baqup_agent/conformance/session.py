"""What all checks of one suite share: the agent, the server, a directory, what the agent says."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from attrs import Factory, field, frozen

from baqup_agent.conformance.conform_file import ConformFile
from baqup_agent.conformance.verdicts import CannotJudge
from baqup_agent.controller.embedded import EmbeddedServer
from baqup_agent.errors import ConfigError, UsageError

T = TypeVar("T")

#: Variables of the caller that every run sees; the agent sees nothing else of the caller.
_PASSED_ON = ("PATH", "LANG", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_PASSED_ON_PREFIXES = ("LC_", "PYTHON", "COVERAGE_")

#: Seconds for a preparing command of conform.toml.
_PREPARE_S = 120.0

#: The contract's own intervals, seconds, which ``time_scale`` shortens.
_HEARTBEAT_S = 10
_GRACE_S = 30


@frozen
class Times:
    """The intervals that runs are configured with, whole seconds (Contract §2).

    Attributes:
        heartbeat_s: ``BAQUP_AGENT_HEARTBEAT_INTERVAL``.
        grace_s: ``BAQUP_BUS_GRACE_PERIOD``.
        scale: what the contract's own values were multiplied by.
    """

    heartbeat_s: int
    grace_s: int
    scale: float

    @staticmethod
    def scaled(scale: float) -> Times:
        """Return the contract's intervals times ``scale``; none is below a second."""
        return Times(max(1, round(_HEARTBEAT_S * scale)), max(2, round(_GRACE_S * scale)), scale)


@frozen
class Settings:
    """How a suite is carried out.

    Attributes:
        command: the agent's, without a role.
        file: what conform.toml says.
        host: the environment of the caller.
        seed: all that is drawn at random follows from it.
        time_scale: multiplies the contract's intervals where a variable sets them.
        full: whether sweeps go to their full length.
        complete: whether a check that does not apply is an error, unless the file says why.
        bus_url: a server to use in place of an own one.
        jobs: how many checks run at once.
        repeat: how often each check runs.
        limit_s: seconds for all of it.
    """

    command: tuple[str, ...]
    file: ConformFile = Factory(ConformFile)
    host: Mapping[str, str] = field(factory=dict, repr=False)
    seed: int = 0
    time_scale: float = 0.1
    full: bool = False
    complete: bool = False
    bus_url: str | None = None
    jobs: int = 2
    repeat: int = 1
    limit_s: float = 3600.0


class Session:
    """Lives as long as one suite, in a ``with`` block.

    Raises:
        UsageError: the command does not exist, or there is no server.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.command = resolve_command(settings.command, settings.host)
        self.times = Times.scaled(settings.time_scale)
        self._stack = contextlib.ExitStack()
        self._lock = threading.RLock()
        self._made: dict[Hashable, Any] = {}
        self.cancelled = False

    def __enter__(self) -> Self:
        self.root = Path(tempfile.mkdtemp(prefix="baqup-conform-"))
        self._stack.callback(remove_tree, self.root)
        try:
            self.server_url = self.settings.bus_url or self._start_server()
            _check_bus(self.server_url)
            self.source = self.root / "source"
            self.shared = self.root / "shared"
            _make_source(self.source)
            self.shared.mkdir()
            if self.settings.file.prepare:
                self._prepare(self.settings.file.prepare)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` returned for a key; one thread makes it, the others wait."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            made: T = self._made[key]
            return made

    def host_environment(self) -> dict[str, str]:
        """Return what every run sees of the caller's environment."""
        return {
            name: value
            for name, value in self.settings.host.items()
            if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
        }

    def _start_server(self) -> str:
        return self._stack.enter_context(EmbeddedServer()).url

    def _prepare(self, command: Sequence[str]) -> None:
        argv = [self.fill(word) for word in command]
        try:
            subprocess.run(  # noqa: S603  what conform.toml says
                argv,
                cwd=self.shared,
                env=self.host_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                timeout=_PREPARE_S,
            )
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or b""
            last = " / ".join(said.decode("utf-8", "replace").split("\n")[-3:])
            raise ConfigError(
                f"[shared] prepare failed: {error} {last}; run it by hand to see why"
            ) from error

    def fill(self, text: str, **more: str) -> str:
        """Put values in the place of ``{source}`` and its like."""
        names = {
            "source": str(self.source),
            "shared": str(self.shared),
            "here": str(self.settings.file.here),
            "python": sys.executable,
            **more,
        }
        for name, value in names.items():
            text = text.replace("{" + name + "}", value)
        return text


def resolve_command(command: Sequence[str], host: Mapping[str, str]) -> tuple[str, ...]:
    """Return a command line that works from any directory.

    Raises:
        UsageError: there is no such program.
    """
    if not command:
        raise UsageError("there is no command to judge; give it behind --, as in: conform -- CMD")
    program = shutil.which(command[0], path=host.get("PATH"))
    if program is None:
        raise UsageError(
            f"{command[0]!r} is no program that can be run; check its path, its mode and PATH"
        )
    return (str(Path(program).absolute()), *(_absolute(word) for word in command[1:]))


def _absolute(word: str) -> str:
    path = Path(word)
    with contextlib.suppress(OSError, ValueError):
        if not word.startswith("-") and path.exists():
            return str(path.absolute())
    return word


def address(url: str) -> tuple[str, int]:
    """Return host and port of a ``redis://`` URL.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme == "redis" and parts.hostname:
            return parts.hostname, parts.port or 6379
    except ValueError:
        pass
    raise UsageError("--bus: the suite needs a server at redis://HOST:PORT, or none for its own")


def remove_tree(path: Path) -> None:
    """Remove a directory, however deep an agent made it, and whatever rights it took away.

    What lies deep is moved up first, so that no path grows and nothing recurs.
    """
    left, emptied = [path], []
    while left:
        directory = left.pop()
        emptied.append(directory)
        with contextlib.suppress(OSError):
            directory.chmod(0o700)
            for entry in list(os.scandir(directory)):
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        Path(entry.path).chmod(0o700)  # its own rights count when it is moved
                        left.append(Path(entry.path).rename(tempfile.mkdtemp(dir=path)))
                    else:
                        Path(entry.path).unlink()
    for directory in reversed(emptied):
        with contextlib.suppress(OSError):
            directory.rmdir()


def _check_bus(url: str) -> None:
    from redis import Redis
    from redis.exceptions import RedisError

    host, port = address(url)
    try:
        with Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            client.ping()
    except RedisError as error:
        raise UsageError(
            f"--bus: the server at {host}:{port} gives no answer ({type(error).__name__}); "
            "start it, or leave --bus out"
        ) from error


def _make_source(directory: Path) -> None:
    """Make a small tree of files to back up: text, bytes, an empty file, a directory."""
    (directory / "documents").mkdir(parents=True)
    (directory / "documents" / "letter.txt").write_text("Dear reader,\n" * 400)
    (directory / "documents" / "empty").touch()
    (directory / "pixels.bin").write_bytes(bytes(range(256)) * 800)
    (directory / "notes.json").write_text(json.dumps({"notes": list(range(500))}))


def unsupported(platform: str) -> None:
    """Raise `CannotJudge` unless the system has what the suite stands on."""
    if platform != "linux":
        raise CannotJudge("the conformance suite needs Linux: namespaces, inotify, subreapers")
