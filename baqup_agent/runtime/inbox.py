"""What can happen to a run from outside its driver, as events in one queue.

Signals, timers and the worker never touch the lifecycle: they put an event here, and the driver,
the only thread that fires triggers, takes them out one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any

from attrs import field, frozen

from baqup_agent.runtime.deadlines import Limit


@frozen
class StopRequested:
    """SIGTERM or SIGINT arrived."""

    signal_name: str


@frozen
class DeadlineExpired:
    """A stay has lasted as long as it may."""

    limit: Limit


@frozen
class WorkEnded:
    """The author's code returned, or raised ``error``."""

    error: BaseException | None = None


@frozen(eq=False)
class Fire:
    """The author's code asks for a transition of its own, and waits for the answer.

    Attributes:
        trigger: its name.
        payload: what the guards are called with.
        answer: takes None once it was taken, or the error that it ended with.
    """

    trigger: str
    payload: Mapping[str, Any]
    answer: SimpleQueue[BaseException | None] = field(factory=SimpleQueue)


Event = StopRequested | DeadlineExpired | WorkEnded | Fire

Inbox = SimpleQueue[Event]
