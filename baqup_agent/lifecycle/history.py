"""What a machine has been through: one record for each transition, with both clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from attrs import field, frozen

from baqup_agent.clock import Clock, timestamp


class Step(NamedTuple):
    """One transition that took place.

    A tuple, because one is made at every transition and a frozen record takes thrice as long.

    Attributes:
        trigger: what was fired.
        source: the state it was fired in.
        target: the state it led to.
        monotonic_s: seconds of the monotonic clock, for durations.
        at: the wall time in UTC, for reports.
    """

    trigger: str
    source: str
    target: str
    monotonic_s: float
    at: datetime

    def to_wire(self) -> dict[str, Any]:
        """Return the step as a JSON object."""
        return {
            "trigger": self.trigger,
            "source": self.source,
            "target": self.target,
            "monotonic_s": self.monotonic_s,
            "timestamp": timestamp(self.at),
        }


@frozen
class History:
    """The steps of a run in order; iterable, and safe to read from any thread."""

    clock: Clock
    _steps: list[Step] = field(factory=list, init=False)

    def record(self, trigger: str, source: str, target: str) -> Step:
        """Append a step that has just happened, and return it."""
        step = Step(trigger, source, target, self.clock.monotonic(), self.clock.now())
        self._steps.append(step)
        return step

    def __iter__(self) -> Iterator[Step]:
        return iter(tuple(self._steps))

    def __len__(self) -> int:
        return len(self._steps)
