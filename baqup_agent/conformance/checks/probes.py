"""Rules 21 to 23: SIGUSR1, by which a controller asks whether an agent is alive."""

from __future__ import annotations

import time
from signal import SIGTERM, SIGUSR1

from baqup_agent.conformance.check import Tier, check
from baqup_agent.conformance.checks.signals import SWEEP_LIMIT_S, heeds, sweep
from baqup_agent.conformance.endings import require_failed, require_success, require_valid_output
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.run import Run

#: Seconds in which a probe is answered, of those that the machine grants.
_ANSWER_S = 1.0

#: Seconds between two looks for the answer.
_LOOK_S = 0.01

#: An interval of the heartbeat at which none comes by itself while a check looks, seconds.
_NEVER = {"BAQUP_AGENT_HEARTBEAT_INTERVAL": "600"}

#: Probes of a job that is over, at most, and the seconds between two: time enough to answer.
_LAST_PROBES, _LAST_APART_S = 50, 0.02

#: Probes in a burst.
_BURST = 100

#: Seconds between two probes in a burst.
_APART_S = 0.002


@check(
    "signals/21/in-running",
    rule="SIGUSR1 in running is answered by a heartbeat within a second, and changes nothing.",
    source="Contract §1",
    how="With an interval of ten minutes, the fixture slow is sent SIGUSR1 three times in "
    "running; each must be answered by a heartbeat of that state. Time in which a busy machine "
    "does not run the suite does not count.",
    remedy="Let the handler wake the thread that sends heartbeats, which does not wait for work.",
    exclusive=True,
)
def _in_running(lab: Lab) -> None:
    run = lab.run(fixture="slow", env=_NEVER)
    _require_answers(run, "running", times=3)
    _require_orderly_end(run)


@check(
    "signals/21/in-initializing",
    rule="SIGUSR1 in initializing is answered by a heartbeat within a second.",
    source="Contract §1",
    how="As in running, with the fixture slow-initializing.",
    remedy="Start the thread that sends heartbeats, and install the handler, before anything that "
    "may take long.",
    tier=Tier.B,
    exclusive=True,
)
def _in_initializing(lab: Lab) -> None:
    run = lab.run(fixture="slow-initializing", env=_NEVER)
    _require_answers(run, "initializing", times=1)
    _require_orderly_end(run)


@check(
    "signals/21/in-completing",
    rule="SIGUSR1 in completing is answered by a heartbeat within a second, and changes nothing.",
    source="Contract §1",
    how="As in running, with the fixture slow-completing, which then has to succeed.",
    remedy="End the thread that sends heartbeats last of all.",
    tier=Tier.B,
    exclusive=True,
)
def _in_completing(lab: Lab) -> None:
    run = lab.run(fixture="slow-completing", env=_NEVER)
    _require_answers(run, "completing", times=1)
    require_success(run, "after SIGUSR1 in completing")


def _require_answers(run: Run, state: str, *, times: int) -> None:
    run.wait_for(state=state)
    for _ in range(times):
        _let_beats_arrive(run)
        struck_s = time.monotonic()
        run.signal(SIGUSR1)
        spent_s = _answer_s(run, state, struck_s)
        if spent_s is None:
            run.fail(f"SIGUSR1 in {state} was not answered by a heartbeat within {_ANSWER_S:g} s")


def _let_beats_arrive(run: Run) -> None:
    """Wait until what was sent upon entering a state is in: a tenth of a second of silence."""
    known = -1
    while known != (known := len(run.messages("heartbeat"))):
        run.pause(0.1)


def _answer_s(run: Run, state: str, struck_s: float) -> float | None:
    """Return the seconds to the next heartbeat of a state; None if they are too many.

    A look that comes late because the machine is busy counts as twice its length at most: the
    agent has to do with the same machine.
    """
    spent_s, looked_s = 0.0, struck_s
    while spent_s <= _ANSWER_S:
        beats = run.messages("heartbeat", channel="notify")
        if any(one.at_s > struck_s and one.body.get("state") == state for one in beats):
            return spent_s
        run.pause(_LOOK_S)
        now_s = time.monotonic()
        spent_s += min(now_s - looked_s, 2 * _LOOK_S)
        looked_s = now_s
        if run.ended:
            run.fail(f"after SIGUSR1 in {state}, it ended with {run.end_words()}")
    return None


def _require_orderly_end(run: Run) -> None:
    """Require that the agent can still be stopped as if it had not been probed."""
    run.signal(SIGTERM)
    require_failed(run, "after SIGUSR1 and SIGTERM", exit_code=1, error_code="ABORTED")


@check(
    "signals/21/at-the-end",
    rule="SIGUSR1 does not change the exit code of a job that is over.",
    source="Contract §1",
    how="A job is sent SIGUSR1 again and again from the heartbeat that says terminated until it "
    "has ended; it must end with 0.",
    remedy="Keep the handler until the process ends, or ignore the signal; never restore its "
    "default behaviour.",
    limit_s=SWEEP_LIMIT_S,
)
def _at_the_end(lab: Lab) -> None:
    for _ in range(lab.count(2, 20)):
        run = lab.run()
        run.wait_for(state="terminated")
        for _ in range(_LAST_PROBES):
            if not run.signal(SIGUSR1) or not run.pause(_LAST_APART_S):
                break
        require_success(run, "after SIGUSR1 in terminated")
        run.close()


@check(
    "signals/22/as-process-one",
    rule="SIGUSR1 at any moment of its start does no harm to an agent that is process 1, as in a "
    "container.",
    source="Contract §1",
    how="SIGUSR1 is swept from exec over 500 ms, or up to the agent's work if that comes later; "
    "each job must succeed.",
    remedy="Let the handler work, or do nothing, before there is a bus.",
    limit_s=SWEEP_LIMIT_S,
)
def _as_process_one(lab: Lab) -> None:
    for run, moment_s, when in sweep(lab, SIGUSR1, lab.count(4, 50), pid1=True):
        run.signal_at(moment_s, SIGUSR1)
        _require_survival(run, f"{when} as process 1")


@check(
    "signals/22/as-any-process",
    rule="SIGUSR1 does no harm to an agent once it has a handler, and it has one by its first "
    "heartbeat at the latest.",
    source="Contract §1",
    how="SIGUSR1 is swept as for process 1. A process that has no handler yet is ended by the "
    "kernel, which is excused until its first heartbeat; a last strike comes upon that.",
    remedy="Install the handler before anything slow is imported, and before the first heartbeat.",
    limit_s=SWEEP_LIMIT_S,
)
def _as_any_process(lab: Lab) -> None:
    for run, moment_s, when in sweep(lab, SIGUSR1, lab.count(6, 60)):
        run.pause(run.started_at_s + moment_s - time.monotonic())
        excused = not heeds(run, SIGUSR1) and not run.messages("heartbeat")
        run.signal(SIGUSR1)
        if excused and run.exit_code() == -SIGUSR1:
            continue
        _require_survival(run, when)
    run = lab.run()
    run.wait_for(state="initializing")
    run.signal(SIGUSR1)
    _require_survival(run, "SIGUSR1 upon the first heartbeat")


def _require_survival(run: Run, when: str) -> None:
    require_success(run, when)
    require_valid_output(run, when)


@check(
    "signals/23/burst",
    rule="A hundred SIGUSR1 one after the other crash nothing: the agent answers the last, and "
    "can be stopped in order.",
    source="Contract §1",
    how="The fixture slow is sent 100 SIGUSR1 in running, then one more that has to be answered, "
    "and then SIGTERM.",
    remedy="Let the handler set a flag or put one item into a queue; take no lock in it.",
)
def _burst(lab: Lab) -> None:
    run = lab.run(fixture="slow", env=_NEVER)
    run.wait_for(state="running")
    for _ in range(_BURST):
        if not run.signal(SIGUSR1) or not run.pause(_APART_S):
            run.fail(f"a hundred SIGUSR1: it ended with {run.end_words()}")
    _require_answers(run, "running", times=1)
    _require_orderly_end(run)
