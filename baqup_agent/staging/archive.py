"""Writes a directory tree's members as a tar stream (ustar with pax records).

The writer knows nothing of directories on disk: it is handed members and open files, one after the
other, and keeps neither. What it owes its reader is the format: a file's content takes exactly the
room that its header announced, whatever the source did meanwhile, and the end is marked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from baqup_agent.security.member import Kind, Member
from baqup_agent.staging.archive_header import BLOCK, header, padding
from baqup_agent.staging.archive_sparse import regular

#: Headers are gathered to pieces of this many bytes before they are handed on.
_GATHER_BYTES = 64 * 1024

#: Tar programs read and write records of twenty blocks; the last one is filled up.
_RECORD_BYTES = 20 * BLOCK

#: Files up to this size are read at once and gathered with their headers.
_SMALL_BYTES = 64 * 1024

#: A file that came up short is filled with zero bytes in pieces of this size.
_FILL = bytes(64 * 1024)


class ArchiveSink(Protocol):
    """Where an archive goes; an artifact's writer is one."""

    def write(self, data: bytes, /) -> object:
        """Take all of ``data``."""
        ...

    def copy_from_fd(
        self,
        fd: int,
        size: int | None = None,
        *,
        offset: int | None = None,
        on_bytes: Callable[[int], object] | None = None,
    ) -> int:
        """Take ``size`` bytes of an open file, fewer only at its end; return how many."""
        ...


class ArchiveWriter:
    """A tar stream in the making.

    Args:
        out: takes the stream; it is neither flushed nor closed.

    Call `close` after the last member: an archive without its end mark is refused when read.
    """

    def __init__(self, out: ArchiveSink) -> None:
        self._out = out
        #: Headers and padding that wait for the next content.
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
            DataError: the member's attributes take more room than readers grant.
            ValueError: the member announces content; it belongs to `add_file`.
        """
        if member.size:
            raise ValueError(f"{member.kind.name} of {member.size} bytes: add_file takes contents")
        self._put(header(member))

    def add_file(
        self,
        member: Member,
        fd: int,
        *,
        on_bytes: Callable[[int], object] | None = None,
    ) -> int:
        """Write a file whose content is read from an open file.

        Exactly ``member.size`` bytes are read from its beginning on, or ``member.extents`` at
        their offsets, wherever its position is. What a file that shrank lacks becomes zero bytes.

        Args:
            member: the file's header.
            fd: the open file.
            on_bytes: is told after each piece how many more bytes were read.

        Returns:
            How many bytes were read; fewer than ``member.stored_bytes`` when the file was too
            short.

        Raises:
            DataError: the member's attributes take more room than readers grant.
            ValueError: the member is no file.
        """
        if member.kind is not Kind.FILE:
            raise ValueError(f"a {member.kind.name} has no content")
        if member.extents is None:
            if member.size <= _SMALL_BYTES:
                return self._add_small(member, fd, on_bytes)
            self._put(header(member))
            read = self._copy(fd, member.size, 0, on_bytes)
        else:
            member = member._replace(extents=regular(member.extents, member.size))
            self._put(header(member))
            read = sum(
                self._copy(fd, length, offset, on_bytes) for offset, length in member.extents or ()
            )
        stored = member.stored_bytes
        if stored % BLOCK:
            self._put(padding(stored))
        return read

    def close(self) -> None:
        """Write the end mark and hand everything on."""
        self._put(bytes(2 * BLOCK))
        self._put(bytes(-self._bytes % _RECORD_BYTES))
        self._flush()

    def _copy(
        self, fd: int, size: int, offset: int, on_bytes: Callable[[int], object] | None
    ) -> int:
        self._flush()
        read = self._out.copy_from_fd(fd, size, offset=offset, on_bytes=on_bytes)
        self._bytes += read
        self._fill(size - read)
        return read

    def _fill(self, missing: int) -> None:
        while missing:
            piece = _FILL[:missing]
            self._put(piece)
            missing -= len(piece)

    def _add_small(self, member: Member, fd: int, on_bytes: Callable[[int], object] | None) -> int:
        """Read a file at once; the way through the sink's buffers costs more than its bytes."""
        announced, size = header(member), member.size
        data = os.pread(fd, size, 0) if size else b""
        while 0 < len(data) < size and (more := os.pread(fd, size - len(data), len(data))):
            data += more
        read = len(data)
        self._put(announced + data + bytes(size - read + -size % BLOCK))
        if on_bytes is not None and read:
            on_bytes(read)
        return read

    def _put(self, data: bytes) -> None:
        size = len(data)
        self._bytes += size
        self._gathered.append(data)
        self._gathered_bytes += size
        if self._gathered_bytes >= _GATHER_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._gathered:
            data = b"".join(self._gathered) if len(self._gathered) > 1 else self._gathered[0]
            self._gathered.clear()
            self._gathered_bytes = 0
            self._out.write(data)
