"""Where the data of a file with holes lies, in the four forms that GNU tar has had.

Whatever the form, the result is judged by the same rules: the stretches ascend without overlap,
end within the file, fill whole blocks except for the last one, and take exactly the room that the
header announced.
"""

from __future__ import annotations

from collections.abc import Callable

from baqup_agent.security.archive_reader.block import BlockError, number
from baqup_agent.security.archive_reader.pax import Records
from baqup_agent.security.archive_reader.stream import BLOCK
from baqup_agent.security.member import Extents

#: Bytes of the largest file.
SIZE_LIMIT = 2**63

_MAX_DIGITS = 19
_NUMBER_BYTES = 12

#: Old GNU tar's header: four pairs of numbers, whether more follow, the file's size.
_OLD_PAIRS = slice(386, 482)
_OLD_MORE = 482
_OLD_SIZE = slice(483, 495)

#: A block of its extension: 21 pairs of numbers, whether more follow.
_MORE_PAIRS = slice(0, 504)
_MORE_MORE = 504

#: Hands out the next block of the archive, counted as one of the member's headers.
NextBlock = Callable[[], bytes]


def old_form(block: bytes, stored: int, next_block: NextBlock) -> tuple[int, Extents]:
    """Return size and stretches of a file of type ``S``.

    Args:
        block: its header.
        stored: bytes of its data.
        next_block: gives the extension's blocks.

    Raises:
        BlockError: the map breaks a rule.
    """
    pairs = _numbers(block[_OLD_PAIRS])
    more = block[_OLD_MORE]
    while more:
        extension = next_block()
        pairs += _numbers(extension[_MORE_PAIRS])
        more = extension[_MORE_MORE]
    size = number(block[_OLD_SIZE])
    return size, _judged(pairs, size, stored)


def pax_form(records: Records, stored: int, next_block: NextBlock) -> tuple[int, int, Extents]:
    """Return size, bytes of data, and stretches of a file with GNU tar's pax records.

    Args:
        records: its extended headers.
        stored: bytes of what follows its header.
        next_block: gives the blocks of a map that stands before the data.

    Raises:
        BlockError: the map breaks a rule, or the form is unknown.
    """
    sparse = records.sparse
    if b"major" in sparse or b"minor" in sparse:
        if (sparse.get(b"major"), sparse.get(b"minor")) != (b"1", b"0"):
            raise BlockError("a sparse file of an unknown version")
        size = _decimal(sparse.get(b"realsize", b""))
        pairs, taken = _map_before_data(next_block, stored)
        stored -= taken
    else:
        size = _decimal(sparse.get(b"size", b""))
        listed = sparse.get(b"map")
        texts = listed.split(b",") if listed else records.pairs
        pairs = [_decimal(text) for text in texts]
    return size, stored, _judged(pairs, size, stored)


def _map_before_data(next_block: NextBlock, stored: int) -> tuple[list[int], int]:
    """Return the numbers of a 1.0 map, and how many bytes its blocks took."""
    text = bytearray()
    lines, wanted = 0, 1
    while lines < wanted:
        if len(text) >= stored:
            raise BlockError("a sparse map that is longer than its file")
        block = next_block()
        text += block
        lines += block.count(b"\n")
        if len(text) == BLOCK:
            wanted += 2 * _decimal(bytes(text.partition(b"\n")[0]))
    *texts, rest = bytes(text).split(b"\n", wanted)
    if rest.count(0) != len(rest):
        raise BlockError("a sparse map with something behind its end")
    return [_decimal(line) for line in texts[1:]], len(text)


def _judged(pairs: list[int], size: int, stored: int) -> Extents:
    if len(pairs) % 2 or not 0 <= size < SIZE_LIMIT:
        raise BlockError("a sparse map with an odd end or an impossible size")
    found: list[tuple[int, int]] = []
    end = total = 0
    for offset, length in zip(pairs[::2], pairs[1::2], strict=True):
        if offset < end or length < 0 or offset + length > size:
            raise BlockError("a sparse map whose stretches overlap or leave the file")
        end = offset + length
        if not length:
            continue
        if total % BLOCK:
            raise BlockError("a sparse map with a stretch of broken blocks in mid-file")
        total += length
        found.append((offset, length))
    if total != stored:
        raise BlockError(f"a sparse map of {total} bytes for {stored} bytes of data")
    return tuple(found)


def _numbers(fields: bytes) -> list[int]:
    """Return the numbers up to the first unused pair."""
    found: list[int] = []
    for start in range(0, len(fields), 2 * _NUMBER_BYTES):
        pair = fields[start : start + 2 * _NUMBER_BYTES]
        if not pair[_NUMBER_BYTES]:
            break
        found += (number(pair[:_NUMBER_BYTES]), number(pair[_NUMBER_BYTES:]))
    return found


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise BlockError("a sparse map or size that is no number")
    return int(text)
