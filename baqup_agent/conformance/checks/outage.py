"""Rules 29 to 35: a bus that is away, that comes and goes, or that is not well."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from attrs import frozen

from baqup_agent.conformance.check import Tier, check
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.messages import Message
from baqup_agent.conformance.oracle import faults_of
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import CannotJudge, Violation, require
from baqup_agent.controller.embedded import EmbeddedServer

#: Exit codes (Contract §5).
_SUCCESS, _USAGE, _BUG, _UNREPORTED = 0, 64, 70, 75

#: Where a bus comes back, it is waited for longer than the scaled grace period: an agent may
#: pause ten seconds between two attempts (Contract §3). Nobody waits longer than it takes.
_PATIENCE = {"BAQUP_BUS_GRACE_PERIOD": "20"}

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
    _require_unreported(run)
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
    fixture = "events" if lab.has_fixture("events") else None
    run = lab.run(bus="absent", fixture=fixture, env=_PATIENCE)
    run.wait_for_file(".staging/*")
    run.pause(0.5)
    run.bus.flow()
    _require_reported(run)


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
    code = run.exit_code(within_s=lab.times.grace_s + 60)
    require(code == _BUG, f"it ended with {run.end_words()}; its failure is worth 70")
    require(run.manifest() is None, "a failed job has a manifest")
    _require_orphan(run, "failed", _BUG)


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
    run = lab.run(fixture=_busy(lab), env=_PATIENCE)
    run.wait_for(state="running")
    run.bus.refuse()
    run.pause(2.5 * lab.times.heartbeat_s)
    run.bus.flow()
    back_s, back_at = time.monotonic(), datetime.now(UTC)
    _require_reported(run)
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
    _require_unreported(run)


@check(
    "outage/31/back-within-grace",
    rule="A bus that is back within the grace period is told the status, and the agent exits 0.",
    source="Contract §3",
    how="As 31/down-in-completing, and the bus comes back after a second.",
    remedy="Keep trying to deliver the status until the grace period is over.",
)
def _back_within_grace(lab: Lab) -> None:
    run = _published_without_confirmation(lab, _PATIENCE)
    run.pause(1.0)
    run.bus.delay(0)
    run.bus.flow()
    _require_reported(run)


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
    hole, free = (lab.run(fixture=_busy(lab)) for _ in range(2))
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
        _require_unreported(run)


@check(
    "outage/33/refused-credentials",
    rule="Credentials that the bus refuses are a configuration error: exit 64, without output and "
    "without the password in any line.",
    source="Contract §3, §5, §7",
    how="The URL names a user that does not exist, and a canary as the password.",
    remedy="Tell WRONGPASS and NOAUTH from an outage while initializing; leave the URL out of the "
    "message.",
)
def _refused_credentials(lab: Lab) -> None:
    canary = f"canary{lab.random.getrandbits(64):016x}"
    server = lab.server()
    url = f"redis://nobody:{canary}@127.0.0.1:{server.port}/0"
    run = lab.run(server=server, env={"BAQUP_BUS_URL": url})
    code = run.exit_code()
    if code != _USAGE:
        run.fail(f"the bus refuses the credentials, and it ended with {run.end_words()}, not 64")
    require(run.manifest() is None, "it published, in spite of a configuration error")
    require(canary not in run.output, "the password of the bus is in its output")


@check(
    "outage/33/password-changed",
    rule="A bus that refuses the agent later on, while it works, is an outage and no failure.",
    source="Contract §3",
    how="In running the server asks for a password and the line is cut; a second later the "
    "password is gone again.",
    remedy="Take refused credentials for an error of configuration in initializing only.",
)
def _password_changed(lab: Lab) -> None:
    server = lab.server()
    run = lab.run(fixture=_busy(lab), server=server, env=_PATIENCE)
    run.wait_for(state="running")
    with _admin(server) as admin:
        admin.config_set("requirepass", "changed")
        run.bus.cut()
        run.pause(1.0)
        admin.config_set("requirepass", "")
    _require_reported(run)


@check(
    "outage/33/troubled-server",
    rule="A server that is loading, out of memory or read-only is an outage: the job goes on, and "
    "reports once the server is well.",
    source="Contract §3",
    how="One server each is brought into that state; it is made well again when the manifest is "
    "there, and the jobs have to end with 0.",
    remedy="Take LOADING, OOM, READONLY and their like for an outage, and try again.",
)
def _troubled_server(lab: Lab) -> None:
    with ThreadPoolExecutor(len(_TROUBLES) + 1) as pool:
        jobs = [pool.submit(_through_trouble, lab, one) for one in _TROUBLES]
        jobs.append(pool.submit(_through_loading, lab))
        for job in jobs:
            job.result()


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
    run = lab.run(fixture=_busy(lab), env=_PATIENCE)
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
    _require_reported(run)


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
    fixture = "events" if lab.has_fixture("events") else None
    both = lab.run(bus="absent", env=env, fixture=fixture)
    usual = lab.run(bus="absent", env={"BAQUP_AGENT_LOG_FORMAT": "json"})
    alone = lab.run(env=env)
    _require_reported(alone)
    for run in (both, usual):
        run.exit_code(within_s=lab.times.grace_s + 90)
        _require_unreported(run)
    known = set(_warnings(usual))
    said = Counter(line for line in _warnings(both) if line not in known)
    require(said, "its buffer cannot be written, and no warning says so")
    again = [f"{count} times: {line}" for line, count in said.items() if count > 1]
    require(not again, "that its buffer cannot be written is said again and again", again[:_SHOWN])


# -- what ends well, and what ends unreported -----------------------------------------------


def _busy(lab: Lab) -> str:
    """Return the fixture for a strike in running: with events, if the agent can be told so."""
    return "events" if lab.has_fixture("events") else "slow"


def _require_reported(run: Run) -> None:
    """Require that it ends with 0, and that all it has to say is on the bus."""
    code = run.exit_code(within_s=120)
    if code != _SUCCESS:
        run.fail(f"the bus came back in time, and it ended with {run.end_words()}, not 0")
    _require_output(run)
    status = run.status() or {}
    require(status.get("status") == "success", f"the status is {status.get('status')!r}")
    require(run.orphan_status() is None, "the status is reported, and there is an orphan status")
    faults = _event_faults(run.messages("event", channel="stored"), status)
    require(not faults, "the events on the bus are not those that happened", faults[:_SHOWN])


def _require_unreported(run: Run) -> None:
    """Require an ended run with valid output, 75, and an orphan status that says success."""
    if run.exit_code() != _UNREPORTED:
        run.fail(f"the bus stayed away, and it ended with {run.end_words()}; 75 is asked for")
    _require_output(run)
    _require_orphan(run, "success", _UNREPORTED)


def _require_output(run: Run) -> None:
    faults = run.output_faults()
    require(not faults, "what it published is not valid", faults)


def _require_orphan(run: Run, status: str, code: int) -> None:
    document = run.orphan_status()
    require(document is not None, "there is no .baqup-status.json in the job's directory")
    faults = faults_of("status", document)
    require(not faults, "the orphan status is not as its schema asks", faults)
    found = (document["status"], document.get("exit_code", code), document["job_id"])
    require(
        found == (status, code, run.job_id),
        f"the orphan status says {found}; {(status, code, run.job_id)} is asked for",
    )


def _event_faults(stored: Sequence[Message], status: dict[str, Any]) -> list[str]:
    """Return what is lost, doubled, malformed or out of order on the stream."""
    faults = [fault for one in stored for fault in faults_of("event", one.body)]
    times = Counter((str(one.body.get("agent_id")), one.seq) for one in stored)
    faults += [
        f"event {seq} is there {count} times" for (_, seq), count in times.items() if count > 1
    ]
    faults += [
        f"event {after.seq} stands after event {before.seq}"
        for before, after in pairwise(stored)
        if after.seq < before.seq and after.body.get("agent_id") == before.body.get("agent_id")
    ]
    summary = status.get("warnings_summary")
    counts = {one.body.get("code"): one.body.get("count") for one in stored}
    for code, count in (summary if isinstance(summary, dict) else {}).items():
        if counts.get(code) != count:
            faults.append(f"{code}: the status counts {count}, the stream {counts.get(code, 0)}")
    return faults


def _require_fresh(run: Run, back_s: float, back_at: datetime, oldest_s: float) -> None:
    """Require that no heartbeat from the time of the outage was sent after it."""
    stale = []
    for beat in run.messages("heartbeat"):
        age_s = _age_s(beat, back_at)
        if beat.at_s > back_s and age_s > oldest_s:
            stale.append(f"beat {beat.seq} was {age_s:.1f} s old when the bus came back")
    require(not stale, "a heartbeat was sent that is out of date", stale[:_SHOWN])


def _age_s(message: Message, at: datetime) -> float:
    try:
        return (at - datetime.fromisoformat(str(message.body.get("timestamp")))).total_seconds()
    except (TypeError, ValueError):
        return 0.0


# -- strikes --------------------------------------------------------------------------------


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


# -- a server that is not well --------------------------------------------------------------


@frozen
class _Trouble:
    """A server's bad state.

    Attributes:
        name: the word of its answers.
        begin: the command that brings it about.
        end: the command that makes the server well again.
    """

    name: str
    begin: tuple[str, ...]
    end: tuple[str, ...]


_TROUBLES = (
    # Nobody listens on port 1, where its master is said to be.
    _Trouble("READONLY", ("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    _Trouble("OOM", ("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
)

#: Keys that a server loads for a tenth of a second each; their size makes it look up after each
#: of them, and answer that it is loading.
_LOADED_KEYS, _LOADED_BYTES = 12, 2_200_000

#: What makes a server slow to load, and willing to be told to.
_LOADING = ("--enable-debug-command", "yes", "--key-load-delay", "100000")


def _through_trouble(lab: Lab, trouble: _Trouble) -> None:
    """Run a job on a server in trouble, which is well again once the manifest is there."""
    server = lab.server()
    with _admin(server) as admin:
        admin.execute_command(*trouble.begin)
        run = lab.run(server=server, env=_PATIENCE)
        run.wait_for_file("manifest.json")
        admin.execute_command(*trouble.end)
    _require_reported_after(run, trouble.name)


def _through_loading(lab: Lab) -> None:
    """Run a job on a server that loads its data meanwhile, for a second or so."""
    server = lab.server(*_LOADING, "--rdbcompression", "no")
    with _admin(server) as admin:
        for number in range(_LOADED_KEYS):
            admin.set(f"conform-{number}", "x" * _LOADED_BYTES)
        run = lab.run(server=server, env=_PATIENCE)
        admin.execute_command("DEBUG", "RELOAD")  # answers when it is over
    _require_reported_after(run, "LOADING")


def _require_reported_after(run: Run, trouble: str) -> None:
    try:
        _require_reported(run)
    except Violation as error:
        raise Violation(f"the server was {trouble}: {error.message}", error.evidence) from error


def _admin(server: EmbeddedServer) -> Any:
    """Return a client of the server itself, past the line."""
    from redis import Redis

    return Redis.from_url(server.url, decode_responses=True, socket_timeout=30)
