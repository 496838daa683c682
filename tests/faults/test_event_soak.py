"""A driver under a storm of events: none lost, none doubled, no deadlock.

Three threads and a source of real signals fire events as fast as they can into the inbox of one
running driver, as the job's code, the watchdog and the signal listener do.
"""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from queue import SimpleQueue

import pytest

from baqup_agent.errors import BaqupError, classify
from baqup_agent.lifecycle.declaration import CONTRACT, SignalPolicy, State, Transition
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.lifecycle.refinement import refine
from baqup_agent.observability.sink import NullLog
from baqup_agent.runtime.deadlines import Limit
from baqup_agent.runtime.driver import Driver
from baqup_agent.runtime.inbox import (
    DeadlineExpired,
    Event,
    Fire,
    Inbox,
    StopRequested,
    WorkEnded,
)
from baqup_agent.runtime.signals import Signals
from tests.waiting import eventually

THREADS = 3

#: Signals that may wait in the listener's pipe, which holds 65536 on Linux.
PIPE_HOLDS = 10_000

#: Two leaves that lead to each other, one that leads to itself; a stop is ignored in all of them.
STORMY = refine(
    CONTRACT,
    "running",
    initial="here",
    states=[
        State("here", on_signal=SignalPolicy.IGNORE),
        State("there", on_signal=SignalPolicy.IGNORE),
    ],
    transitions=[
        Transition("over", "here", "there"),
        Transition("back", "there", "here"),
        Transition("stay", "here", "here"),
        Transition("complete", "here", "completing"),
        Transition("complete", "there", "completing"),
    ],
)

pytestmark = pytest.mark.timeout(900)


class Heard(NullLog):
    """Counts the stop signals that the driver tells of."""

    def __init__(self) -> None:
        self.signals = Counter[str]()

    def info(self, message: str, **context: object) -> None:
        self.signals[message.partition(" ")[0]] += 1


class Storm:
    """One driver on a thread, with a machine whose effects do nothing."""

    def __init__(self) -> None:
        self.inbox: Inbox = SimpleQueue()
        self.log = Heard()
        self.limits: list[str] = []
        self.entered = Counter[str]()
        self.errors: list[BaqupError] = []
        effects = {state.name: [lambda: None] for state in STORMY.states}
        self.machine = Machine(
            STORMY, effects, observer=lambda step: self.entered.update([step.trigger])
        )
        self.driver = Driver(
            machine=self.machine,
            inbox=self.inbox,
            lasts=self._note,
            judge=classify,
            stop_work=self.errors.append,
            log=self.log,
        )
        self.thread = threading.Thread(target=self.driver.drive, daemon=True)
        self.handed_on = 0

    def hand_on(self, name: str) -> None:
        """What the signal listener's thread calls for each stop signal."""
        self.inbox.put(StopRequested(name))
        self.handed_on += 1

    def _note(self, limit: Limit) -> bool:
        self.limits.append(limit.state)
        return False  # of an earlier stay: it is to be heard, and to change nothing


class Thrower(threading.Thread):
    """Puts a share of random events, each with a name of its own, and keeps the requests."""

    def __init__(self, number: int, share: int, storm: Storm) -> None:
        super().__init__(daemon=True)
        self._number, self._share, self._storm = number, share, storm
        self._random = random.Random(number)
        self.requests: list[Fire] = []
        self.stops = 0
        self.limits: list[str] = []

    def run(self) -> None:
        for count in range(self._share):
            self._storm.inbox.put(self._event(f"{self._number}-{count}"))

    def _event(self, name: str) -> Event:
        kind = self._random.random()
        if kind < 0.8:
            trigger = self._random.choice(("over", "back", "stay"))
            self.requests.append(Fire(trigger, {"name": name}))
            return self.requests[-1]
        if kind < 0.9:
            self.stops += 1
            return StopRequested(f"STOP{self._number}")
        self.limits.append(name)
        return DeadlineExpired(Limit(name, 0.0, 0.0))


def answered(request: Fire) -> str | None:
    """What the driver answered; fails if it did not, or did twice."""
    error = request.answer.get_nowait()
    assert request.answer.empty()
    return None if error is None else type(error).__name__


@pytest.fixture
def signals():
    """The process's signal handling, put back afterwards."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = {each: signal.getsignal(each) for each in numbers}
    mine = Signals()
    mine.install()
    yield mine
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


def fire_signals(storm: Storm, most: int, done: Callable[[], bool]) -> int:
    """Raise SIGTERM again and again while the threads are at it; return how often.

    A signal that is raised is handled before the call returns, so that none merges with the next;
    the listener's pipe is given time before it could be full.
    """
    sent = 0
    while sent < most and not done():
        signal.raise_signal(signal.SIGTERM)
        sent += 1
        if sent - storm.handed_on > PIPE_HOLDS:
            eventually(lambda sent=sent: storm.handed_on == sent, within_s=60)
    eventually(lambda: storm.handed_on == sent, within_s=60)
    return sent


def test_a_storm_of_events_loses_none_and_doubles_none(
    long: bool, signals: Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every request is answered once, every stop and expiry heard once, every step taken once."""
    events = 1_000_000 if long else 50_000
    storm = Storm()
    signals.listen(on_stop=storm.hand_on, on_probe=lambda: None)
    throwers = [Thrower(number, events // THREADS, storm) for number in range(THREADS)]
    storm.thread.start()
    for thrower in throwers:
        thrower.start()
    sent = fire_signals(storm, events // 20, lambda: not any(map(Thrower.is_alive, throwers)))
    for thrower in throwers:
        thrower.join(timeout=600)
    storm.inbox.put(WorkEnded())
    storm.thread.join(timeout=600)

    assert not storm.thread.is_alive()
    assert storm.errors == []
    assert storm.machine.state == "terminated"
    requests = [each for thrower in throwers for each in thrower.requests]
    answers = Counter((each.trigger, answered(each)) for each in requests)
    taken = {trigger: answers[trigger, None] for trigger in ("over", "back", "stay")}
    assert {kind for _, kind in answers} == {None, "IllegalTransition"}
    assert {trigger: storm.entered[trigger] for trigger in taken} == taken
    assert len(storm.machine.history) == sum(taken.values()) + 3
    assert taken["over"] - taken["back"] in {0, 1}
    for number, thrower in enumerate(throwers):
        assert storm.log.signals[f"STOP{number}"] == thrower.stops
    assert storm.log.signals["SIGTERM"] == sent > 100
    assert sorted(storm.limits) == sorted(name for thrower in throwers for name in thrower.limits)
    steps = list(storm.machine.history)
    assert all(one.target == other.source for one, other in pairwise(steps))
    with capsys.disabled():
        total = sum(len(each.requests) + each.stops + len(each.limits) for each in throwers)
        print(f"\n  {total} events and {sent} signals, {len(steps)} steps, none lost", end="")
