"""How an archive says where the data of a file with holes lies.

The form is GNU tar's sparse format 1.0, which bsdtar and Python's ``tarfile`` read as well: a map
of offsets and lengths in decimal lines stands in front of the data, and the holes are left out.
GNU tar expects each stretch of data to fill whole blocks, the last one excepted, while others
read them without gaps; so stretches are widened to whole blocks, where both agree.
"""

from __future__ import annotations

import heapq
from itertools import pairwise

from baqup_agent.security.member import Extents

_BLOCK = 512

#: Most stretches of data in one map; beyond that the smallest holes are written as zero bytes.
#: The map of a reader of ours may take 1 MiB, and a line pair has up to 40 bytes.
MAX_EXTENTS = 20_000


def regular(extents: Extents, size: int) -> Extents:
    """Return stretches of whole blocks that hold the given ones, ascending and apart.

    Args:
        extents: stretches of data in ascending order.
        size: the file's size, bytes; nothing reaches beyond.
    """
    found: list[tuple[int, int]] = []
    for offset, length in extents:
        start = offset - offset % _BLOCK
        end = min(offset + length + -(offset + length) % _BLOCK, size)
        if length <= 0 or start >= size:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple((start, end - start) for start, end in _few(found))


def sparse_map(extents: Extents, size: int) -> bytes:
    """Return the map of a file's data, filled up to whole blocks."""
    entries = list(extents)
    if not entries or sum(entries[-1]) < size:
        # The file's end has to be told where a hole is the last thing in it.
        entries.append((size, 0))
    lines = b"".join(b"%d\n%d\n" % entry for entry in entries)
    text = b"%d\n%b" % (len(entries), lines)
    return text + bytes(-len(text) % _BLOCK)


def _few(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Close the smallest holes until no more than the most stretches are left."""
    surplus = len(stretches) - MAX_EXTENTS
    if surplus <= 0:
        return stretches
    gaps = ((after[0] - before[1], i) for i, (before, after) in enumerate(pairwise(stretches), 1))
    closed = {i for _, i in heapq.nsmallest(surplus, gaps)}
    kept = stretches[:1]
    for index, (start, end) in enumerate(stretches[1:], 1):
        if index in closed:
            kept[-1] = (kept[-1][0], end)
        else:
            kept.append((start, end))
    return kept
