"""Writes a directory tree's members as a tar stream (ustar with pax records).

The writer knows nothing of directories on disk: it is handed members and contents, one after the
other, and keeps neither. What it owes its reader is the format: a file's content takes exactly the
room that its header announced, whatever the source did meanwhile, and the end is marked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from baqup_agent.security.member import Kind, Member
from baqup_agent.staging.archive_header import BLOCK, header, padding

#: Small members are gathered to pieces of this many bytes before they are handed on.
_GATHER_BYTES = 256 * 1024

#: Tar programs read and write records of twenty blocks; the last one is filled up.
_RECORD_BYTES = 20 * BLOCK

#: A file that came up short is filled with zero bytes in pieces of this size.
_FILL = bytes(64 * 1024)


class ByteSink(Protocol):
    """Where an archive goes; an artifact's writer is one."""

    def write(self, data: bytes, /) -> object:
        """Take all of ``data``."""
        ...


class ArchiveWriter:
    """A tar stream in the making.

    Args:
        out: takes the stream; it is neither flushed nor closed.

    Call `close` after the last member: an archive without its end mark is refused when read.
    """

    def __init__(self, out: ByteSink) -> None:
        self._out = out
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of the stream so far."""
        return self._bytes

    def add(self, member: Member) -> None:
        """Write a directory, a link or an empty file.

        Raises:
            ValueError: the member announces content; it belongs to `add_file`.
        """
        if member.size:
            raise ValueError(f"{member.kind.name} of {member.size} bytes: add_file takes contents")
        self._put(header(member))

    def add_file(self, member: Member, content: Iterable[bytes]) -> int:
        """Write a file with exactly ``member.size`` bytes of content.

        Content that is too long is cut and not read further; what is missing becomes zero bytes.

        Args:
            member: the file's header.
            content: its bytes, in pieces of any size.

        Returns:
            How many bytes of ``content`` were written; fewer than ``member.size`` when it was
            too short.
        """
        if member.kind is not Kind.FILE:
            raise ValueError(f"a {member.kind.name} has no content")
        self._put(header(member))
        missing = member.size
        if missing:
            for piece in content:
                taken = piece[:missing]
                self._put(taken)
                missing -= len(taken)
                if not missing:
                    break
        self._fill(missing)
        self._put(padding(member.size))
        return member.size - missing

    def close(self) -> None:
        """Write the end mark and hand everything on."""
        self._put(bytes(2 * BLOCK))
        self._put(bytes(-self._bytes % _RECORD_BYTES))
        self._flush()

    def _fill(self, count: int) -> None:
        while count:
            piece = _FILL[:count]
            self._put(piece)
            count -= len(piece)

    def _put(self, data: bytes) -> None:
        self._bytes += len(data)
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= _GATHER_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._gathered:
            data = b"".join(self._gathered) if len(self._gathered) > 1 else self._gathered[0]
            self._gathered.clear()
            self._gathered_bytes = 0
            self._out.write(data)
