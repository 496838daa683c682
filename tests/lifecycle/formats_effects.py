"""Guards and effects that a stored lifecycle can name."""

from __future__ import annotations

from typing import Any

#: What was called, in order.
CALLS: list[Any] = []

NOT_CALLABLE = 7


def opened(job: Any) -> None:
    """Note the job."""
    CALLS.append(job)


def enough(*, rows: int = 0) -> bool:
    """Whether there are at least ten rows."""
    return rows >= 10


class Kind:
    """Holds a function of its own."""

    @staticmethod
    def closed(job: Any) -> None:
        """Note the job."""
        CALLS.append(("closed", job))

    def bound(self, job: Any) -> None:
        """Cannot be named without an object."""
