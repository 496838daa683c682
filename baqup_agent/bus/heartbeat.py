"""The sign of life: a thread that beats on an absolute schedule (Contract §1, §3)."""

from __future__ import annotations

import math
import threading
from typing import NamedTuple, Protocol

from baqup_agent.bus.messages import Intent
from baqup_agent.clock import Clock, SystemClock
from baqup_agent.contract import AgentState
from baqup_agent.errors import ConfigError, describe
from baqup_agent.observability.sink import LogSink


class HeartbeatBus(Protocol):
    """What the heartbeat needs of the bus."""

    def heartbeat(
        self,
        state: AgentState,
        *,
        substate: str | None,
        intent: Intent | None,
        last_progress_at: str | None,
        agent_id: str | None,
    ) -> object:
        """Publish one beat."""


class Phase(NamedTuple):
    """Where the lifecycle stands: the contract's state and the leaf below it."""

    state: AgentState
    substate: str | None = None


class Vitals:
    """What a beat tells, kept up to date by whoever knows and read by the heartbeat.

    Each attribute is replaced as a whole by one assignment, so no lock is needed; state and
    substate change together, hence one attribute, `phase`.

    Attributes:
        phase: where the lifecycle stands.
        intent: the long operation that is under way, or None.
        last_progress_at: when the work last moved on, as a timestamp, or None.
    """

    __slots__ = ("intent", "last_progress_at", "phase")

    def __init__(self, state: AgentState = AgentState.INITIALIZING) -> None:
        self.phase = Phase(state)
        self.intent: Intent | None = None
        self.last_progress_at: str | None = None

    @property
    def state(self) -> AgentState:
        """The contract's state."""
        return self.phase.state

    @property
    def substate(self) -> str | None:
        """The leaf of a refined lifecycle, or None."""
        return self.phase.substate

    def enter(self, state: AgentState, substate: str | None = None) -> None:
        """Note that the lifecycle moved on."""
        self.phase = Phase(state, substate)


def next_slot_s(start_s: float, interval_s: float, now_s: float) -> float:
    """Return when to beat next: the first ``start + n * interval`` after ``now``.

    A beat that comes late does not delay those after it, and slots that were missed altogether
    (a suspended process) are left out rather than made up for. All in seconds of one clock.
    """
    slot = math.floor((now_s - start_s) / interval_s) + 1
    moment_s = start_s + slot * interval_s
    # Rounding may have put the slot on or before now.
    return moment_s if moment_s > now_s else start_s + (slot + 1) * interval_s


class HeartbeatThread:
    """Beats from its own thread, also while the job computes.

    Args:
        bus: takes the beats; publishing on it never blocks.
        agent_id: whose beats they are.
        interval: seconds between beats.
        logger: told if a beat cannot be made.
        vitals: what the beats tell; by default an agent that keeps ``initializing``.
        clock: measures time.

    Raises:
        ConfigError: the interval is not above zero.
    """

    def __init__(
        self,
        bus: HeartbeatBus,
        agent_id: str,
        interval: float,
        logger: LogSink,
        *,
        vitals: Vitals | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not interval > 0:
            raise ConfigError(
                f"heartbeat interval {interval!r} is not a number of seconds above 0; "
                "set BAQUP_AGENT_HEARTBEAT_INTERVAL to 10, the default"
            )
        self.vitals = vitals or Vitals()
        self._bus = bus
        self._agent_id = agent_id
        self._interval_s = interval
        self._log = logger
        self._clock = clock or SystemClock()
        self._wake = threading.Condition(threading.Lock())
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Beat for the first time, and begin to beat on schedule; harmless when repeated."""
        with self._wake:
            if self._thread is not None or self._stopping:
                return
            start_s = self._clock.monotonic()
            self._thread = threading.Thread(
                target=self._run, args=(start_s,), name="baqup-heartbeat", daemon=True
            )
        self.beat_now()
        self._thread.start()

    def beat_now(self) -> None:
        """Make a beat in the caller's thread; the schedule stays as it is.

        Any thread may call this, a signal handler may not: publishing takes a lock. After `stop`
        it does nothing.
        """
        if self._stopping:
            return
        vitals = self.vitals
        phase = vitals.phase
        try:
            self._bus.heartbeat(
                phase.state,
                substate=phase.substate,
                intent=vitals.intent,
                last_progress_at=vitals.last_progress_at,
                agent_id=self._agent_id,
            )
        except Exception as error:  # noqa: BLE001  one bad beat must not end the beating
            self._log.error("a heartbeat could not be made", reason=describe(error))

    def stop(self) -> None:
        """Make no further beat; returns once the thread has ended. Harmless when repeated."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join()

    def _run(self, start_s: float) -> None:
        while self._wait_until(next_slot_s(start_s, self._interval_s, self._clock.monotonic())):
            self.beat_now()

    def _wait_until(self, due_s: float) -> bool:
        """Wait for the slot; False once it is time to stop."""
        with self._wake:
            while not self._stopping:
                left_s = due_s - self._clock.monotonic()
                if left_s <= 0:
                    return True
                self._wake.wait(left_s)
        return False
