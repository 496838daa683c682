"""A bar on the terminal for work whose size in bytes is known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

#: Bytes below which the work is over before anybody could read a bar.
_WORTH_A_BAR = 64 << 20


@contextmanager
def gauge(total_bytes: int, label: str) -> Iterator[Callable[[int], None]]:
    """Show how far some work is, on stderr if that is a terminal, else nowhere.

    Args:
        total_bytes: the size of the work.
        label: what is being done.

    Yields:
        What is told the bytes of each piece that was done.
    """
    if total_bytes < _WORTH_A_BAR or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=total_bytes, label=label, file=sys.stderr) as bar:
        yield bar.update
