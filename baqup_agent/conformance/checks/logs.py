"""Rule 46: the form of the log. Rules 45, 47 and 48 are in `exit`."""

from __future__ import annotations

from signal import SIGTERM

from baqup_agent.conformance.check import check
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.oracle import faults_of
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import require

#: Lines that one violation shows.
_SHOWN = 5


@check(
    "logs/46/json-lines",
    rule="Every line of the log is one JSON object with timestamp, level, job_id and message, "
    "whatever happens; tracebacks stand inside one.",
    source="Contract §6",
    how="A good job, one with a bad value and one that is told to stop are run with the log "
    "format json; each line of stderr is held against log.schema.json.",
    remedy="Write the log through one sink that makes JSON of each record; route warnings of "
    "libraries and uncaught exceptions through it too.",
)
def _json_lines(lab: Lab) -> None:
    json_format = {"BAQUP_AGENT_LOG_FORMAT": "json"}
    good = lab.run(env=json_format)
    _judge(good, "in a good job")
    _judge(lab.run(env={**json_format, "BAQUP_JOB_TIMEOUT": "three"}), "after a bad value")
    stopped = lab.run(env=json_format)
    if stopped.pause(lab.random.random() / 2):
        stopped.signal(SIGTERM)
    _judge(stopped, "in a job that was told to stop")
    if lab.has_fixture("crash"):
        _judge(lab.run(fixture="crash", env=json_format), "after an exception nobody caught")


def _judge(run: Run, when: str) -> None:
    run.exit_code()
    lines = run.log()
    broken = [line.text[:300] for line in lines if line.record is None]
    require(not broken, f"{when}, a line of stderr is no JSON object", broken[:_SHOWN])
    for line in lines:
        faults = faults_of("log", line.record)
        require(not faults, f"{when}, a line of the log is incomplete", [*faults, line.text[:300]])
