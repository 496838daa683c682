"""What can be known of an RDB while it passes by: where it begins and ends, and its checksum.

The format, as far as it matters here::

    REDIS0011 | VALKEY080      magic and version, nine bytes
    FA key value               facts on the server, any number of them
    …                          the content
    FF                         the end
    eight bytes                CRC-64 (Jones) of all before, little-endian; zero where it is off
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from baqup_agent.errors import DataError

_MAGIC = re.compile(rb"REDIS\d{4}|VALKEY\d{3}")
_MAGIC_BYTES = 9

#: Bytes at the beginning in which facts on the server are looked for.
_HEAD_BYTES = 1024

#: Bytes of the checksum at the end, and of the mark before it.
_CRC_BYTES = 8
_END = 0xFF
_FACT = 0xFA

#: The polynomial of CRC-64 (Jones), reflected.
_POLYNOMIAL = 0x95AC9329AC4BC9B5

Crc = Callable[[bytes, int], int]


class RdbCheck:
    """Looks at an RDB piece by piece.

    Attributes:
        size_bytes: bytes so far.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        self._crc = crc64_function()
        self._sum = 0
        self._head = b""
        self._tail = b""
        self._last = -1

    def feed(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            DataError: it is no RDB.
        """
        self.size_bytes += len(piece)
        if len(self._head) < _HEAD_BYTES:
            self._head += piece[: _HEAD_BYTES - len(self._head)]
            self._require_magic()
        whole = self._tail + piece
        known, self._tail = whole[:-_CRC_BYTES], whole[-_CRC_BYTES:]
        if known:
            self._last = known[-1]
            self._sum = self._crc(known, self._sum)

    def finish(self) -> bool:
        """Judge the whole; returns whether it carries a checksum.

        Raises:
            DataError: it ends too early, or is not what its checksum says.
        """
        if self._last != _END or len(self._head) < _MAGIC_BYTES:
            raise _corrupt(f"the RDB of {self.size_bytes} bytes has no end mark")
        stored = int.from_bytes(self._tail, "little")
        if stored and stored != self._sum:
            raise _corrupt(
                f"the RDB has the CRC-64 {self._sum:016x}, and says it should be {stored:016x}"
            )
        return bool(stored)

    @property
    def complete(self) -> bool:
        """Whether it could end here: with the end mark, and a checksum that holds or is off."""
        stored = int.from_bytes(self._tail, "little")
        return self._last == _END and len(self._tail) == _CRC_BYTES and stored in {0, self._sum}

    @property
    def version(self) -> str:
        """Its magic and version, for example ``REDIS0011``."""
        return self._head[:_MAGIC_BYTES].decode("ascii", "replace")

    @property
    def facts(self) -> Mapping[str, str]:
        """What the server tells of itself at the beginning."""
        return dict(_facts(self._head[_MAGIC_BYTES:]))

    def _require_magic(self) -> None:
        if len(self._head) >= _MAGIC_BYTES and not _MAGIC.match(self._head):
            raise DataError(
                f"what begins with {self._head[:_MAGIC_BYTES]!r} is no RDB",
                code="NOT_AN_RDB",
            )


def _corrupt(what: str) -> DataError:
    return DataError(f"{what}; discard it, and take or name another backup", code="RDB_CORRUPT")


def _facts(data: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    try:
        while data[at] == _FACT:
            key, at = _text(data, at + 1)
            value, at = _text(data, at)
            yield key, value
    except (IndexError, ValueError):
        return  # cut off, or of a form that no fact has


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Read a string; returns it and where the next thing begins.

    Raises:
        IndexError: the data ends before.
        ValueError: it is of a form that facts do not take.
    """
    kind, low = data[at] >> 6, data[at] & 0x3F
    at += 1
    if kind == 3 and low < 3:  # noqa: PLR2004  an integer of 1, 2 or 4 bytes
        size = 1 << low
        return str(int.from_bytes(_cut(data, at, size), "little", signed=True)), at + size
    if kind == 0:
        size = low
    elif kind == 1:
        size, at = (low << 8) | data[at], at + 1
    else:
        raise ValueError("too long for a fact")
    return _cut(data, at, size).decode("utf-8", "replace"), at + size


def _cut(data: bytes, at: int, size: int) -> bytes:
    piece = data[at : at + size]
    if len(piece) < size:
        raise IndexError(at)
    return piece


def crc64_function() -> Crc:
    """Return the quickest function there is; it takes the bytes and the sum so far.

    The package ``anycrc`` does a gigabyte in a second or so, Python itself in a minute or two.
    """
    try:
        from anycrc import Model
    except ImportError:
        return slow_crc64
    quick: Crc = Model("CRC64-REDIS").calc
    return quick


def slow_crc64(data: bytes, before: int = 0) -> int:
    """Continue a CRC-64 (Jones) without any package."""
    table = _table()
    total = before
    for byte in data:
        total = table[(total ^ byte) & 0xFF] ^ (total >> 8)
    return total


def _table() -> tuple[int, ...]:
    if not _TABLE:
        for index in range(256):
            value = index
            for _ in range(8):
                value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
            _TABLE.append(value)
    return tuple(_TABLE)


_TABLE: list[int] = []
