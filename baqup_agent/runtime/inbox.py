"""What can happen to a run from outside its driver, as events in one queue.

Signals, timers and the worker never touch the lifecycle: they put an event here, and the driver,
the only thread that fires triggers, takes them out one by one.
"""

from __future__ import annotations

from queue import SimpleQueue

from attrs import frozen


@frozen
class StopRequested:
    """SIGTERM or SIGINT arrived."""

    signal_name: str


@frozen
class DeadlineExpired:
    """The stay in ``state`` has lasted as long as it may."""

    state: str


@frozen
class WorkEnded:
    """The author's code returned, or raised ``error``."""

    error: BaseException | None = None


Event = StopRequested | DeadlineExpired | WorkEnded

Inbox = SimpleQueue[Event]
