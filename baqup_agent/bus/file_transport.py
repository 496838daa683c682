"""A bus without a server: each job's messages as JSON Lines in one file.

[SDK] ``file:///dir`` appends every message, as one compact line, to ``{dir}/{job_id}.jsonl``. The
latest line of a kind is what the hash of a Redis bus would hold.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path

from baqup_agent.bus.encoding import to_json
from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.supersession import Supersession
from baqup_agent.bus.topology import Wire
from baqup_agent.bus.url import FileUrl
from baqup_agent.errors import BusRefused, describe

#: How much of a file that is there already is looked at for what it holds, bytes.
_TAIL_BYTES = 4 * 1024 * 1024

#: Errors of the file system that configuration has to put right.
_CONFIGURATION = frozenset(
    {
        errno.EACCES,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)


class FileTransport:
    """Appends messages to ``{directory}/{job_id}.jsonl``.

    Args:
        url: names the directory, which is created if its parent exists.
        job_id: names the file.
    """

    def __init__(self, url: FileUrl, job_id: str) -> None:
        if "/" in job_id or "\0" in job_id or job_id in {"", ".", ".."}:
            raise BusRefused(
                f"the file bus cannot name a file after job id {job_id!r}; BAQUP_JOB_ID is a UUID"
            )
        self._directory = url.directory
        self._path = url.directory / f"{job_id}.jsonl"
        self._written = Supersession()
        self._fd: int | None = None

    @property
    def display(self) -> str:
        """The file that messages are written to."""
        return str(self._path)

    def connect(self) -> None:
        """Open the file, creating it and its directory.

        Raises:
            BusRefused: the directory or the file cannot be used.
            BusUnavailable: there is trouble that may pass, such as a full disk.
        """
        self.close()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._directory)  # noqa: PTH102  exist_ok of pathlib hides a plain file
            self._fd = os.open(self._path, flags, 0o644)
            self._learn(self._path)
        except OSError as error:
            raise _translate(error, self._directory) from error

    def send(self, message: Wire) -> bool:
        """Append one line.

        Returns:
            Whether it counts; False if a newer one was written before.

        Raises:
            BusUnavailable: the line could not be written whole; nothing of it is left.
        """
        return self._append([message]) or message["type"] == "event"

    def append(self, events: Sequence[Wire], base_ms: int = 0) -> int:  # noqa: ARG002
        """Append a line for each event.

        Returns:
            How many: all of them.

        Raises:
            BusUnavailable: they could not be written; nothing of them is left.
        """
        self._append(events)
        return len(events)

    def top_ms(self, job_id: str) -> int:  # noqa: ARG002
        """Return 0: lines have no ids."""
        return 0

    def newest(self, job_id: str) -> str:  # noqa: ARG002
        """Return the timestamp of the newest status or progress that was written."""
        return self._written.latest

    def _append(self, messages: Sequence[Wire]) -> bool:
        if self._fd is None:
            raise BusUnavailable(f"{self._path} is not open")
        fresh = [message for message in messages if not self._written.stale(message)]
        if fresh:
            append_lines(self._fd, b"".join(map(_line, fresh)), self._path)
        for message in fresh:
            self._written.note(message)
        return bool(fresh)

    def _learn(self, path: Path) -> None:
        """Know again what an earlier process wrote last, before it died with that unconfirmed."""
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES)
            file.seek(start)
            lines = file.read(_TAIL_BYTES).split(b"\n")
        for line in lines[1 if start else 0 : -1]:
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                self._written.note(json.loads(line))

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _line(message: Wire) -> bytes:
    return to_json(message).encode() + b"\n"


def append_lines(fd: int, lines: bytes, path: Path) -> None:
    """Append ``lines`` to a file opened for appending: all of them or, on failure, nothing.

    Raises:
        BusUnavailable: they could not be written.
    """
    size_bytes = os.fstat(fd).st_size
    written_bytes = 0
    try:
        while written_bytes < len(lines):
            written_bytes += os.write(fd, lines[written_bytes:])
    except OSError as error:
        if written_bytes:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, size_bytes)
        raise BusUnavailable(f"{path} cannot be written: {describe(error)}") from error


def _translate(error: OSError, directory: Path) -> Exception:
    if error.errno not in _CONFIGURATION:
        return BusUnavailable(f"{directory} cannot be used: {describe(error)}")
    return BusRefused(
        f"the bus directory {directory} of BAQUP_BUS_URL cannot be used: {error.strerror}; "
        "name a writable directory whose parent exists",
        suggestions=[f"create {directory} and make it writable for this user"],
    )
