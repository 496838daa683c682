"""Whether heartbeats come at their interval, on a machine that may itself be late."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Self

from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import NotApplicable, require

#: How far a beat may be from its time, as a share of the interval.
TOLERANCE = 0.2

#: Intervals of one state that are looked at, if it lasts as long.
BEATS = 3

#: Seconds that a message takes from the agent to the suite, on a machine that is not busy.
WAY_S = 0.1

#: Beats that come beside the schedule: on entering a state, at its end.
_EXTRA = 6


def require_regular(lab: Lab, fixtures: Mapping[str, str]) -> None:
    """Require beats at every interval in some states, each of which a fixture makes last.

    What a busy machine does once it does not do twice in a row.
    """
    if _irregularities(lab, fixtures):
        faults = _irregularities(lab, fixtures)
        require(not faults, f"it does not beat every {lab.times.heartbeat_s} s", faults)


def _irregularities(lab: Lab, fixtures: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the times of the beats, in one run for each state."""
    with _Lateness() as lateness:
        runs = {state: lab.run(fixture=name) for state, name in fixtures.items()}
        moments = {state: _moments(run, state, lab) for state, run in runs.items()}
    faults = []
    for state, seen in moments.items():
        if seen[-1] - seen[0] < 2 * lab.times.heartbeat_s:
            raise NotApplicable(f"the fixture {fixtures[state]} leaves {state} before two beats")
        found = interval_faults(seen, lab.times.heartbeat_s, lateness.worst_s)
        faults += [f"in {state}: {fault}" for fault in found]
    return faults


def _moments(run: Run, state: str, lab: Lab) -> list[float]:
    """Return when beats came until a state was left, and as the last moment when that was.

    If it is not left, the last moment is now. Earlier states belong to it, because an agent whose
    beats are held up tells of the state itself too late.
    """
    began_s = run.wait_for(state=state).at_s
    enough_s = began_s + BEATS * lab.times.heartbeat_s
    run.timeline.wait(lambda: _left_at(run, state), enough_s)
    left_s = _left_at(run, state) or time.monotonic()
    moments = [one.at_s for one in run.messages("heartbeat") if one.at_s < left_s]
    run.close()
    return [*moments, left_s]


def interval_faults(moments: Sequence[float], interval_s: float, late_s: float) -> list[str]:
    """Return what is wrong with the times of some beats.

    Args:
        moments: of the beats, and of the end of what is looked at, seconds.
        interval_s: that the agent was told, seconds.
        late_s: how late the machine was to wake a sleeping thread meanwhile, seconds.
    """
    longest_s = interval_s * (1 + TOLERANCE) + WAY_S + 2 * late_s
    faults = [
        f"{after - before:.2f} s without a beat, {longest_s:.2f} s are the most that is allowed "
        f"(this machine was up to {late_s:.2f} s late)"
        for before, after in pairwise(moments)
        if after - before > longest_s
    ]
    span_s = moments[-1] - moments[0]
    most = span_s / (interval_s * (1 - TOLERANCE)) + _EXTRA
    if len(moments) > most:
        faults.append(f"{len(moments)} beats in {span_s:.1f} s, {most:.0f} at most are allowed")
    return faults


def _left_at(run: Run, state: str) -> float | None:
    """Return when a state was left for another, or the agent ended; None if neither."""
    beats = [one for one in run.timeline.entries("message") if one.data.type == "heartbeat"]
    told = [(one.at_s, one.data.seq, one.data.body.get("state")) for one in beats]
    entered = min(((seq, at_s) for at_s, seq, phase in told if phase == state), default=None)
    if entered is None:
        return None
    # The last beat of the state before may be read once more from where the bus keeps it.
    left = [at_s for at_s, seq, phase in told if phase != state and seq > entered[0]]
    left += [one.at_s for one in run.timeline.entries("exit") if one.at_s > entered[1]]
    return min(left, default=None)


class _Lateness:
    """Measures in a ``with`` block how late this machine wakes whoever sleeps, seconds."""

    _STEP_S = 0.02

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lateness", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            before_s = time.monotonic()
            self._ended.wait(self._STEP_S)
            self.worst_s = max(self.worst_s, time.monotonic() - before_s - self._STEP_S)
