"""Follows the JSON Lines file of a ``file:`` bus."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from baqup_agent.controller.observe import Message, decode_message
from baqup_agent.controller.output import LineSplitter

#: Longest message that is taken, bytes.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

#: Most that one poll reads, bytes, so that a flood of messages does not stop everything else.
_POLL_BYTES = 4 * 1024 * 1024


class FileObserver:
    """Reads a job's messages as they are appended; the file may appear later.

    Args:
        path: the job's file in the folder of the bus.
        job_id: messages about another job are unreadable here.
    """

    def __init__(self, path: Path, job_id: str) -> None:
        self.unreadable = 0
        self._path = path
        self._job_id = job_id
        self._descriptor: int | None = None
        self._start_at = 0
        self._splitter = LineSplitter(MAX_MESSAGE_BYTES)
        self._notes: list[str] = []
        self._unusable = False

    def start(self) -> None:
        """Remember where an earlier attempt's messages end."""
        with contextlib.suppress(OSError):
            self._start_at = self._path.stat().st_size

    def poll(self) -> list[Message]:
        """Return the messages that were appended, at most some megabytes at a time."""
        chunk = self._read()
        return self._decode(self._splitter.feed(chunk)) if chunk else []

    def finish(self) -> Iterator[Message]:
        """Yield all that is left."""
        while chunk := self._read():
            yield from self._decode(self._splitter.feed(chunk))
        yield from self._decode(self._splitter.end())

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def notes(self) -> list[str]:
        """Return what went wrong with reading the file."""
        notes, self._notes = self._notes, []
        return notes

    def _read(self) -> bytes:
        if self._unusable:
            return b""
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            return os.read(self._descriptor, _POLL_BYTES)
        except FileNotFoundError:
            return b""  # not there yet: the agent makes it with its first message
        except OSError as error:
            self._unusable = True
            self._notes.append(f"the bus file {self._path} cannot be read: {error.strerror}")
            return b""

    def _open(self) -> int:
        # O_NONBLOCK: a pipe in its place must not make the controller wait for a writer
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if self._start_at:
            os.lseek(descriptor, self._start_at, os.SEEK_SET)
        return descriptor

    def _decode(self, lines: list[bytes]) -> list[Message]:
        decoded = [decode_message(line, self._job_id) for line in lines if line]
        messages = [message for message in decoded if message is not None]
        self.unreadable += len(decoded) - len(messages)
        return messages
