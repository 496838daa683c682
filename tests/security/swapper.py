"""A process that swaps directories for links while somebody else writes into them.

Usage: python swapper.py TARGET OUTSIDE. It goes from ``TARGET/r0`` on to ``TARGET/r1`` and so on as
they appear, until its standard input is closed, and prints how often it swapped.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import sys
from pathlib import Path


def swap(place: Path, outside: Path) -> bool:
    """Put a link to ``outside`` in a directory's place, for a moment."""
    aside = place.with_name(place.name + ".aside")
    try:
        place.rename(aside)
    except OSError:
        return False
    try:
        place.symlink_to(outside)
    except FileExistsError:
        return True  # the writer was quicker; the directory stays aside
    _linger(place)
    place.unlink()
    with contextlib.suppress(OSError):  # the writer has made another one
        aside.rename(place)
    return True


def _linger(place: Path) -> None:
    for _ in range(random.randrange(60)):
        place.is_symlink()


def main() -> None:
    """Swap until nobody listens any more."""
    target, outside = map(Path, sys.argv[1:])
    swaps = number = 0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        if os.path.lexists(target / f"r{number + 1}"):
            number += 1
        base = target / f"r{number}"
        for place in (base / "d", base / "d" / "e", base):
            swaps += swap(place, outside)
            _linger(place)
    print(swaps, flush=True)


if __name__ == "__main__":
    main()
