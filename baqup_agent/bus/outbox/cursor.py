"""How far an outbox is acknowledged: a small file that is overwritten in place.

It has two slots of equal size, written in turn, each with its own checksum: whatever happens to
one of them, the other holds what was true one write before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from zlib import crc32

from attrs import field, frozen

from baqup_agent.bus.outbox.directory import read_file
from baqup_agent.bus.outbox.record import Position
from baqup_agent.bus.outbox.room import SHARES

CURSOR_NAME = "cursor"

#: Length of a slot in bytes; the numbers in it could grow to 18 digits each.
_SLOT = 256
_NO_BASE = "-"

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@frozen
class Cursor:
    """What has to be remembered of an outbox beside its records.

    Attributes:
        position: where the acknowledged records end.
        base_ms: see `Outbox.base_ms`.
        dropped: how many events were refused, by severity.
    """

    position: Position = (0, 0)
    base_ms: int | None = None
    dropped: Mapping[str, int] = field(factory=dict)


def read_cursor(directory: int) -> Cursor:
    """Return what was written last; the beginning if there is nothing, or it is damaged.

    Raises:
        OSError: it cannot be read at present, which tells nothing of what it says.
    """
    turn_and_cursor = _read(directory)
    return Cursor() if turn_and_cursor is None else turn_and_cursor[1]


class CursorFile:
    """The file, open for writing; every method raises OSError.

    Args:
        directory: descriptor of the directory that it lies in.
    """

    def __init__(self, directory: int) -> None:
        latest = _read(directory)
        self._turn = 0 if latest is None else latest[0]
        self._fd = os.open(CURSOR_NAME, os.O_WRONLY | os.O_CREAT | _FLAGS, 0o600, dir_fd=directory)
        self._unsynced = False
        if latest is None:
            self._take_space()

    def _take_space(self) -> None:
        """Write both slots while the disk has room for them."""
        try:
            self.write(Cursor())
            self.write(Cursor())
        except BaseException:
            self.close()
            raise

    def write(self, cursor: Cursor) -> None:
        """Overwrite the older slot."""
        self._turn += 1
        slot = _encode(self._turn, cursor)
        if os.pwrite(self._fd, slot, self._turn % 2 * _SLOT) != _SLOT:
            raise OSError("the cursor could not be written whole")
        self._unsynced = True

    def sync(self) -> None:
        """Make sure that what was written survives a power cut."""
        if self._unsynced:
            self._unsynced = False  # before: another thread may write meanwhile
            try:
                os.fdatasync(self._fd)
            except OSError:
                self._unsynced = True
                raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _read(directory: int) -> tuple[int, Cursor] | None:
    content = read_file(CURSOR_NAME, directory, 2 * _SLOT) or b""
    slots = filter(None, (_decode(content[:_SLOT]), _decode(content[_SLOT:])))
    return max(slots, key=lambda slot: slot[0], default=None)


def _encode(turn: int, cursor: Cursor) -> bytes:
    base = _NO_BASE if cursor.base_ms is None else cursor.base_ms
    counts = " ".join(str(cursor.dropped.get(severity, 0)) for severity in SHARES)
    segment, offset = cursor.position
    text = f"{turn} {segment} {offset} {base} {counts}".ljust(_SLOT - 10).encode()
    return b"%08x %b\n" % (crc32(text), text)


def _decode(slot: bytes) -> tuple[int, Cursor] | None:
    if len(slot) != _SLOT or slot[:9] != b"%08x " % crc32(slot[9:-1]):
        return None
    try:
        turn, segment, offset, base, *counts = slot[9:-1].decode("ascii").split()
        dropped = {word: int(n) for word, n in zip(SHARES, counts, strict=True) if n != "0"}
        base_ms = None if base == _NO_BASE else int(base)
        return int(turn), Cursor((int(segment), int(offset)), base_ms, dropped)
    except ValueError:  # not of our making
        return None
