"""Parts of a run that a later state takes for granted."""

from __future__ import annotations

from typing import TypeVar

from baqup_agent.errors import InternalError

T = TypeVar("T")


def need(part: T | None, name: str) -> T:
    """Return ``part``, which an earlier effect has made.

    Raises:
        InternalError: it has not.
    """
    if part is None:
        raise InternalError(f"the run has no {name} yet; effects ran out of order")
    return part
