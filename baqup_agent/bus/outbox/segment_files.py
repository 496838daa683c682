"""What the files of segments are called, and how they are read past any damage."""

from __future__ import annotations

import contextlib
import os
import re
import stat

from baqup_agent.bus.outbox.record import (
    Entry,
    Position,
    decode_line,
    kind_of,
    new_entry,
    quick_kind_of,
)

#: No message is longer, bytes; so much without a line feed is damage, whatever follows.
LONGEST_LINE_BYTES = 64 * 1024 * 1024

#: How files are opened for reading; never through a link, and never waiting for a writer.
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

_NAME = re.compile(r"[0-9]{8}\.jsonl")


def name_of(number: int) -> str:
    """Return the file name of a segment."""
    return f"{number:08}.jsonl"


def found_segments(directory: int) -> list[int]:
    """Return the numbers of the segments in a directory, in order."""
    with os.scandir(directory) as entries:
        return sorted(
            int(entry.name[:8])
            for entry in entries
            if _NAME.fullmatch(entry.name)
            and stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)
        )


def parse(
    data: bytes, position: Position, ticket: int, *, sound: bool = False
) -> tuple[list[Entry], int, int]:
    """Take lines apart.

    Args:
        data: whole lines; the last one may lack its line feed.
        position: where they begin.
        ticket: the ticket of the first.
        sound: whether all of them were looked at before, and were whole messages: then those that
            have kept their checksum are so still.

    Returns:
        The whole records, how many lines are damaged, and how many bytes those have.
    """
    number, offset = position
    entries: list[Entry] = []
    damaged = lost_bytes = 0
    *lines, rest = data.split(b"\n")
    kind_in = quick_kind_of if sound else kind_of
    for line in lines:
        size_bytes = len(line) + 1
        offset += size_bytes
        text = decode_line(line)
        kind = None if text is None else kind_in(text)
        if text is None or kind is None:
            damaged += 1
            lost_bytes += size_bytes
        else:
            entries.append(new_entry(ticket, kind, text, size_bytes, (number, offset)))
        ticket += 1
    if rest:
        text = _salvage(rest)
        kind = None if text is None else kind_of(text)
        if text is None or kind is None:
            return entries, damaged + 1, lost_bytes + len(rest)
        entries.append(Entry(ticket, kind, text, len(rest), (number, offset + len(rest))))
    return entries, damaged, lost_bytes


def _salvage(tail: bytes) -> str | None:
    """Read a last line whose line feed was not written, or is damaged."""
    text = decode_line(tail)
    return decode_line(tail[:-1]) if text is None else text


def _last_line(fd: int, size: int) -> bytes:
    """Return what follows the last line feed but one, or but the very last byte."""
    step = 64 * 1024
    tail = b""
    while len(tail) < size:
        step = min(2 * step, size - len(tail))
        tail = os.pread(fd, step, size - len(tail) - step) + tail
        cut = tail.rfind(b"\n", 0, -1) + 1
        if cut or len(tail) >= LONGEST_LINE_BYTES:
            return tail[cut:]
    return tail


def usable_size(directory: int, number: int, *, repair: bool) -> int:
    """Return where the last record of a file ends, be its line feed missing or damaged.

    Args:
        directory: descriptor of the directory.
        number: the segment.
        repair: cut off what follows, which a torn write left.

    Raises:
        OSError: the file is there, but cannot be opened or read at present.
    """
    flags = (os.O_RDWR if repair else os.O_RDONLY) | (READ & ~os.O_RDONLY)
    try:
        fd = os.open(name_of(number), flags, dir_fd=directory)
    except FileNotFoundError:
        return 0
    try:
        size = os.fstat(fd).st_size
        tail = _last_line(fd, size)
        if not tail or tail.endswith(b"\n") or _salvage(tail) is not None:
            return size
        if repair:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, size - len(tail))
        return size - len(tail)
    finally:
        os.close(fd)
