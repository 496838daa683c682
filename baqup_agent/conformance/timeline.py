"""All that was seen of one run, by one clock: what a verdict is based on and shown with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import frozen

T = TypeVar("T")

#: Entries that one run keeps; what comes after them is only counted.
MAX_ENTRIES = 20_000

#: Characters of an entry's text that are kept.
MAX_TEXT = 4_000

#: Seconds between two looks at what announces itself by no entry.
_LOOK_S = 0.05


@frozen
class Entry:
    """One thing that was seen or done.

    Attributes:
        at_s: when, on the monotonic clock of the machine, seconds.
        kind: ``start``, ``state``, ``message``, ``file``, ``signal``, ``stdout``, ``stderr``,
            ``bus``, ``exit`` or ``note``.
        text: what, for a person.
        data: the thing itself, where there is one.
    """

    at_s: float
    kind: str
    text: str
    data: Any = None


class Timeline:
    """Entries in the order in which they were made; any thread may add and read."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._changed = threading.Condition()
        self.dropped = 0

    def add(self, kind: str, text: str, data: Any = None, *, at_s: float | None = None) -> Entry:
        """Add an entry, of now unless another time is given, and wake who waits."""
        moment_s = time.monotonic() if at_s is None else at_s
        entry = Entry(moment_s, kind, text[:MAX_TEXT], data)
        with self._changed:
            if len(self._entries) < MAX_ENTRIES or kind in ("exit", "signal"):
                self._entries.append(entry)
            else:
                self.dropped += 1
            self._changed.notify_all()
        return entry

    def wake(self) -> None:
        """Have who waits look again."""
        with self._changed:
            self._changed.notify_all()

    def entries(self, *kinds: str) -> list[Entry]:
        """Return the entries of some kinds, or all, in the order of their times."""
        with self._changed:
            found = [one for one in self._entries if not kinds or one.kind in kinds]
        return sorted(found, key=lambda one: one.at_s)

    def wait(self, look: Callable[[], T | None], until_s: float) -> T | None:
        """Return what ``look`` returns once that is not None; None if that is not in time.

        Args:
            look: is called after every new entry, and now and then.
            until_s: the deadline on the monotonic clock, seconds.
        """
        while (found := look()) is None:
            remaining_s = until_s - time.monotonic()
            if remaining_s <= 0:
                return look()
            with self._changed:
                seen = len(self._entries) + self.dropped
                self._changed.wait_for(
                    lambda seen=seen: len(self._entries) + self.dropped != seen,  # type: ignore[misc]
                    min(remaining_s, _LOOK_S),
                )
        return found
