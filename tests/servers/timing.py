"""How long something may take that must never hang."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds after which a bus counts as hanging, whatever is wrong with it.
HANGING_S = 2.5


@contextmanager
def bounded(within_s: float = HANGING_S) -> Iterator[None]:
    """Fail if the block takes longer."""
    begun_s = time.monotonic()
    yield
    taken_s = time.monotonic() - begun_s
    assert taken_s < within_s, f"it took {taken_s:.2f} s"
