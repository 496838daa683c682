"""Reads a ``file:`` bus: a JSON Lines file for each job, followed while it grows.

A file that is replaced or cut short is read again from its beginning, and whoever sends what a
killed agent left may write lines again that are there already. What was told before is known by
its producer and number: a producer's events are written in their order. No descriptor is kept
between two looks, so there may be any number of jobs.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from attrs import define, field

from baqup_agent.controller.complaints import Complaints
from baqup_agent.controller.messages import (
    MAX_MESSAGE_BYTES,
    BusMessage,
    Event,
    Malformed,
    about,
    read_json,
)
from baqup_agent.controller.novelty import Novelty
from baqup_agent.controller.output import LineSplitter
from baqup_agent.errors import BusRefused, describe

#: Most that is read of a file at once, bytes, so that a flood does not stop everything else.
_CHUNK_BYTES = 4 * 1024 * 1024

_SUFFIX = ".jsonl"


@define
class _File:
    """How far one job's file was read.

    Attributes:
        path: where it is.
        job_id: messages about other jobs do not belong in it.
        inode: which file it was last time; 0 before the first time.
        position: bytes that were read.
        again: whether it is read for a second time, up to where it was told before.
        refused: whether it turned out to be unusable, which is told once.
    """

    path: Path
    job_id: str
    inode: int = 0
    position: int = 0
    again: bool = False
    refused: bool = False
    splitter: LineSplitter = field(factory=lambda: LineSplitter(MAX_MESSAGE_BYTES))


class FileSource:
    """Reads the files of one job or of all; see `baqup_agent.controller.reader.Source`.

    Args:
        directory: the folder of the bus; it may appear later.
        job_id: the job; None reads all.
        only_new: begin where the files end now.
    """

    def __init__(self, directory: Path, job_id: str | None, *, only_new: bool = False) -> None:
        self._directory = directory
        self._job_id = job_id
        self._only_new = only_new
        self._files: dict[str, _File] = {}
        self._novelty = Novelty()
        self._complaints = Complaints()
        self._seeing = True
        self._trouble: str | None = None
        self._closed = threading.Event()

    @property
    def unreadable(self) -> int:
        """See `Source`."""
        return self._complaints.unreadable

    @property
    def seeing(self) -> bool:
        """False once a file could not be read; a folder that is not there yet is empty."""
        return self._seeing

    @property
    def trouble(self) -> str | None:
        """See `Source`."""
        fault = self._fault()
        return self._trouble if fault is None else fault[1]

    @property
    def refusal(self) -> BusRefused | None:
        """What no agent can write to either is no bus; but a missing folder it makes by itself."""
        fault = self._fault()
        if fault is None or not fault[0]:
            return None
        return BusRefused(
            f"file://{self._directory} is no bus: {fault[1]}; name the directory that the agents "
            "have in BAQUP_BUS_URL"
        )

    def _fault(self) -> tuple[bool, str] | None:
        """Look what is wrong with the folder, and whether an agent cannot help that."""
        try:
            with os.scandir(self._directory):
                return None
        except FileNotFoundError:
            made = self._directory.parent.is_dir()
            return not made, "there is no such directory" + ("" if made else ", nor its parent")
        except OSError as error:
            return True, error.strerror or describe(error)

    def start(self) -> None:
        """Remember where the files end, if what is there is to be left out."""
        if not self._only_new:
            return
        for file in self._present():
            with contextlib.suppress(OSError):
                found = file.path.stat()
                file.inode, file.position = found.st_ino, found.st_size

    def poll(self, timeout_s: float) -> list[BusMessage]:  # noqa: ARG002  a file cannot wake us
        """Return what was appended, at most some megabytes of each file."""
        return [message for file in self._present() for message in self._read(file)]

    def finish(self) -> Iterator[BusMessage]:
        """Yield all that is left."""
        for file in self._present():
            while True:
                before = (file.inode, file.position)
                yield from self._read(file)
                if (file.inode, file.position) == before:
                    break
            yield from self._decoded(file, file.splitter.end())

    def notes(self) -> list[str]:
        """See `Source`."""
        return self._complaints.take()

    def close(self) -> None:
        """Nothing is held."""

    def _present(self) -> list[_File]:
        """The files to look at, those that appeared lately among them."""
        if self._job_id is not None:
            self._add(self._job_id)
        else:
            with contextlib.suppress(OSError):  # no folder yet: the first agent makes it
                for entry in sorted(self._directory.glob(f"*{_SUFFIX}")):
                    self._add(entry.name.removesuffix(_SUFFIX))
        return list(self._files.values())

    def _add(self, job_id: str) -> None:
        if job_id not in self._files:
            self._files[job_id] = _File(self._directory / f"{job_id}{_SUFFIX}", job_id)

    def _read(self, file: _File) -> list[BusMessage]:
        try:
            chunk = _chunk(file)
        except FileNotFoundError:
            return []  # not there yet: the agent makes it with its first message
        except OSError as error:
            self._refuse(file, error.strerror or "it cannot be read")
            return []
        return self._decoded(file, file.splitter.feed(chunk)) if chunk else []

    def _refuse(self, file: _File, why: str) -> None:
        self._seeing = False
        if not file.refused:
            file.refused = True
            self._trouble = f"the bus file {file.path} cannot be read: {why}"
            self._complaints.note(self._trouble)

    def _decoded(self, file: _File, lines: list[bytes]) -> list[BusMessage]:
        return [
            message for line in lines if line and (message := self._message(file, line)) is not None
        ]

    def _message(self, file: _File, line: bytes) -> BusMessage | None:
        try:
            message = about(file.job_id, read_json(line))
        except Malformed as error:
            self._complaints.refuse("a line of the bus file", str(error))
            return None
        if isinstance(message, Event):
            # A number without an agent may be that of another process, which counts anew.
            numbered = message.seq is not None and message.agent_id is not None
            admitted = self._novelty.admit_event(message, again=file.again or numbered)
        else:
            admitted = self._novelty.admit_latest(message)
        if not admitted:
            return None
        self._complaints.inspect(message)
        return message


def _chunk(file: _File) -> bytes:
    """Read what follows; from the beginning if the file is another one than before."""
    found = file.path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(0, "it is no regular file")
    if (found.st_ino, found.st_size) == (file.inode, file.position):
        return b""
    if found.st_ino != file.inode or found.st_size < file.position:
        file.again = file.again or file.inode != 0
        file.inode, file.position = found.st_ino, 0
        file.splitter = LineSplitter(MAX_MESSAGE_BYTES)
    # O_NONBLOCK: should a pipe take its place now, there is no waiting for a writer
    descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        chunk = os.pread(descriptor, _CHUNK_BYTES, file.position)
    finally:
        os.close(descriptor)
    file.position += len(chunk)
    return chunk
