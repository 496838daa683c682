"""Waiting for something to become true, with a deadline, instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], *, within_s: float = 10.0) -> T:
    """Return what ``look`` returns once that is true; fail if it is not in time."""
    deadline_s = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {within_s} s: last saw {found!r}")
        time.sleep(0.005)
    return found
