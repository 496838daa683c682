"""Finds which of many texts occur in another one, quickly where none does.

Almost every text that is searched holds none of them, so this is a sieve. A needle of seven or
more bytes covers four bytes at a multiple of four wherever it lies, one of eleven or more covers
four at a multiple of eight, and so on; and these four are among its first. So it is enough to look
up every n-th of the text's aligned four-byte words in a table of the pieces of all needles, however
many these are. Only needles whose piece was met are then searched for, and those too short for the
sieve.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

#: Bytes of one word of the sieve.
_WORD = 4

#: Most words that one step of the sieve covers.
_STEP_MAX = 8

#: What searching a text for one needle costs, in looked-up words of a text of a kilobyte.
_SEARCH_COST = 5

#: Words in a text of a kilobyte.
_WORDS = 256


class Needles:
    """An unchanging set of texts to be found.

    Args:
        needles: the texts, none of them empty.
    """

    def __init__(self, needles: Iterable[str] = ()) -> None:
        encoded = {needle: needle.encode("utf-8", "surrogatepass") for needle in needles}
        self._step = _cheapest_step([len(raw) for raw in encoded.values()])
        self._owners: dict[int, list[str]] = {}
        direct = []
        for needle, raw in encoded.items():
            if len(raw) < _least_bytes(self._step):
                direct.append(needle)
                continue
            for at in range(self._step * _WORD):
                (piece,) = struct.unpack_from("=I", raw, at)
                self._owners.setdefault(piece, []).append(needle)
        self._direct = tuple(direct)
        self._pieces = frozenset(self._owners)

    def within(self, text: str) -> set[str]:
        """Return the needles that occur in ``text``."""
        found = {needle for needle in self._direct if needle in text} if self._direct else set()
        if self._pieces:
            raw = text.encode("utf-8", "surrogatepass")
            words = memoryview(raw[: len(raw) & -_WORD]).cast("I")[:: self._step]
            if not self._pieces.isdisjoint(words):
                met = self._owners.keys() & words
                candidates = {needle for piece in met for needle in self._owners[piece]}
                found |= {needle for needle in candidates if needle in text}
        return found


def _least_bytes(step: int) -> int:
    """Least bytes of a needle that covers a looked-up word wherever it lies."""
    return _WORD * step + _WORD - 1


def _cheapest_step(lengths: list[int]) -> int:
    def cost(step: int) -> float:
        direct = sum(length < _least_bytes(step) for length in lengths)
        return _WORDS / step + _SEARCH_COST * direct

    return min(range(1, _STEP_MAX + 1), key=cost)


def spans(text: str, needles: Iterable[str]) -> list[tuple[int, int]]:
    """Return where any of ``needles`` stands in ``text``: begin and end, overlaps united."""
    found = sorted((at, at + len(needle)) for needle in needles for at in _places(text, needle))
    return united(found)


def united(found: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Unite overlapping spans, which come in order."""
    whole: list[tuple[int, int]] = []
    for begin, end in found:
        if whole and begin < whole[-1][1]:
            whole[-1] = (whole[-1][0], max(whole[-1][1], end))
        else:
            whole.append((begin, end))
    return whole


def _places(text: str, needle: str) -> Iterable[int]:
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(needle, at + 1)
