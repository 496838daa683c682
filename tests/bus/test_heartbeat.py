"""The sign of life: on time, truthful, and on request."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.bus.heartbeat import HeartbeatThread, Vitals, next_slot_s
from baqup_agent.bus.messages import Intent
from baqup_agent.contract import AgentState
from baqup_agent.errors import ConfigError
from baqup_agent.observability.sink import NullLog
from tests.bus.recording import RecordingLog
from tests.waiting import eventually


class ListBus:
    """Keeps the beats and when they came."""

    def __init__(self) -> None:
        self.beats: list[dict[str, Any]] = []
        self.times_s: list[float] = []
        self.fail = False

    def heartbeat(self, state: AgentState, **members: Any) -> None:
        if self.fail:
            raise RuntimeError("no beat today")
        self.times_s.append(time.monotonic())
        self.beats.append({"state": state, **members})


class TestSchedule:
    @given(
        st.floats(0, 1e6),
        st.floats(0.001, 1e3),
        st.floats(0, 1e6),
    )
    def test_the_next_slot_is_the_first_on_the_grid_after_now(
        self, start_s: float, interval_s: float, elapsed_s: float
    ) -> None:
        """Never in the past, never more than an interval ahead, always on the grid."""
        now_s = start_s + elapsed_s
        slot_s = next_slot_s(start_s, interval_s, now_s)
        position = (slot_s - start_s) / interval_s

        assert now_s < slot_s <= now_s + interval_s * 1.001 + 1e-6
        assert position == pytest.approx(round(position), abs=1e-3)

    def test_a_late_beat_delays_none_after_it(self) -> None:
        """The schedule is absolute: 10, 20, 30, however late a beat is."""
        assert next_slot_s(0, 10, 10.0) == 20
        assert next_slot_s(0, 10, 13.7) == 20
        assert next_slot_s(0, 10, 19.999) == 20

    def test_missed_slots_are_left_out(self) -> None:
        """After a suspension there is one beat, not a bunch."""
        assert next_slot_s(0, 10, 57) == 60


class StepClock:
    """Moves only when it is told to, so that no slot comes due by itself."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_the_first_beat_is_immediate_and_tells_the_vitals() -> None:
    """Whoever watches learns of the agent at once."""
    bus, vitals = ListBus(), Vitals()
    vitals.enter(AgentState.RUNNING, "running.dumping")
    vitals.intent = Intent("checksum_large_file", 120)
    vitals.last_progress_at = "2026-03-01T12:00:00.000000Z"
    thread = HeartbeatThread(bus, "agent-1", 3600, NullLog(), vitals=vitals)
    thread.start()
    thread.start()
    eventually(lambda: bus.beats)
    thread.stop()

    assert bus.beats == [
        {
            "state": AgentState.RUNNING,
            "substate": "running.dumping",
            "intent": Intent("checksum_large_file", 120),
            "last_progress_at": "2026-03-01T12:00:00.000000Z",
            "agent_id": "agent-1",
        }
    ]


def test_a_beat_on_request_comes_at_once_and_leaves_the_schedule_alone() -> None:
    """The controller's probe is answered, though the next slot is an hour away."""
    bus, vitals = ListBus(), Vitals()
    thread = HeartbeatThread(bus, "agent-1", 3600, NullLog(), vitals=vitals)
    thread.start()
    eventually(lambda: len(bus.beats) == 1)
    for beats, state in enumerate((AgentState.RUNNING, AgentState.COMPLETING), start=2):
        vitals.enter(state)
        asked_s = time.monotonic()
        thread.beat_now()
        eventually(lambda beats=beats: len(bus.beats) == beats)
        assert bus.times_s[-1] - asked_s < 1
        assert bus.beats[-1]["state"] == state
    thread.stop()

    assert len(bus.beats) == 3


def test_slots_lie_on_a_grid_from_the_first_beat_on() -> None:
    """A late beat, a missed slot and a beat on request all leave the grid where it was."""
    bus, clock = ListBus(), StepClock()
    thread = HeartbeatThread(bus, "agent-1", 0.1, NullLog(), clock=clock)
    thread.start()
    eventually(lambda: len(bus.beats) == 1)
    # Each move shows what it would take for the beat to come at a wrong slot, or twice.
    for beats, seconds in enumerate((0.137, 0.201, 0.577, 0.601), start=2):
        clock.seconds = seconds
        eventually(lambda beats=beats: len(bus.beats) == beats)
    thread.beat_now()
    eventually(lambda: len(bus.beats) == 6)
    clock.seconds = 0.701
    eventually(lambda: len(bus.beats) == 7)
    thread.stop()

    assert len(bus.beats) == 7


def test_no_beat_after_stopping() -> None:
    """Stopping ends the thread, however often it is asked for."""
    bus = ListBus()
    thread = HeartbeatThread(bus, "agent-1", 0.01, NullLog())
    thread.start()
    eventually(lambda: len(bus.beats) >= 3)
    thread.stop()
    beats = len(bus.beats)
    thread.beat_now()
    thread.stop()
    thread.start()

    assert not [one for one in threading.enumerate() if one.name == "baqup-heartbeat"]
    assert len(bus.beats) == beats


def test_stopping_before_starting_is_harmless() -> None:
    """And nothing is started afterwards."""
    bus = ListBus()
    thread = HeartbeatThread(bus, "agent-1", 1, NullLog())
    thread.stop()
    thread.start()

    assert bus.beats == []


def test_a_beat_that_fails_is_logged_and_the_next_one_made() -> None:
    """Nothing silences the heart but its end."""
    bus, log = ListBus(), RecordingLog()
    bus.fail = True
    thread = HeartbeatThread(bus, "agent-1", 0.01, log)
    thread.start()
    eventually(lambda: log.at("error"))
    bus.fail = False
    eventually(lambda: len(bus.beats) >= 2)
    thread.stop()


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_an_interval_must_be_above_zero(interval: float) -> None:
    """The error names the variable."""
    with pytest.raises(ConfigError, match="BAQUP_AGENT_HEARTBEAT_INTERVAL"):
        HeartbeatThread(ListBus(), "agent-1", interval, NullLog())


UNDER_LOAD = """
import sys, threading, time
from tests.bus.test_heartbeat import ListBus
from baqup_agent.bus.heartbeat import HeartbeatThread
from baqup_agent.observability.sink import NullLog

bus = ListBus()
thread = HeartbeatThread(bus, "agent-1", 1, NullLog())
thread.start()
end, turns = time.monotonic() + 4.5, 0
while time.monotonic() < end:      # pure Python, holding the interpreter
    for number in range(10_000):
        turns += number * number % 7
thread.stop()
start = bus.times_s[0]
print(len(bus.times_s), max(abs(at - start - slot) for slot, at in enumerate(bus.times_s)))
"""


def test_beats_are_on_time_while_the_main_thread_computes() -> None:
    """A beat a second, each within half a second of its slot, which leaves no gap over 1.5 s."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", UNDER_LOAD],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=60,
    )
    beats, worst_s = done.stdout.split()

    assert int(beats) == 5
    assert float(worst_s) < 0.5
