"""Rules 24 to 28: the sign of life, and what it tells of the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from signal import SIGCONT, SIGSTOP
from typing import Any

from baqup_agent.conformance.check import Tier, check
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.messages import Message, moment, part
from baqup_agent.conformance.oracle import faults_of
from baqup_agent.conformance.regularity import BEATS, TOLERANCE, WAY_S, require_regular
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import NotApplicable, require

#: Seconds that a message takes at most that was under way when the agent was suspended.
_UNDERWAY_S = 1.0

#: Most seconds that a heartbeat is kept (Contract §3).
_KEPT_S = 30.5

#: Members of progress that never fall, and that the status repeats (Contract §3).
_COUNTS = ("bytes_processed", "files_processed")

#: Lines of evidence that one violation shows.
_SHOWN = 8


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
    require_regular(lab, {"running": "slow"})


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
    require_regular(lab, {state: f"slow-{state}" for state in states})


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
    least_s = min(3 * interval_s, 30) * (1 - TOLERANCE)
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
    require_regular(lab, {"running": "cpu"})


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
    beat_s = lab.times.heartbeat_s * (1 + TOLERANCE) + _UNDERWAY_S
    run = lab.run(fixture="intent")
    begins = run.wait_for_log("operation begins")
    announced = run.wait_for_message("heartbeat", lambda one: bool(one.body.get("intent")))
    late_s = announced.at_s - begins.at_s
    require(late_s <= beat_s, f"the intent came {late_s:.1f} s after the operation had begun")
    faults = faults_of("heartbeat", announced.body)
    require(not faults, "the intent is not as its schema asks", faults)
    ends = run.wait_for_log("operation ends")
    require(announced.at_s <= ends.at_s + WAY_S, "the intent was sent when the operation was over")
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
        if (moved := _progressed(one)) and (made := moment(one.body.get("timestamp")))
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
    stuck = _await_beats(run, _same_progress, BEATS * 4 * lab.times.heartbeat_s)
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
    run.pause(3 * interval_s + _UNDERWAY_S)
    beats = [one for one in run.messages("heartbeat") if one.at_s > stopped_s + _UNDERWAY_S]
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
    metrics = part(run.status(), "metrics")
    told = run.messages("progress")
    for name in _COUNTS:
        last = told[-1].body.get(name, 0) if told else 0
        said = metrics[name] if isinstance(metrics.get(name), int | float) else None
        require(
            said is not None and said >= last,
            f"the metrics of the status say {name}: {said}; the progress ended with {last}",
        )


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
    last = beats[-BEATS:]
    told = {one.body.get("last_progress_at") for one in last}
    return last if len(last) == BEATS and len(told) == 1 and None not in told else []


def _progressed(beat: Message) -> datetime | None:
    return moment(beat.body.get("last_progress_at"))
