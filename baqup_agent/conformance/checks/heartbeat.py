"""Rules 24 to 28: the sign of life, and what it tells of the work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from signal import SIGCONT, SIGSTOP
from typing import Any, Self

from baqup_agent.conformance.check import Tier, check
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.messages import Message
from baqup_agent.conformance.oracle import faults_of
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import NotApplicable, require

#: How far a beat may be from its time, as a share of the interval.
_TOLERANCE = 0.2

#: Intervals of one state that are looked at, if it lasts as long.
_BEATS = 3

#: Beats that come beside the schedule: on entering a state, at its end.
_EXTRA = 6

#: Seconds that a message takes from the agent to the suite, on a machine that is not busy.
_WAY_S = 0.1

#: Seconds that a message takes at most that was under way when the agent was suspended.
_UNDER_WAY_S = 1.0

#: Most seconds that a heartbeat is kept (Contract §3).
_KEPT_S = 30.5

#: Members of progress that never fall, and that the status repeats (Contract §3).
_COUNTS = ("bytes_processed", "files_processed")

#: Lines of evidence that one violation shows.
_SHOWN = 8


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


@check(
    "heartbeat/24/interval",
    rule="While the work is under way a heartbeat comes at every interval, 20 % more or less.",
    source="Contract §1",
    how="The arrivals of some beats in running are compared with the interval, with an allowance "
    "for how late this machine woke a sleeping thread meanwhile; what is wrong has to be so twice.",
    remedy="Beat on an absolute schedule, from a thread of its own, for as long as the agent "
    "lives; not once per piece of work.",
    exclusive=True,
)
def _interval(lab: Lab) -> None:
    _require_regular(lab, {"running": "slow"})


@check(
    "heartbeat/24/every-state",
    rule="Heartbeats come at every interval in initializing and in completing as well.",
    source="Contract §1",
    how="As 24/interval, with fixtures that linger in these states (slow-initializing, "
    "slow-completing).",
    remedy="Begin to beat before the configuration is checked and the source is opened, and go on "
    "until the status is reported.",
    tier=Tier.B,
    exclusive=True,
)
def _every_state(lab: Lab) -> None:
    states = [one for one in ("initializing", "completing") if lab.has_fixture(f"slow-{one}")]
    if not states:
        raise NotApplicable("conform.toml has no [fixtures.slow-initializing], slow-completing")
    _require_regular(lab, {state: f"slow-{state}" for state in states})


@check(
    "heartbeat/24/form",
    rule="A heartbeat has the members that its schema asks for, is announced, and is stored under "
    "the agent's name for three beats and at most 30 s.",
    source="Contract §1, §3",
    how="The beats of a job are held against heartbeat.schema.json; their keys, the time these "
    "have to live, and the channel are looked at.",
    remedy="Write the hash {prefix}heartbeat:{agent_id}, set its expiry with every beat, and "
    "publish the same message on {prefix}notify.",
)
def _form(lab: Lab) -> None:
    run = lab.run()
    run.exit_code()
    beats = run.messages("heartbeat")
    require(beats, "it sent no heartbeat at all")
    for beat in beats:
        faults = faults_of("heartbeat", beat.body)
        require(not faults, "a heartbeat is not as its schema asks", faults)
    announced = [beat.key for beat in run.messages("heartbeat", channel="notify")]
    require(run.place.prefix + "notify" in announced, "its beats are not announced on notify")
    stored = run.messages("heartbeat", channel="stored")
    require(stored, "its beats are not stored")
    for beat in stored:
        key = f"{run.place.prefix}heartbeat:{beat.body.get('agent_id')}"
        require(beat.key == key, f"a beat is stored as {beat.key}; {key} is asked for")
    _require_expiry([beat.ttl_s for beat in stored], lab.times.heartbeat_s)


def _require_expiry(lives_s: Sequence[float | None], interval_s: int) -> None:
    known = [life_s for life_s in lives_s if life_s is not None]
    require(len(known) == len(lives_s), "a heartbeat is kept for ever; 30 s are asked for")
    longest_s = max(known)
    least_s = min(3 * interval_s, 30) * (1 - _TOLERANCE)
    require(
        least_s <= longest_s <= _KEPT_S,
        f"a heartbeat is kept for {longest_s:.0f} s; three beats, at most 30 s, are asked for",
    )


@check(
    "heartbeat/25/busy-processor",
    rule="Work that uses the processor without a pause does not hold up the heartbeat.",
    source="Contract §1",
    how="As 24/interval, with a fixture that computes (cpu).",
    remedy="Let the beat come from a thread or process that the work cannot starve; in Python, "
    "keep single calls that hold the interpreter short, or move them into another process.",
    tier=Tier.B,
    exclusive=True,
)
def _busy_processor(lab: Lab) -> None:
    _require_regular(lab, {"running": "cpu"})


@check(
    "heartbeat/26/intent",
    rule="One long operation is announced by an intent before it begins, and the intent is "
    "taken back once it is over.",
    source="Contract §1",
    how="A fixture (intent) logs 'operation begins' and 'operation ends' and works on after that; "
    "the intent has to be in the beat that follows the one line, and gone after the other.",
    remedy="Set the intent, send a heartbeat, and only then begin; clear it in a finally block.",
    tier=Tier.B,
)
def _intent(lab: Lab) -> None:
    beat_s = lab.times.heartbeat_s * (1 + _TOLERANCE) + _UNDER_WAY_S
    run = lab.run(fixture="intent")
    begins = run.wait_for_log("operation begins")
    announced = run.wait_for_message("heartbeat", lambda one: bool(one.body.get("intent")))
    late_s = announced.at_s - begins.at_s
    require(late_s <= beat_s, f"the intent came {late_s:.1f} s after the operation had begun")
    faults = faults_of("heartbeat", announced.body)
    require(not faults, "the intent is not as its schema asks", faults)
    ends = run.wait_for_log("operation ends")
    require(announced.at_s <= ends.at_s + _WAY_S, "the intent was sent when the operation was over")
    cleared = _await_beats(
        run,
        lambda beats: [one for one in beats if one.at_s > ends.at_s and not one.body.get("intent")],
        beat_s,
    )
    require(cleared, f"{beat_s:.1f} s after the operation the intent still stands")


@check(
    "heartbeat/27/moving-work",
    rule="A heartbeat tells when the work last moved on, so that beats cannot hide stuck work.",
    source="Contract §1",
    how="In a job that lasts some seconds (fixture slow), last_progress_at has to be set, to move "
    "on, and never to lie after the beat itself.",
    remedy="Note the time wherever the work gets on, and put it into each beat as "
    "last_progress_at.",
)
def _moving_work(lab: Lab) -> None:
    run = lab.run(fixture="slow")
    run.wait_for(state="running")
    run.wait_for_message("heartbeat", lambda one: _progressed(one) is not None)
    first = next(filter(None, map(_progressed, run.messages("heartbeat"))))
    run.wait_for_message("heartbeat", lambda one: (_progressed(one) or first) > first)
    ahead = [
        str(one.body)
        for one in run.messages("heartbeat")
        if (moved := _progressed(one)) and (made := _moment(one.body.get("timestamp")))
        if moved > made
    ]
    require(not ahead, "last_progress_at lies after the beat that tells it", ahead[:_SHOWN])


@check(
    "heartbeat/27/stuck-work",
    rule="Once the work is stuck, beats go on and last_progress_at stands still.",
    source="Contract §1",
    how="A fixture (stall-running) gets stuck; some beats in a row have to tell the same moment.",
    remedy="Set last_progress_at where the work gets on, and not where the beat is made.",
    tier=Tier.B,
)
def _stuck_work(lab: Lab) -> None:
    run = lab.run(fixture="stall-running")
    run.wait_for(state="running")
    stuck = _await_beats(run, _same_progress, _BEATS * 4 * lab.times.heartbeat_s)
    told = [str(one.body.get("last_progress_at")) for one in run.messages("heartbeat")]
    require(stuck, "the work is stuck, and last_progress_at does not show it", told[-_SHOWN:])


@check(
    "heartbeat/27/suspended",
    rule="An agent that is suspended does not beat, and beats again once it may go on.",
    source="Contract §1",
    how="SIGSTOP in running, three intervals without a beat, then SIGCONT and a beat (fixture "
    "slow).",
    remedy="Let the beat come from the process that does the work: a helper that beats on its own "
    "says that the agent lives when it does not.",
)
def _suspended(lab: Lab) -> None:
    interval_s = lab.times.heartbeat_s
    run = lab.run(fixture="slow")
    run.wait_for(state="running")
    run.signal(SIGSTOP)
    stopped_s = time.monotonic()
    run.pause(3 * interval_s + _UNDER_WAY_S)
    beats = [one for one in run.messages("heartbeat") if one.at_s > stopped_s + _UNDER_WAY_S]
    require(not beats, "it is suspended, and its heartbeat goes on", [str(beats[:1])])
    run.signal(SIGCONT)
    again_s = time.monotonic()
    run.wait_for_message("heartbeat", lambda one: one.at_s > again_s, within_s=2 * interval_s + 10)


@check(
    "heartbeat/28/progress",
    rule="Progress never decreases, and the status repeats where it ended.",
    source="Contract §3",
    how="The progress of a short job, and of one that lasts some seconds if there is a fixture "
    "slow, is compared message by message, and the last with the metrics of the status.",
    remedy="Count up and never down, across retries too; take the metrics of the status from the "
    "same counters.",
)
def _progress(lab: Lab) -> None:
    short = lab.run()
    long = lab.run(fixture="slow") if lab.has_fixture("slow") else None
    if long is not None:
        long.wait_for(state="running")
        long.pause(3 * lab.times.heartbeat_s)
    short.exit_code()
    if not any(run.messages("progress") for run in lab.runs):
        raise NotApplicable("it tells no progress")
    for run in lab.runs:
        _require_growth([one.body for one in run.messages("progress")])
    _require_final(short)


def _require_growth(told: Sequence[dict[str, Any]]) -> None:
    for body in told:
        faults = faults_of("progress", body)
        require(not faults, "a progress message is not as its schema asks", faults)
    for before, after in pairwise(told):
        for name in (*_COUNTS, "percent_complete"):
            was, now = before.get(name), after.get(name)
            fell = was is not None and now is not None and now < was
            require(not fell, f"{name} fell from {was} to {now}")


def _require_final(run: Run) -> None:
    """Require that the status tells at least what the last progress told."""
    metrics = (run.status() or {}).get("metrics")
    metrics = metrics if isinstance(metrics, dict) else {}
    told = run.messages("progress")
    for name in _COUNTS:
        last = told[-1].body.get(name, 0) if told else 0
        said = metrics[name] if isinstance(metrics.get(name), int | float) else None
        require(
            said is not None and said >= last,
            f"the metrics of the status say {name}: {said}; the progress ended with {last}",
        )


def _require_regular(lab: Lab, fixtures: Mapping[str, str]) -> None:
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
        found = _judge(seen, lab.times.heartbeat_s, lateness.worst_s)
        faults += [f"in {state}: {fault}" for fault in found]
    return faults


def _moments(run: Run, state: str, lab: Lab) -> list[float]:
    """Return when beats came until a state was left, and as the last moment when that was.

    If it is not left, the last moment is now. Earlier states belong to it, because an agent whose
    beats are held up tells of the state itself too late.
    """
    began_s = run.wait_for(state=state).at_s
    enough_s = began_s + _BEATS * lab.times.heartbeat_s
    run.timeline.wait(lambda: _left_at(run, state), enough_s)
    left_s = _left_at(run, state) or time.monotonic()
    moments = [one.at_s for one in run.messages("heartbeat") if one.at_s < left_s]
    run.close()
    return [*moments, left_s]


def _judge(moments: Sequence[float], interval_s: float, late_s: float) -> list[str]:
    longest_s = interval_s * (1 + _TOLERANCE) + _WAY_S + 2 * late_s
    faults = [
        f"{after - before:.2f} s without a beat, {longest_s:.2f} s are the most that is allowed "
        f"(this machine was up to {late_s:.2f} s late)"
        for before, after in pairwise(moments)
        if after - before > longest_s
    ]
    span_s = moments[-1] - moments[0]
    most = span_s / (interval_s * (1 - _TOLERANCE)) + _EXTRA
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


def _await_beats(
    run: Run, look: Callable[[list[Message]], list[Message]], within_s: float
) -> list[Message]:
    """Return what ``look`` finds in the beats once it finds something; empty if too late."""
    found = run.timeline.wait(
        lambda: look(run.messages("heartbeat")) or (None if not run.ended else []),
        time.monotonic() + within_s,
    )
    return found or []


def _same_progress(beats: list[Message]) -> list[Message]:
    """Return the last beats if the work stood still between them."""
    last = beats[-_BEATS:]
    told = {one.body.get("last_progress_at") for one in last}
    return last if len(last) == _BEATS and len(told) == 1 and None not in told else []


def _progressed(beat: Message) -> datetime | None:
    return _moment(beat.body.get("last_progress_at"))


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
