"""Rules 9 to 13: the states, the order of messages, and what ends a state that takes too long."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby, pairwise
from signal import SIGTERM

from baqup_agent.conformance.check import Tier, check
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.messages import Message
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

#: Seconds for a killed process to be gone.
_GONE_S = 3.0

#: Lines that one violation shows.
_SHOWN = 6


def await_state(run: Run, state: str) -> Message:
    """Wait for the first heartbeat of a state; see `Run.wait_for_message`."""
    return run.wait_for_message("heartbeat", lambda one: one.body.get("state") == state)


def require_failed(run: Run, when: str, *, exit_code: int, error_code: str) -> None:
    """Require that an ended run failed in a certain way: code, status, and no manifest.

    Args:
        run: has ended.
        when: what led to it, for the message.
        exit_code: what it has to end with.
        error_code: what the status has to name.

    Raises:
        Violation: it ended otherwise.
    """
    if run.exit_code() != exit_code:
        run.fail(f"{when}, it ended with {run.end_words()}; exit code {exit_code} is asked for")
    require(run.manifest() is None, f"{when}, it failed and yet there is a manifest")
    status = run.status()
    if status is None:
        run.fail(f"{when}, it reported no status, and the bus was there")
    said, error = status.get("status"), status.get("error")
    require(said == "failed", f"{when}, the status is {said!r}; failed is asked for")
    code = error.get("code") if isinstance(error, dict) else None
    require(code == error_code, f"{when}, the error is {code!r}; {error_code} is asked for")


def require_nothing_left(run: Run) -> None:
    """Require that no process which an ended run has started outlives it.

    Those that it killed on its way out may take a moment.
    """
    until_s = time.monotonic() + _GONE_S
    gone = run.timeline.wait(lambda: None if run.survivors() else True, until_s)
    left = [] if gone else [f"{one.pid}: {one.command}" for one in run.survivors()]
    require(not left, "processes that it started survive it", left[:_SHOWN])


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
    if good.exit_code() != 0:
        good.fail(f"a job with a valid configuration ended with {good.end_words()}")
    _require_order(good, "in a good run")
    stopped = lab.run()
    await_state(stopped, "initializing")
    stopped.signal(SIGTERM)
    stopped.exit_code()
    _require_order(stopped, "in a run that was told to stop")
    if lab.has_fixture("crash"):
        crashed = lab.run(fixture="crash")
        crashed.exit_code()
        _require_order(crashed, "in a run that crashed")


def _states(run: Run) -> list[str]:
    """Return the changes of state as they were announced, else as they were seen in the hash.

    A reader of the hash can be ahead of one of the announcements, so the two are not mixed.
    """
    announced = run.messages("heartbeat", channel="notify")
    if not announced:
        return run.states()
    return [state for state, _ in groupby(str(one.body.get("state")) for one in announced)]


def _require_order(run: Run, when: str) -> None:
    seen = _states(run)
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
    await_state(stopped, "initializing")
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
                _moment(before) <= _moment(after),
                "a later message has an earlier timestamp",
                [_words(before), _words(after)],
            )


def _moment(message: Message) -> datetime:
    text = message.body.get("timestamp")
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Violation(f"a timestamp is no RFC 3339 time in UTC: {text!r}", _words(message))
    return moment


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
    await_state(run, "initializing")
    run.exit_code(within_s=_INITIALIZING_S + _LEAVING_S)
    require("running" not in _states(run), "it began the work although its time was over")
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
    await_state(run, "running")
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
    await_state(run, "completing")
    code = run.exit_code(within_s=_COMPLETING_S + _LEAVING_S)
    if code == _UNREPORTED:
        faults = run.output_faults()
        require(not faults, "it ended with 75, and what it published is not valid", faults)
    else:
        require_failed(
            run, "after its time to complete", exit_code=74, error_code="COMPLETION_TIMEOUT"
        )
