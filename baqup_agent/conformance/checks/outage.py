"""Rules 29 to 35: a bus that is away, or comes and goes. Rule 33 is in `troubled_server`."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime

from baqup_agent.conformance.check import Tier, check
from baqup_agent.conformance.delivery import (
    PATIENCE,
    require_orphan,
    require_reported,
    require_unreported,
)
from baqup_agent.conformance.endings import require_exit
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.messages import Message, moment
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import CannotJudge, Violation, require

#: The exit code of a bug (Contract §5).
_BUG = 70

#: Seconds beyond the grace period in which an agent has ended.
_END_S = 12.0

#: Seconds that work may take longer in an outage, beside one half of what it takes otherwise.
_SLOWER_S = 4.0

#: Seconds that a reply is held back, so that the line breaks after the server took a message
#: and before the agent knows.
_DELAY_S = 0.1

#: How often it is tried to strike in a moment that passes by.
_TRIES = 4

#: Lines of evidence that one violation shows.
_SHOWN = 8

_WARNINGS = ("warn", "warning", "error", "fatal")


@check(
    "outage/29/absent",
    rule="A bus that is absent from the start stops no job: the agent lives on for the grace "
    "period, leaves its status in .baqup-status.json, and exits 75.",
    source="Contract §3, §5",
    how="The port of the bus refuses connections; exit code, output, orphan status, and the time "
    "from the manifest to the end are looked at.",
    remedy="Take a bus that is out of reach in initializing for an outage; after the grace period "
    "write the status message next to the manifest and exit 75.",
)
def _absent(lab: Lab) -> None:
    grace_s = lab.times.grace_s
    run = lab.run(bus="absent")
    run.exit_code(within_s=grace_s + 60)
    require_unreported(run)
    published = run.wait_for_file("manifest.json").at_s
    lived_s = run.timeline.entries("exit")[0].at_s - published
    require(
        lived_s > grace_s * 0.8 - 0.5,
        f"it waited {lived_s:.1f} s for the bus; the grace period is {grace_s} s",
    )
    require(
        lived_s < grace_s + _END_S,
        f"it went on for {lived_s:.1f} s after its work; the grace period is {grace_s} s",
    )


@check(
    "outage/29/comes-late",
    rule="A bus that comes up while the job is under way is told everything.",
    source="Contract §3",
    how="The bus is refused until something lies in .staging/, and comes up then; the job has to "
    "end with 0 and its events and status have to be there.",
    remedy="Go on trying to connect for as long as the agent lives, and send what was kept.",
)
def _comes_late(lab: Lab) -> None:
    run = lab.run(bus="absent", fixture=lab.described("events"), env=PATIENCE)
    run.wait_for_file(".staging/*")
    run.pause(0.5)
    run.bus.flow()
    require_reported(run)


@check(
    "outage/29/failed-job",
    rule="A job that fails while the bus is away keeps the exit code of its failure, and leaves a "
    "status that tells the error.",
    source="Contract §3, §5",
    how="A fixture (crash) fails in running with the bus refused.",
    remedy="Exit 75 for published output alone; write the orphan status of a failed job too.",
    tier=Tier.B,
)
def _failed_job(lab: Lab) -> None:
    run = lab.run(bus="absent", fixture="crash")
    require_exit(run, _BUG, "in a bug", within_s=lab.times.grace_s + 60)
    require(run.manifest() is None, "a failed job has a manifest")
    require_orphan(run, "failed", _BUG)


@check(
    "outage/30/replay",
    rule="When the bus comes back, what was kept is sent in order, nothing twice, and no beat that "
    "is out of date.",
    source="Contract §3",
    how="The bus is refused for some intervals in running; afterwards the stream and the status "
    "are compared with the sums that the status gives, and beats with the clock.",
    remedy="Send events with ids that stay the same when they are sent again; keep no heartbeats, "
    "make a fresh one.",
)
def _replay(lab: Lab) -> None:
    run = lab.run(fixture=lab.described("events") or "slow", env=PATIENCE)
    run.wait_for(state="running")
    run.bus.refuse()
    run.pause(2.5 * lab.times.heartbeat_s)
    run.bus.flow()
    back_s, back_at = time.monotonic(), datetime.now(UTC)
    require_reported(run)
    _require_fresh(run, back_s, back_at, 1.6 * lab.times.heartbeat_s)


@check(
    "outage/31/down-in-completing",
    rule="A bus that goes away in completing does no harm to the output: the agent exits 75 with a "
    "valid manifest and an orphan status.",
    source="Contract §3, §5",
    how="Everything on the line is delayed, so that the bus can be refused between the "
    "publication and the confirmation of the status.",
    remedy="Publish first and report then; treat a report that fails as unreported, never as "
    "failed.",
)
def _down_in_completing(lab: Lab) -> None:
    run = _published_without_confirmation(lab, {})
    run.exit_code(within_s=lab.times.grace_s + 60)
    require_unreported(run)


@check(
    "outage/31/back-within-grace",
    rule="A bus that is back within the grace period is told the status, and the agent exits 0.",
    source="Contract §3",
    how="As 31/down-in-completing, and the bus comes back after a second.",
    remedy="Keep trying to deliver the status until the grace period is over.",
)
def _back_within_grace(lab: Lab) -> None:
    run = _published_without_confirmation(lab, PATIENCE)
    run.pause(1.0)
    run.bus.delay(0)
    run.bus.flow()
    require_reported(run)


@check(
    "outage/32/black-hole",
    rule="A bus that takes everything and answers nothing neither holds up the work nor the end.",
    source="Contract §3",
    how="Two equal jobs run side by side, one of them with a line that loses everything from "
    "running on; a third has such a line from the start. The times of publication are compared.",
    remedy="Talk to the bus from a thread of its own, with short timeouts; let the work only put "
    "messages into a queue.",
    limit_s=240.0,
)
def _black_hole(lab: Lab) -> None:
    early = lab.run(bus="dropping")
    hole, free = (lab.run(fixture=lab.described("events") or "slow") for _ in range(2))
    began_s = hole.wait_for(state="running").at_s
    hole.bus.drop()
    free_began_s = free.wait_for(state="running").at_s
    free_s = free.wait_for_file("manifest.json", within_s=120).at_s - free_began_s
    limit_s = 1.5 * free_s + _SLOWER_S
    left_s = max(0.1, began_s + limit_s - time.monotonic())
    try:
        hole.wait_for_file("manifest.json", within_s=left_s)
    except Violation as late:
        raise Violation(
            f"the bus is a black hole, and the work is not done after {limit_s:.1f} s; with a "
            f"good bus it took {free_s:.1f} s",
            late.evidence,
        ) from late
    for run in (early, hole):
        run.exit_code(within_s=lab.times.grace_s + _END_S + 30)
        require_unreported(run)


@check(
    "outage/34/flapping",
    rule="A bus that comes and goes loses nothing: each event is there once, in order, and the "
    "status too.",
    source="Contract §3",
    how="Again and again the line breaks when the server has just taken an event and its reply is "
    "still under way, and heals a moment later.",
    remedy="Remove a message from the buffer when the bus has confirmed it, not when it was sent; "
    "make sending again harmless, by ids of your own.",
)
def _flapping(lab: Lab) -> None:
    run = lab.run(fixture=lab.described("events") or "slow", env=PATIENCE)
    run.wait_for(state="running")
    run.bus.delay(_DELAY_S)
    for number in range(lab.count(4, 12)):
        _await_event(run)
        if number % 2:  # and at any other moment
            run.pause(lab.random.uniform(0, 3 * _DELAY_S))
        run.bus.refuse()
        run.pause(2.0 * min(1.0, 2 * lab.times.scale))
        run.bus.flow()
        if run.ended:
            break
    run.bus.delay(0)
    require_reported(run)


@check(
    "outage/35/no-buffer",
    rule="Where messages cannot be kept on disk either, the work is done all the same, and one "
    "line of the log says so.",
    source="Contract §3",
    how="BAQUP_BUS_FALLBACK_DIR lies below a device; three jobs are run: with the bus away, with "
    "the bus there, and with the bus away and a good buffer, for comparison of their logs.",
    remedy="Fall back to memory with a limit, and warn once, not for each message.",
)
def _no_buffer(lab: Lab) -> None:
    env = {"BAQUP_BUS_FALLBACK_DIR": "/dev/null/buffer", "BAQUP_AGENT_LOG_FORMAT": "json"}
    both = lab.run(bus="absent", env=env, fixture=lab.described("events"))
    usual = lab.run(bus="absent", env={"BAQUP_AGENT_LOG_FORMAT": "json"})
    alone = lab.run(env=env)
    require_reported(alone)
    for run in (both, usual):
        run.exit_code(within_s=lab.times.grace_s + 90)
        require_unreported(run)
    known = set(_warnings(usual))
    said = Counter(line for line in _warnings(both) if line not in known)
    require(said, "its buffer cannot be written, and no warning says so")
    again = [f"{count} times: {line}" for line, count in said.items() if count > 1]
    require(not again, "that its buffer cannot be written is said again and again", again[:_SHOWN])


def _require_fresh(run: Run, back_s: float, back_at: datetime, oldest_s: float) -> None:
    """Require that no heartbeat from the time of the outage was sent after it."""
    stale = []
    for beat in run.messages("heartbeat"):
        age_s = _age_s(beat, back_at)
        if beat.at_s > back_s and age_s > oldest_s:
            stale.append(f"beat {beat.seq} was {age_s:.1f} s old when the bus came back")
    require(not stale, "a heartbeat was sent that is out of date", stale[:_SHOWN])


def _age_s(message: Message, at: datetime) -> float:
    sent_at = moment(message.body.get("timestamp"))
    return (at - sent_at).total_seconds() if sent_at else 0.0


def _published_without_confirmation(lab: Lab, env: dict[str, str]) -> Run:
    """Return a run that has published, and whose status no bus can have confirmed to it.

    Raises:
        CannotJudge: it was always quicker.
    """
    for _ in range(_TRIES):
        run = lab.run(env=env)
        run.wait_for_message("heartbeat")
        run.bus.delay(4 * _DELAY_S)
        run.wait_for_file("manifest.json")
        run.bus.refuse()
        if not run.ended and run.status() is None:
            return run
        run.close()
    raise CannotJudge(f"in {_TRIES} jobs the status was reported before the bus could be refused")


def _await_event(run: Run) -> None:
    """Wait until the server has taken another event; if none comes, for a moment."""
    seen = len(run.messages("event"))
    run.timeline.wait(
        lambda: True if run.ended or len(run.messages("event")) > seen else None,
        time.monotonic() + 1.0,
    )


def _warnings(run: Run) -> list[str]:
    """Return the messages of the log from warn upwards."""
    records = [line.record for line in run.log() if line.record is not None]
    return [str(one.get("message")) for one in records if one.get("level") in _WARNINGS]
