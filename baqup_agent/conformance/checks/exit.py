"""Rules 45, 47 and 48: exit codes, what is said of them elsewhere, and partial success."""

from __future__ import annotations

import re
from signal import SIGTERM
from typing import Any

from baqup_agent.conformance.check import Tier, check
from baqup_agent.conformance.endings import require_exit
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.messages import part
from baqup_agent.conformance.oracle import faults_of
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import NotApplicable, require

#: The codes that faults lead to, and the category of the error that goes with each; 76 has
#: parts that failed, each with an error of its own (Contract §5).
_CATEGORIES = {65: "permanent", 69: "transient", 70: "internal", 74: "transient", 76: None}

#: What conform.toml calls the fixtures of these codes: exit-65, and crash for 70.
_NAMES = {70: ("exit-70", "crash"), 76: ("exit-76", "partial")}

_NOWHERE = "/nowhere/at/all"


@check(
    "logs/45/source-missing",
    rule="A source that is not there ends the job with 69, a transient error.",
    source="Contract §5",
    how="A job is run whose BAQUP_SOURCE_PATH does not exist.",
    remedy="Tell a source that cannot be reached from a wrong configuration, which is 64, and "
    "from an error of reading, which is 74.",
)
def _source_missing(lab: Lab) -> None:
    if lab.agent.variables() and "BAQUP_SOURCE_PATH" not in lab.agent.variables():
        raise NotApplicable("its source is no path; rule 45 is checked by its fixtures alone")
    run = lab.run(env={"BAQUP_SOURCE_PATH": _NOWHERE})
    _judge_code(run, 69, "without its source")


@check(
    "logs/45/fault-codes",
    rule="Each kind of fault ends with its code: 65 data, 69 unavailable, 70 a bug, 74 reading "
    "or writing, 76 partial; the error's category goes with it.",
    source="Contract §5",
    how="The fixtures exit-65 to exit-76, crash and partial, as far as conform.toml has them, are "
    "run; the exit code and the error of the status are looked at.",
    remedy="Map what nobody caught as the contract does: the network to 69, other errors of the "
    "system to 74, everything else to 70.",
    tier=Tier.B,
)
def _fault_codes(lab: Lab) -> None:
    judged = 0
    for code in _CATEGORIES:
        for name in _NAMES.get(code, (f"exit-{code}",)):
            if lab.has_fixture(name):
                _judge_code(lab.run(fixture=name), code, f"in the fixture {name}")
                judged += 1
    if judged == 0:
        raise NotApplicable("conform.toml describes none of the fixtures exit-65 to exit-76")


def _judge_code(run: Run, code: int, when: str) -> None:
    require_exit(run, code, when)
    status = run.status()
    require(status is not None, f"{when} it reported no status")
    category = _CATEGORIES[code]
    if category is not None:
        error = part(status, "error")
        faults = faults_of("error", error)
        require(not faults, f"{when} its error is not as its schema asks", faults)
        said = error.get("category")
        require(said == category, f"{when} the category is {said!r}; {category} goes with {code}")
        require(run.manifest() is None, f"{when} it published a manifest")


@check(
    "logs/47/one-outcome",
    rule="The process's exit code, the status and the last words of the log tell one outcome.",
    source="Contract §3, §5, §6",
    how="A good job, one without a source, one that is told to stop, one without a bus, and what "
    "fixtures there are, are run; the three are compared.",
    remedy="Decide the outcome once, and derive exit code, status and log from it.",
)
def _one_outcome(lab: Lab) -> None:
    _judge_outcome(lab.run(), "in a good job")
    _judge_outcome(lab.run(env={"BAQUP_SOURCE_PATH": _NOWHERE}), "without its source")
    _judge_outcome(lab.run(bus="absent"), "without a bus")
    for name in ("crash", "partial"):
        if lab.has_fixture(name):
            _judge_outcome(lab.run(fixture=name), f"in the fixture {name}")
    if lab.has_fixture("slow"):
        run = lab.run(fixture="slow")
        run.wait_for(state="running")
        run.signal(SIGTERM)
        _judge_outcome(run, "told to stop")


def _judge_outcome(run: Run, when: str) -> None:
    code = run.exit_code()
    require(code >= 0, f"{when} it was {run.end_words()} and told no outcome")
    status = run.status() or run.orphan_status()
    require(isinstance(status, dict), f"{when} it ended with {code} and left no status anywhere")
    faults = faults_of("status", status)
    require(not faults, f"{when} its status contradicts itself", faults)
    said = (status or {}).get("exit_code")
    require(said == code, f"{when} the process ended with {code}, its status says {said}")
    told = _last_code(run)
    require(told in (None, code), f"{when} the process ended with {code}, its log says {told}")
    grave = [line for line in run.log() if line.record and _is_grave(line.record)]
    require(
        grave or code == 0 or not _has_log(run),
        f"{when} it ended with {code}, and no line of its log is an error or a warning",
    )


def _has_log(run: Run) -> bool:
    return any(line.record for line in run.log())


def _is_grave(record: dict[str, Any]) -> bool:
    return record.get("level") in ("warn", "error", "fatal")


def _last_code(run: Run) -> int | None:
    """Return the exit code that the log tells last; None if it tells none."""
    for line in reversed(run.log()):
        found = part(line.record, "context").get("exit_code", (line.record or {}).get("exit_code"))
        if isinstance(found, int):
            return found
    return None


@check(
    "logs/48/partial",
    rule="A partial failure names each part that failed and why; the parts that succeeded are "
    "published and valid; BAQUP_AGENT_PARTIAL_FAILURE_MODE decides the exit code.",
    source="Contract §5",
    how="The fixture partial, in which some parts fail, is run in each mode that the agent knows.",
    remedy="Publish what succeeded, list every part in the status, and exit with 76, or 0 where "
    "the mode is warn or skip.",
    tier=Tier.B,
)
def _partial(lab: Lab) -> None:
    _judge_partial(lab.run(fixture="partial"), "fail", 76, "partial", "failed")
    mode = "BAQUP_AGENT_PARTIAL_FAILURE_MODE"
    if mode in lab.agent.variables():
        for word, state, left in (("warn", "partial", "failed"), ("skip", "success", "skipped")):
            run = lab.run(fixture="partial", env={mode: word})
            _judge_partial(run, word, 0, state, left)


def _judge_partial(run: Run, mode: str, code: int, state: str, left: str) -> None:
    when = f"in the mode {mode}"
    require_exit(run, code, when)
    status = run.status() or {}
    faults = [*faults_of("status", status), *run.output_faults()]
    require(not faults, f"{when} status or output is not valid", faults)
    require(status["status"] == state, f"{when} the status is {status['status']}, not {state}")
    parts = status.get("components") or []
    lost = [one for one in parts if one["status"] == left]
    kept = [one for one in parts if one["status"] == "succeeded"]
    require(lost, f"{when} no part is listed as {left}", [str(one) for one in parts])
    mute = [one["name"] for one in lost if not re.fullmatch(r"\S+", str(_code(one)))]
    require(not mute, f"{when} it does not say why these parts are {left}", mute)
    _judge_summary(status, kept, parts, when)
    _judge_artifacts(run, kept, when)


def _judge_summary(
    status: dict[str, Any], kept: list[dict[str, Any]], parts: list[dict[str, Any]], when: str
) -> None:
    summary = part(status, "summary")
    counted = (summary.get("total"), summary.get("succeeded"))
    found = (len(parts), len(kept))
    require(counted == found, f"{when} the summary counts {counted}, listed are {found}")


def _judge_artifacts(run: Run, kept: list[dict[str, Any]], when: str) -> None:
    """Require that what the parts name is published; that it is valid was looked at before."""
    published = {one["filename"] for one in (run.manifest() or {}).get("artifacts", ())}
    unknown = [one["name"] for one in kept if one.get("artifact", "") not in {*published, ""}]
    require(not unknown, f"{when} the artifacts of these parts are not published", unknown)


def _code(component: dict[str, Any]) -> object:
    return part(component, "error").get("code", "")
