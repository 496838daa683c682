"""Rules 14 to 20: being told to stop, at any moment. Rules 21 to 23 are in `probes`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from typing import Any

from baqup_agent.conformance.check import Tier, check
from baqup_agent.conformance.endings import (
    require_failed,
    require_nothing_left,
    require_success,
    require_valid_output,
)
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.messages import part
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import CannotJudge, require

#: Seconds from SIGTERM to SIGKILL in a container of Docker, unless more is asked for.
_GRACE_S = 10.0

#: Seconds that a busy machine may add to that.
_BUSY_S = 10.0

#: Seconds that a sweep may take in its full length.
SWEEP_LIMIT_S = 600.0

#: Seconds from exec that a sweep covers at least.
_SWEEP_S = 0.5

#: Seconds in which an agent is done with what a change of state or a signal makes it send.
_ANSWER_S = 0.5

#: Seconds that slow-completing still has to last when it has been signalled.
_SLOW_S = 2.0

#: Seconds between two of many signals.
_APART_S = 0.002

#: Signals that one run is sent at most, one after the other.
_MANY = 500


def heeds(run: Run, number: Signals) -> bool:
    """Tell whether a process has a handler for a signal, or waits for it, or ignores it.

    The kernel knows. Before that, a signal takes its default course: it ends a process, and as
    process 1 of a namespace nobody ever hears of it.
    """
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = Path(f"/proc/{run.pid}/status").read_text().splitlines()
        masks = dict(line.split(":\t", 1) for line in lines if line.startswith("Sig"))
        heeded = int(masks["SigCgt"], 16) | int(masks["SigBlk"], 16) | int(masks["SigIgn"], 16)
        return bool(heeded >> (number - 1) & 1)
    return False


def startup(lab: Lab, count: int) -> Iterator[float]:
    """Yield moments, seconds from exec, that cover an agent's start up to its work."""
    first = lab.run()
    until_s = first.wait_for(state="running").at_s - first.started_at_s
    first.exit_code()
    yield from lab.offsets(max(_SWEEP_S, until_s), count)


def sweep(
    lab: Lab, number: Signals, count: int, **options: Any
) -> Iterator[tuple[Run, float, str]]:
    """Yield fresh runs, each with a moment of its start to send a signal at; close them after it.

    Args:
        lab: makes the runs.
        number: the signal, for the words alone: whoever asks for the runs sends it.
        count: how many runs.
        **options: as for `Lab.run`.

    Yields:
        The run, the moment in seconds from exec, and both in words for a message.
    """
    for moment_s in startup(lab, count):
        run = lab.run(**options)
        yield run, moment_s, f"{number.name} {moment_s * 1000:.0f} ms after its start"
        run.close()


def _working(lab: Lab) -> str | None:
    """Return the fixture whose work outlasts a sweep, if there is one."""
    return lab.described("slow")


def _grace_s(lab: Lab) -> float:
    """Return the seconds that an agent may take to end: Docker's, or what completing asks for."""
    if _working(lab):  # it cannot be so far
        return _GRACE_S + _BUSY_S
    asked = lab.agent.info().get("stop_grace_seconds")
    return _BUSY_S + max(_GRACE_S, asked if isinstance(asked, int | float) else 0.0)


@check(
    "signals/14/as-any-process",
    rule="SIGTERM at any moment of its start ends an agent within its grace, and never with 0.",
    source="Contract §1",
    how="SIGTERM is swept from exec over 500 ms, or up to the agent's work if that comes later; "
    "the fixture slow is used if there is one, so that the work is not over by then.",
    remedy="Install the handlers before anything slow is imported, and let what they ask for be "
    "looked at before each step.",
    limit_s=SWEEP_LIMIT_S,
)
def _as_any_process(lab: Lab) -> None:
    for run, moment_s, when in sweep(lab, SIGTERM, lab.count(6, 60), fixture=_working(lab)):
        if run.signal_at(moment_s, SIGTERM):
            _require_stopped(lab, run, when)


@check(
    "signals/14/as-process-one",
    rule="As process 1, as in a container, an agent ends by SIGTERM in the same way.",
    source="Contract §1",
    how="The same sweep in a namespace of its own. A signal that comes before there is a handler "
    "is thrown away by the kernel, so it is sent again once there is one.",
    remedy="Install a handler for SIGTERM: without one the kernel keeps it from process 1.",
    limit_s=SWEEP_LIMIT_S,
)
def _as_process_one(lab: Lab) -> None:
    ways = {"fixture": _working(lab), "pid1": True}
    for run, moment_s, when in sweep(lab, SIGTERM, lab.count(4, 40), **ways):
        run.pause(run.started_at_s + moment_s - time.monotonic())
        if _strike_process_one(run):
            _require_stopped(lab, run, when)


def _strike_process_one(run: Run) -> bool:
    """Send SIGTERM so that it is heard; False if the agent has ended before that."""
    heard = heeds(run, SIGTERM)
    struck = run.signal(SIGTERM)
    if struck and not heard:
        until_s = time.monotonic() + _GRACE_S
        run.timeline.wait(lambda: run.ended or heeds(run, SIGTERM) or None, until_s)
        run.signal(SIGTERM)
    return struck


def _require_stopped(lab: Lab, run: Run, when: str) -> None:
    """Require a bounded end that is no success; a job that was over before may be one."""
    code = run.exit_code(within_s=_grace_s(lab))
    if code == 0:
        require(_working(lab) is None, f"{when}, it ended with 0")
        _require_all(run, when)
    else:
        _require_no_manifest(run, when)
    require_nothing_left(run)


def _require_no_manifest(run: Run, when: str) -> None:
    require(run.manifest() is None, f"{when}, it ended with {run.end_words()} and a manifest")


def _require_all(run: Run, when: str) -> None:
    require_valid_output(run, f"{when}, it ended with 0")
    status = (run.status() or {}).get("status")
    require(status == "success", f"{when}, it ended with 0 and the status {status!r}")


@check(
    "signals/15/term-in-initializing",
    rule="SIGTERM in initializing aborts the job: exit 1, ABORTED, and nothing is published.",
    source="Contract §1",
    how="SIGTERM is sent upon the first heartbeat, to the fixture slow-initializing or else slow.",
    remedy="Install the handlers before the first heartbeat, and look at what they ask for before "
    "the work begins.",
)
def _term_in_initializing(lab: Lab) -> None:
    run = lab.run(fixture=lab.described("slow-initializing") or "slow")
    run.wait_for(state="initializing")
    run.signal(SIGTERM)
    run.exit_code(within_s=_GRACE_S + _BUSY_S)
    require_failed(run, "after SIGTERM in initializing", exit_code=1, error_code="ABORTED")


@check(
    "signals/16/term-in-running",
    rule="SIGTERM in running aborts the work: exit 1, a final status with ABORTED that may be "
    "tried again, and no manifest.",
    source="Contract §1",
    how="SIGTERM is sent to the fixture slow in running.",
    remedy="Have the handler set a flag that the work looks at; report, and publish nothing.",
)
def _term_in_running(lab: Lab) -> None:
    run = lab.run(fixture="slow")
    run.wait_for(state="running")
    run.signal(SIGTERM)
    run.exit_code(within_s=_GRACE_S + _BUSY_S)
    _require_aborted(run, "after SIGTERM in running")


def _require_aborted(run: Run, when: str) -> None:
    require_failed(run, when, exit_code=1, error_code="ABORTED")
    error = part(run.status(), "error")
    told = (error.get("category"), error.get("retriable"))
    require(told == ("transient", True), f"{when}, category and retriable of the error are {told}")
    require_nothing_left(run)


@check(
    "signals/17/term-in-completing",
    rule="SIGTERM in completing lets the publication come to its end: exit 0, a valid manifest, "
    "the status success.",
    source="Contract §1",
    how="SIGTERM is sent upon the first heartbeat of completing, to the fixture slow-completing "
    "if there is one.",
    remedy="From completing on, take no notice of SIGTERM until the status is reported.",
)
def _term_in_completing(lab: Lab) -> None:
    run = lab.run(fixture=lab.described("slow-completing"))
    run.wait_for(state="completing")
    run.signal(SIGTERM)
    require_success(run, "after SIGTERM in completing")
    _require_all(run, "after SIGTERM in completing")


@check(
    "signals/17/beats-go-on",
    rule="Heartbeats go on in completing, after a SIGTERM too.",
    source="Contract §1",
    how="The fixture slow-completing, with an interval of one second, is sent SIGTERM in "
    "completing; heartbeats must still come while it goes on.",
    remedy="End the thread that sends heartbeats last of all.",
    tier=Tier.B,
)
def _beats_go_on(lab: Lab) -> None:
    run = lab.run(fixture="slow-completing", env={"BAQUP_AGENT_HEARTBEAT_INTERVAL": "1"})
    run.wait_for(state="completing")
    run.signal(SIGTERM)
    require_success(run, "after SIGTERM in completing")
    struck_s = run.timeline.entries("signal")[-1].at_s
    lasted_s = run.timeline.entries("exit")[-1].at_s - struck_s
    if lasted_s < _SLOW_S:
        raise CannotJudge(f"slow-completing must last {_SLOW_S:g} s and more, with time to spare")
    beats = [
        one
        for one in run.messages("heartbeat", channel="notify")
        if one.body.get("state") == "completing" and one.at_s > struck_s + _ANSWER_S
    ]
    require(beats, f"in {lasted_s:.1f} s of completing after SIGTERM there was no heartbeat")


@check(
    "signals/18/term-around-completing",
    rule="SIGTERM around the change from running to completing gives all or nothing: exit 0 with "
    "a valid manifest and success, or another code and no manifest.",
    source="Contract §1",
    how="A job is timed, and others are sent SIGTERM at moments swept from running to the end.",
    remedy="Decide once, where running is left, whether the job is aborted; nothing after that "
    "looks at the flag.",
    limit_s=SWEEP_LIMIT_S,
)
def _term_around_completing(lab: Lab) -> None:
    timed = lab.run()
    begin = timed.wait_for(state="running")
    timed.exit_code()
    lasts_s = timed.timeline.entries("exit")[-1].at_s - begin.at_s
    for offset_s in lab.offsets(lasts_s, lab.count(6, 60)):
        run = lab.run()
        running = run.wait_for(state="running")
        run.signal_at(running.at_s + offset_s - run.started_at_s, SIGTERM)
        _require_all_or_nothing(run, f"SIGTERM {offset_s * 1000:.0f} ms after running began")
        run.close()


def _require_all_or_nothing(run: Run, when: str) -> None:
    if run.exit_code() == 0:
        _require_all(run, when)
        return
    _require_no_manifest(run, when)
    require_failed(run, when, exit_code=1, error_code="ABORTED")


@check(
    "signals/19/many-terms",
    rule="However often SIGTERM is sent, there is one shutdown, as if it was sent once.",
    source="Contract §1",
    how="The fixture slow is sent SIGTERM in running, again and again until it has ended.",
    remedy="Let the handler do nothing but set a flag; do not restore the default behaviour.",
)
def _many_terms(lab: Lab) -> None:
    _strike_many(lab, SIGTERM)


@check(
    "signals/19/int-and-term",
    rule="SIGINT is taken as SIGTERM, and both together give one shutdown.",
    source="Contract §1",
    how="The fixture slow is sent SIGINT in running, then SIGTERM and SIGINT in turns until it "
    "has ended.",
    remedy="Install the same handler for both.",
)
def _int_and_term(lab: Lab) -> None:
    _strike_many(lab, SIGINT, SIGTERM)


def _strike_many(lab: Lab, *numbers: Signals) -> None:
    """Send signals in turns until the agent has ended, and require one shutdown."""
    names = " and ".join(one.name for one in numbers)
    run = lab.run(fixture="slow")
    run.wait_for(state="running")
    for _, number in zip(range(_MANY), cycle(numbers), strict=False):
        if not run.signal(number) or not run.pause(_APART_S):
            break
    run.exit_code(within_s=_GRACE_S + _BUSY_S)
    _require_aborted(run, f"after many of {names}")
    statuses = [f"seq {one.seq}: {one.body.get('status')}" for one in run.messages("status")]
    require(len(statuses) == 1, f"after many of {names}, several statuses were reported", statuses)


@check(
    "signals/20/term-in-a-blocking-call",
    rule="SIGTERM ends an agent whose work is in a call that does not return.",
    source="Contract §1",
    how="The fixture blocking is sent SIGTERM in running.",
    remedy="Do the work in a thread or a process that can be left behind, and exit without it.",
    tier=Tier.B,
)
def _term_in_a_blocking_call(lab: Lab) -> None:
    run = lab.run(fixture="blocking")
    run.wait_for(state="running")
    run.pause(_ANSWER_S)  # for the call to begin
    run.signal(SIGTERM)
    run.exit_code(within_s=_GRACE_S + _BUSY_S)
    _require_aborted(run, "after SIGTERM in a blocking call")


@check(
    "signals/20/term-with-a-child",
    rule="No process that an agent has started survives it, not even one that is deaf to SIGTERM.",
    source="Contract §1",
    how="The fixture child, which waits for a process, is sent SIGTERM once that is there; all "
    "that came from the agent is looked for afterwards, wherever it moved.",
    remedy="Start children in a group of their own and kill the group on every way out.",
    tier=Tier.B,
)
def _term_with_a_child(lab: Lab) -> None:
    run = lab.run(fixture="child")
    run.wait_for(state="running")
    until_s = time.monotonic() + _GRACE_S
    if not run.timeline.wait(lambda: run.ended or run.survivors() or None, until_s):
        raise CannotJudge("the fixture child starts no process in running")
    run.signal(SIGTERM)
    run.exit_code(within_s=_GRACE_S + _BUSY_S)
    _require_aborted(run, "after SIGTERM while it waits for a child")
