"""Keeps a repeated line from drowning the log: it is counted instead of written (Contract §6).

Lines are the same if level, component and message agree; digits in a message do not count, nor
does the context. Within a window the first ones are written; when the window is over, one line
tells how many more there were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import define

from baqup_agent.contract import LogLevel

#: Seconds that a window lasts.
WINDOW_S = 1.0

#: Most equal lines that are written within a window.
BURST = 20

#: The same for lines of ``debug`` and ``trace``, which may be about single files.
BURST_DETAILED = 1000

#: Kinds of line that are told apart at a time; memory is bounded by this.
KINDS_MAX = 256

#: Characters of a message that tell it from others.
TEMPLATE_MAX = 200

_DIGITS = re.compile(r"\d+")


def template_of(message: str) -> str:
    """Return what is common to a message and those that differ from it in numbers only."""
    return _DIGITS.sub("#", message[:TEMPLATE_MAX])


@define
class Repeated:
    """One kind of line within its window.

    Attributes:
        level: its level.
        component: who says it.
        template: what its messages have in common.
        began_s: when the window began, seconds of the monotonic clock.
        message: one of the messages as it was written.
        count: how many lines of the kind there were.
        held: how many of them were not written.
    """

    level: LogLevel
    component: str
    template: str
    began_s: float
    message: str = ""
    count: int = 0
    held: int = 0

    def admits(self) -> bool:
        """Count one more line; whether it is to be written."""
        self.count += 1
        if self.count <= (BURST if self.level >= LogLevel.INFO else BURST_DETAILED):
            return True
        self.held += 1
        return False


class Volume:
    """The kinds of line of the last second; not safe for threads by itself."""

    def __init__(self) -> None:
        # In the order in which windows began, which is the order in which they end.
        self._kinds: dict[tuple[LogLevel, str, str], Repeated] = {}

    def kind(self, level: LogLevel, component: str, template: str, now_s: float) -> Repeated:
        """Return the window of a kind of line, a new one if none is open."""
        key = (level, component, template[:TEMPLATE_MAX])
        known = self._kinds.get(key)
        if known is None:
            known = self._kinds[key] = Repeated(*key, now_s)
        return known

    def over(self, now_s: float) -> Iterator[Repeated]:
        """Forget the kinds whose window is over, and yield those of which lines were held back.

        The eldest is over early if there are too many.
        """
        while self._kinds:
            key, eldest = next(iter(self._kinds.items()))
            if now_s - eldest.began_s < WINDOW_S and len(self._kinds) < KINDS_MAX:
                return
            del self._kinds[key]
            if eldest.held:
                yield eldest
