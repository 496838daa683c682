"""From what was seen of a job to the one word that a controller acts on.

A verdict weighs three witnesses: the exit code, the status that was reported, and the published
directory itself. It trusts none alone (Contract §4, §5):

* ``success`` - exit 0, status ``success`` and a valid manifest, all three;
* ``partial`` - a valid manifest and status ``partial``, with exit 76, or 0 in the mode ``warn``;
* ``unreported`` - exit 75 and a valid manifest: the backup is good, the report never arrived;
* ``failed`` - the agent says that there is no usable backup, and nothing contradicts it;
* ``lost`` - killed by a signal, ended without a word, or its claims do not hold together.

`judge` is a pure function of its `Facts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from attrs import frozen

from baqup_agent.contract import ExitCode, RunStatus


class Outcome(StrEnum):
    """The five words."""

    SUCCESS = "success"
    PARTIAL = "partial"
    UNREPORTED = "unreported"
    FAILED = "failed"
    LOST = "lost"


@frozen
class Facts:
    """What was seen.

    Attributes:
        job_id: the job that was asked for.
        role: the role that was asked for.
        exit_code: the process's exit code; None if a signal ended it.
        signal: that signal's number.
        status: the status message, from the bus or from the orphan file.
        orphan: whether it came from the orphan file.
        manifest: the manifest in its wire form, if it and every artifact verified.
        problems: what verification found wrong; empty if there is no manifest at all.
        manifest_is_older: the manifest was there before the agent was started.
    """

    job_id: str
    role: str
    exit_code: int | None
    signal: int | None = None
    status: Mapping[str, Any] | None = None
    orphan: bool = False
    manifest: Mapping[str, Any] | None = None
    problems: tuple[str, ...] = ()
    manifest_is_older: bool = False


@frozen
class Verdict:
    """What to think of a job.

    Attributes:
        outcome: the word.
        reasons: why, one line each; empty for a plain success.
        exit_code: the code with which a controller's own process ends.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    exit_code: int


#: Exit codes that promise a usable backup.
_PROMISES = (ExitCode.SUCCESS, ExitCode.COMPLETED_UNREPORTED, ExitCode.PARTIAL_FAILURE)

#: Codes that an agent chose on purpose. 1 is missing: Python itself ends with it.
_DELIBERATE = frozenset(ExitCode) - {ExitCode.GENERAL_FAILURE, *_PROMISES}

#: The statuses that agree with each code that promises a usable backup.
_AGREEING = {
    ExitCode.SUCCESS: (RunStatus.SUCCESS, RunStatus.PARTIAL),
    ExitCode.COMPLETED_UNREPORTED: (RunStatus.SUCCESS, RunStatus.PARTIAL),
    ExitCode.PARTIAL_FAILURE: (RunStatus.PARTIAL,),
}

#: What a shell adds to the number of the signal that ended a process.
_SIGNAL_BASE = 128


def judge(facts: Facts) -> Verdict:
    """Weigh the facts."""
    if facts.exit_code is None:
        number = facts.signal or 0
        return Verdict(Outcome.LOST, _killed(facts, number), _SIGNAL_BASE + number)
    contradictions = tuple(_contradictions(facts, facts.exit_code))
    if contradictions:
        return Verdict(Outcome.LOST, contradictions, _own_code(facts.exit_code))
    outcome = _agreed(facts, facts.exit_code)
    return Verdict(outcome, tuple(_remarks(facts, outcome)), facts.exit_code)


def _killed(facts: Facts, number: int) -> tuple[str, ...]:
    reasons = [f"signal {number} ended the agent before it could answer for itself"]
    if facts.manifest is not None and not facts.manifest_is_older:
        reasons.append("yet a manifest was published and verifies: look before running it again")
    return tuple(reasons)


def _own_code(code: int) -> int:
    """A promise that does not hold must not reach a script as the promise's own code."""
    return ExitCode.INTERNAL_ERROR if code in _PROMISES else code


def _agreed(facts: Facts, code: int) -> Outcome:
    if code not in _PROMISES:
        return Outcome.FAILED
    if code == ExitCode.COMPLETED_UNREPORTED:
        return Outcome.UNREPORTED
    return Outcome.PARTIAL if _status(facts) == RunStatus.PARTIAL else Outcome.SUCCESS


def _remarks(facts: Facts, outcome: Outcome) -> Iterator[str]:
    if outcome is Outcome.UNREPORTED and facts.status is None:
        yield "there is no orphan status file either: all that is known is the manifest"
    if outcome is Outcome.UNREPORTED and _status(facts) == RunStatus.PARTIAL:
        yield "the orphan status says partial: some components are missing"
    if outcome is Outcome.FAILED and facts.status is None:
        yield "no status was reported"
    if outcome is Outcome.FAILED and facts.manifest_is_older:
        yield "the manifest in the directory was published by an earlier run"


def _contradictions(facts: Facts, code: int) -> Iterator[str]:
    if code in _PROMISES:
        yield from _broken_promises(facts, ExitCode(code))
    else:
        yield from _broken_failure(facts, code)
    yield from _foreign_manifest(facts)
    if facts.status is not None:
        yield from _status_against(facts, facts.status, code)


def _broken_promises(facts: Facts, code: ExitCode) -> Iterator[str]:
    if facts.manifest is None:
        found = "what is published does not verify" if facts.problems else "there is no manifest"
        yield f"exit code {code} promises a valid manifest, but {found}"
    elif facts.manifest_is_older:
        yield f"exit code {code} promises a manifest, but the one there is from an earlier run"
    status = _status(facts)
    if status is None:
        if code != ExitCode.COMPLETED_UNREPORTED:
            yield f"exit code {code} promises a reported status, but there is none"
    elif status not in _AGREEING[code]:
        yield f"exit code {code} and status {status!r} do not agree"


def _broken_failure(facts: Facts, code: int) -> Iterator[str]:
    status = _status(facts)
    if status is not None and status != RunStatus.FAILED:
        yield f"exit code {code} and status {status!r} do not agree"
    if status is None and code not in _DELIBERATE:
        yield f"exit code {code} without a status: it may be the interpreter's or a shell's own"
    if facts.manifest is not None and not facts.manifest_is_older:
        yield f"exit code {code} says that there is no usable backup, but a valid one is published"


def _foreign_manifest(facts: Facts) -> Iterator[str]:
    if facts.manifest is None or facts.manifest_is_older:
        return
    for member, expected in (("job_id", facts.job_id), ("role", facts.role)):
        found = facts.manifest.get(member)
        if found != expected:
            yield f"the manifest's {member} is {found!r}, not {expected!r}"


def _status_against(facts: Facts, status: Mapping[str, Any], code: int) -> Iterator[str]:
    said = status.get("exit_code", code)
    # A status that was written before the bus failed may still say 0.
    tolerated = (code, 0) if code == ExitCode.COMPLETED_UNREPORTED else (code,)
    if said not in tolerated:
        yield f"the status names exit code {said!r}, the process ended with {code}"
    if code in _PROMISES and facts.manifest is not None:
        listed, promised = _files(status), _artifacts(facts.manifest)
        if listed is not None and listed != promised:
            yield "the status lists other files than the manifest"


def _status(facts: Facts) -> str | None:
    if facts.status is None:
        return None
    return str(facts.status.get("status"))


def _files(status: Mapping[str, Any]) -> set[tuple[str, str]] | None:
    files = status.get("files")
    if not isinstance(files, list):
        return None
    return {
        (str(entry.get("path")), str(entry.get("size_bytes")))
        for entry in files
        if isinstance(entry, dict)
    }


def _artifacts(manifest: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(str(a["filename"]), str(a["size_bytes"])) for a in manifest["artifacts"]}
