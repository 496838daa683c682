"""What happens to a run, written down beforehand and handed to the real driver event by event."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field, frozen

from baqup_agent.runtime.deadlines import Limit
from baqup_agent.runtime.inbox import DeadlineExpired, Event, Fire, StopRequested, WorkEnded
from baqup_agent.testing.lifecycle.model import CONTRACT_TRIGGERS, Firing


@frozen
class Stop:
    """A stop signal arrives."""

    signal_name: str = "SIGTERM"

    def __str__(self) -> str:
        return self.signal_name


@frozen
class Expiry:
    """The time of a stay is over.

    Attributes:
        depth: which of the limits that hold, outermost first; one that no longer holds if None.
    """

    depth: int | None = 0

    def __str__(self) -> str:
        return "deadline" if self.depth is not None else "deadline of an earlier stay"


@frozen
class Raise:
    """The author's code raises."""

    make: Callable[[], BaseException]
    name: str

    def __str__(self) -> str:
        return f"raise {self.name}"


@frozen
class Outage:
    """The bus goes away, or comes back."""

    down: bool

    def __str__(self) -> str:
        return "bus down" if self.down else "bus up"


#: One thing that happens to a run.
Item = Firing | Stop | Expiry | Raise | Outage


@define
class PlannedInbox:
    """Stands for the driver's inbox: gives out a plan, in order, and never waits.

    A contract's trigger in the plan is the driver's own to fire: the inbox holds back what stands
    behind it until `passed` says that it was fired.

    Attributes:
        plan: what happens.
        limits: returns the limits that hold now.
        outage: told of the bus.
        open_guards: told which guards agree to the next trigger.
        answers: the answers that the driver gave to custom triggers.
    """

    plan: Sequence[Item]
    limits: Callable[[], Sequence[Limit]]
    outage: Callable[[bool], None]
    open_guards: Callable[[frozenset[int]], None]
    answers: list[Fire] = field(factory=list)
    delivered: list[str] = field(factory=list)
    _at: int = 0

    def get(self, *_: Any, **__: Any) -> Event:
        """The next event; the end of the work where the plan wants the driver to go on."""
        event = self._next()
        return WorkEnded() if event is None else event

    def get_nowait(self) -> Event:
        """The next event.

        Raises:
            queue.Empty: the plan wants the driver to go on.
        """
        event = self._next()
        if event is None:
            raise queue.Empty
        return event

    def put(self, event: Event) -> None:
        """Refuse: everything that happens is planned."""
        raise AssertionError(f"{event!r} was put into a planned inbox")

    def passed(self, trigger: str) -> None:
        """Note that the driver fires ``trigger`` by itself, and open the guards planned for it."""
        while self._at < len(self.plan):
            item = self.plan[self._at]
            self._at += 1
            if isinstance(item, Outage):
                self.outage(item.down)
            elif isinstance(item, Firing) and item.trigger == trigger:
                self.open_guards(item.open)
                return

    def _next(self) -> Event | None:
        while self._at < len(self.plan):
            item = self.plan[self._at]
            if isinstance(item, Firing) and item.trigger in CONTRACT_TRIGGERS:
                return None
            self._at += 1
            self.delivered.append(str(item))
            event = self._event(item)
            if event is not None:
                return event
        return None

    def _event(self, item: Item) -> Event | None:
        if isinstance(item, Firing):
            self.open_guards(item.open)
            request = Fire(item.trigger, {})
            self.answers.append(request)
            return request
        if isinstance(item, Stop):
            return StopRequested(item.signal_name)
        if isinstance(item, Raise):
            return WorkEnded(item.make())
        if isinstance(item, Outage):
            self.outage(item.down)
            return None
        return self._expired(item)

    def _expired(self, item: Expiry) -> Event | None:
        holding = self.limits()
        if item.depth is None:
            return DeadlineExpired(Limit("an earlier stay", 0.0, 0.0))
        return DeadlineExpired(holding[item.depth]) if item.depth < len(holding) else None
