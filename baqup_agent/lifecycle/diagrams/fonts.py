"""How wide text will be, without a font at hand: on the wide side, so that it fits its box."""

from __future__ import annotations

import math
import textwrap
import unicodedata

_NARROW = frozenset("iljtfrI.,:;'|!()[] /-")
_WIDE = frozenset("mwMW@%\u2013\u2014→↺")


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Estimate a text's width in px, for a sans-serif font of ``size`` px."""
    ems = math.fsum(_em(char) for char in text)
    return ems * size * (1.09 if bold else 1.0)


def _em(char: str) -> float:
    if char in _NARROW:
        return 0.38
    if char in _WIDE:
        return 0.95
    if unicodedata.combining(char):
        return 0.0
    if unicodedata.east_asian_width(char) in "WF":
        return 1.05
    return 0.72 if char.isupper() else 0.62


def wrapped(text: str, width_px: float, size: float) -> list[str]:
    """Break a text into lines that are about ``width_px`` wide at most."""
    return textwrap.wrap(text, max(int(width_px / (0.5 * size)), 8))
