"""Rules 9 to 13: the states, the order of messages, and what ends a state that takes too long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from signal import SIGTERM

from baqup_agent.conformance.check import Tier, check
from baqup_agent.conformance.endings import (
    require_failed,
    require_nothing_left,
    require_success,
    require_valid_output,
)
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.messages import Message, moment
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import Violation, require

#: The states of a run that succeeds, in order (Contract §1).
STATES = ("initializing", "running", "completing", "terminated")

#: Seconds that a state may last, by the contract.
_INITIALIZING_S, _COMPLETING_S = 30.0, 60.0

#: Seconds beyond a deadline for work to stop and a status to be reported (5 and 2 by the
#: contract), on a machine that may be busy.
_LEAVING_S = 20.0

#: The exit code of a job that is published and unreported (Contract §5).
_UNREPORTED = 75


@check(
    "lifecycle/9/order-of-states",
    rule="A run goes through initializing, running, completing and terminated, each once and in "
    "that order, or leaves that way for failed.",
    source="Contract §1",
    how="The heartbeats of a good run are read, of one that is told to stop, and of one that "
    "crashes if there is such a fixture; each new state is compared with the order.",
    remedy="Send a heartbeat upon every transition, and let one place in the program fire them.",
)
def _order_of_states(lab: Lab) -> None:
    good = lab.run()
    require_success(good)
    _require_order(good, "in a good run")
    stopped = lab.run()
    stopped.wait_for(state="initializing")
    stopped.signal(SIGTERM)
    stopped.exit_code()
    _require_order(stopped, "in a run that was told to stop")
    if lab.has_fixture("crash"):
        crashed = lab.run(fixture="crash")
        crashed.exit_code()
        _require_order(crashed, "in a run that crashed")


def _require_order(run: Run, when: str) -> None:
    seen = run.states()
    shown = " -> ".join(seen) or "none"
    if run.exit_code() == 0:
        require(seen == list(STATES), f"{when}, the states were {shown}")
    else:
        path = seen[:-1]
        legal = bool(path) and path == list(STATES[:3])[: len(path)] and seen[-1] == "failed"
        require(legal, f"{when}, which ended with {run.end_words()}, the states were {shown}")


@check(
    "lifecycle/10/sequence-and-time",
    rule="An agent process numbers all its messages by one counter that only grows, and their "
    "timestamps never go back.",
    source="Contract §3",
    how="All announcements and stored messages of a good run and of one that is told to stop are "
    "put in order of seq; numbers must be unique, those of one type must arrive in order, and "
    "timestamps must not fall.",
    remedy="Draw number and timestamp together, under one lock, when a message is made.",
)
def _sequence_and_time(lab: Lab) -> None:
    good = lab.run()
    stopped = lab.run()
    stopped.wait_for(state="initializing")
    stopped.signal(SIGTERM)
    for run in (good, stopped):
        run.exit_code()
        require(run.messages(), f"a run that ended with {run.end_words()} sent no message")
        _require_unique(run.messages(channel="notify") + run.messages(channel="stored"))
        _require_arrival(run.messages(channel="notify"))
        _require_times(run.messages())


def _require_unique(messages: Iterable[Message]) -> None:
    """Require that no number stands on two messages; a repetition is one message."""
    known: dict[tuple[str, int], tuple[object, object]] = {}
    for one in messages:
        require(one.seq >= 1, f"a message has no number from 1: {_words(one)}")
        mark = (one.type, one.body.get("timestamp"))
        other = known.setdefault((str(one.body.get("agent_id")), one.seq), mark)
        require(other == mark, f"two messages have the seq {one.seq}", [str(other), str(mark)])


def _require_arrival(messages: Iterable[Message]) -> None:
    """Require that the messages of one type come in order, repetitions aside."""
    newest: dict[tuple[str, object], int] = defaultdict(int)
    for one in messages:
        subject = (one.type, one.body.get("agent_id"))
        require(
            one.seq >= newest[subject],
            f"seq {one.seq} of type {one.type} was announced after {newest[subject]}",
        )
        newest[subject] = one.seq


def _require_times(messages: Iterable[Message]) -> None:
    by_agent: dict[object, list[Message]] = defaultdict(list)
    for one in messages:
        by_agent[one.body.get("agent_id")].append(one)
    for sent in by_agent.values():
        sent.sort(key=lambda one: one.seq)
        for before, after in pairwise(sent):
            require(
                _sent_at(before) <= _sent_at(after),
                "a later message has an earlier timestamp",
                [_words(before), _words(after)],
            )


def _sent_at(message: Message) -> datetime:
    text = message.body.get("timestamp")
    found = moment(text)
    if found is None:
        raise Violation(f"a timestamp is no RFC 3339 time in UTC: {text!r}", _words(message))
    return found


def _words(message: Message) -> str:
    return f"{message.type} seq {message.body.get('seq')} at {message.body.get('timestamp')}"


@check(
    "lifecycle/11/initializing-too-long",
    rule="A run that is still initializing after 30 seconds has failed: exit 69, "
    "INITIALIZATION_TIMEOUT.",
    source="Contract §1",
    how="The fixture stall-initializing stays in initializing; it may shorten the deadline, and "
    "must not get past it.",
    remedy="Have a timer end initializing, whatever holds it up.",
    tier=Tier.B,
)
def _initializing_too_long(lab: Lab) -> None:
    run = lab.run(fixture="stall-initializing")
    run.wait_for(state="initializing")
    run.exit_code(within_s=_INITIALIZING_S + _LEAVING_S)
    require("running" not in run.states(), "it began the work although its time was over")
    require_failed(
        run, "after its time to initialize", exit_code=69, error_code="INITIALIZATION_TIMEOUT"
    )


@check(
    "lifecycle/12/job-timeout",
    rule="A job that takes longer than BAQUP_JOB_TIMEOUT fails with exit 1 and JOB_TIMEOUT, and "
    "leaves no manifest.",
    source="Contract §1",
    how="The fixture slow is run with a timeout of one second.",
    remedy="Have a timer cancel the work, and publish nothing after that.",
)
def _job_timeout(lab: Lab) -> None:
    run = lab.run(fixture="slow", env={"BAQUP_JOB_TIMEOUT": "1"})
    run.wait_for(state="running")
    run.exit_code(within_s=1 + _LEAVING_S)
    require_failed(run, "after BAQUP_JOB_TIMEOUT", exit_code=1, error_code="JOB_TIMEOUT")
    require_nothing_left(run)


@check(
    "lifecycle/13/completing-too-long",
    rule="A run that is still completing after 60 seconds has failed: exit 74 and "
    "COMPLETION_TIMEOUT if nothing is published, exit 75 and a valid manifest otherwise.",
    source="Contract §1",
    how="The fixture stall-completing stays in completing; it may shorten the deadline, and must "
    "not get past it.",
    remedy="Have a timer end completing, and tell by the manifest which of the two ends it is.",
    tier=Tier.B,
)
def _completing_too_long(lab: Lab) -> None:
    run = lab.run(fixture="stall-completing")
    run.wait_for(state="completing")
    code = run.exit_code(within_s=_COMPLETING_S + _LEAVING_S)
    if code == _UNREPORTED:
        require_valid_output(run, "it ended with 75")
    else:
        require_failed(
            run, "after its time to complete", exit_code=74, error_code="COMPLETION_TIMEOUT"
        )
