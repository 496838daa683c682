"""An agent's stdout and stderr, read so that the agent never waits for its reader."""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque
from typing import IO

from attrs import frozen

#: Longest part of a line that is kept, bytes; the rest of it is dropped and said to be.
MAX_LINE_BYTES = 256 * 1024

#: Bytes of lines that wait to be shown; beyond that the oldest go.
MAX_WAITING_BYTES = 8 * 1024 * 1024

#: What one waiting line costs beside its text, bytes; so that empty lines are bounded too.
_LINE_COST = 64

_CHUNK_BYTES = 64 * 1024

#: Seconds between looks at whether the reader was told to stop.
_LOOK_S = 0.2

_CUT = b" ... (the rest of this line was dropped)"


@frozen
class OutputLine:
    """One line of an agent's output.

    Attributes:
        stream: ``stdout`` or ``stderr``.
        text: the line without its end; bytes that are no UTF-8 stand as escapes.
    """

    stream: str
    text: str


class LineBuffer:
    """Lines that wait to be shown: bounded, the newest win, what is dropped is counted."""

    def __init__(self, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lines: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._dropped = 0
        self._lock = threading.Lock()

    def add(self, stream: str, lines: list[bytes]) -> None:
        """Append lines, and drop the oldest ones beyond the bound."""
        with self._lock:
            self._lines.extend((stream, line) for line in lines)
            self._bytes += sum(len(line) + _LINE_COST for line in lines)
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._lines.popleft()[1]) + _LINE_COST
                self._dropped += 1

    def take(self) -> tuple[list[OutputLine], int]:
        """Return all waiting lines, and how many were dropped before them since last time."""
        with self._lock:
            lines, self._lines = self._lines, deque()
            dropped, self._dropped = self._dropped, 0
            self._bytes = 0
        shown = [
            OutputLine(stream, raw.decode("utf-8", "backslashreplace")) for stream, raw in lines
        ]
        return shown, dropped


class LineSplitter:
    """Cuts a stream of bytes into lines of bounded length."""

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._skipping = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that ``chunk`` ends."""
        *ended, rest = chunk.split(b"\n")
        lines = [line for part in ended if (line := self._end(part)) is not None]
        lines += self._keep(rest)
        return lines

    def end(self) -> list[bytes]:
        """Return what is left when the stream ends without a line's end."""
        line = self._end(b"")
        return [line] if line else []

    def _end(self, part: bytes) -> bytes | None:
        if self._skipping:
            self._skipping = False
            return None
        line = bytes(self._rest) + part
        self._rest.clear()
        if len(line) > self._max_bytes:
            line = line[: self._max_bytes] + _CUT
        return line.removesuffix(b"\r")

    def _keep(self, rest: bytes) -> list[bytes]:
        if self._skipping:
            return []
        self._rest += rest
        if len(self._rest) <= self._max_bytes:
            return []
        line = bytes(self._rest[: self._max_bytes]) + _CUT
        self._rest.clear()
        self._skipping = True
        return [line]


class OutputPump:
    """A thread that moves an agent's output into a `LineBuffer` until its end."""

    def __init__(self, streams: dict[str, IO[bytes]], buffer: LineBuffer) -> None:
        self._streams = streams
        self._buffer = buffer
        self._told_to_stop = False
        self._thread = threading.Thread(target=self._run, name="agent-output", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def finish(self, timeout_s: float) -> bool:
        """Wait for the end of the output; after ``timeout_s`` seconds leave the rest unread.

        Returns:
            Whether the output had ended by itself.
        """
        self._thread.join(timeout_s)
        complete = not self._thread.is_alive()
        self._told_to_stop = True
        self._thread.join()
        return complete

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for name, stream in self._streams.items():
                selector.register(stream, selectors.EVENT_READ, (name, LineSplitter()))
            while selector.get_map() and not self._told_to_stop:
                for key, _ in selector.select(_LOOK_S):
                    if not self._move(key.fd, *key.data):
                        selector.unregister(key.fileobj)
        for stream in self._streams.values():
            stream.close()

    def _move(self, descriptor: int, name: str, splitter: LineSplitter) -> bool:
        chunk = os.read(descriptor, _CHUNK_BYTES)
        self._buffer.add(name, splitter.feed(chunk) if chunk else splitter.end())
        return bool(chunk)
