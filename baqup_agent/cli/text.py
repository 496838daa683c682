"""Small pieces of text: sizes, durations, and foreign text made safe to show."""

from __future__ import annotations

#: Longest foreign text that is shown on one line, characters.
MAX_SHOWN = 2000

_KIBI = 1024
_SECONDS_SHOWN_EXACTLY = 60


def printable(text: str, limit: int = MAX_SHOWN) -> str:
    """Return foreign text on one line, its control characters as escapes.

    What an agent writes must not move the cursor, change colours or ring the bell.
    """
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text)} characters)"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return "    " if char == "\t" else char.encode("unicode_escape").decode("ascii")


def size(size_bytes: float) -> str:
    """Write a number of bytes with a binary unit: ``999 B``, ``1.2 GiB``."""
    if size_bytes < _KIBI:
        return f"{int(size_bytes)} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size_bytes /= _KIBI
        if size_bytes < _KIBI:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes / _KIBI:.1f} PiB"


def duration(seconds: float) -> str:
    """Write a duration: ``3.2 s``, ``2 min 05 s``, ``1 h 02 min``."""
    if seconds < _SECONDS_SHOWN_EXACTLY:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004  minutes of an hour
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


def count(number: int, noun: str) -> str:
    """Write ``1 file``, ``2 files``, ``12,345 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
