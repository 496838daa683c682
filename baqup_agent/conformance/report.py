"""What came of a suite, as data: the terminal, JSON, JUnit and HTML are made from it."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Any

from attrs import frozen

from baqup_agent.conformance.check import Check, Level
from baqup_agent.conformance.seen import RunRecord
from baqup_agent.conformance.timeline import Entry

#: Exit codes of the suite.
CONFORMS = 0
DOES_NOT = 1
CANNOT_JUDGE = 2

#: The version of the JSON report's form.
FORM = 1


class Outcome(StrEnum):
    """How one check came out."""

    PASS = "pass"  # noqa: S105  no password
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"
    BYPASSED = "bypassed"
    ERROR = "error"


@frozen
class Result:
    """One check, carried out once.

    Attributes:
        check: what was checked.
        outcome: how it came out.
        message: what was seen, or why nothing was; empty for a pass.
        evidence: lines that show it.
        runs: the runs that it made, their timelines included.
        duration_s: how long it took, seconds.
        round_number: which repetition it was, from 1.
    """

    check: Check
    outcome: Outcome
    message: str = ""
    evidence: tuple[str, ...] = ()
    runs: tuple[RunRecord, ...] = ()
    duration_s: float = 0.0
    round_number: int = 1


@frozen
class Report:
    """A whole suite.

    Attributes:
        command: what was judged.
        agent: its name by ``--info``; empty if it has none.
        version: its version, likewise.
        seed: repeats it, together with the options.
        time_scale: of intervals.
        full: whether sweeps had their full length.
        strict: whether a SHOULD counts.
        began_at: when, RFC 3339.
        duration_s: how long it took, seconds.
        results: by check and round.
        complete: whether every check had to apply, unless conform.toml says why not.
    """

    command: tuple[str, ...]
    agent: str
    version: str
    seed: int
    time_scale: float
    full: bool
    strict: bool
    began_at: str
    duration_s: float
    results: tuple[Result, ...]
    complete: bool = False

    @property
    def failures(self) -> list[Result]:
        """The results that say that it does not conform."""
        return [one for one in self.results if one.outcome is Outcome.FAIL and self.counts(one)]

    @property
    def errors(self) -> list[Result]:
        """The results in which the suite itself failed."""
        return [one for one in self.results if one.outcome is Outcome.ERROR]

    @property
    def exit_code(self) -> int:
        """0 if it conforms, 1 if it does not, 2 if that could not be told."""
        if self.failures:
            return DOES_NOT
        judged = any(one.outcome in (Outcome.PASS, Outcome.FAIL) for one in self.results)
        return CONFORMS if judged and not self.errors else CANNOT_JUDGE

    @property
    def verdict(self) -> str:
        """The same in words."""
        return ("conforms", "does not conform", "could not be judged")[self.exit_code]

    def counts(self, result: Result) -> bool:
        """Tell whether a failure of this check counts: a SHOULD does if the report is strict."""
        return self.strict or result.check.level is Level.MUST

    def tally(self) -> dict[Outcome, int]:
        """Return how many results have each outcome."""
        counted = Counter(one.outcome for one in self.results)
        return {outcome: counted[outcome] for outcome in Outcome}

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "form": FORM,
            "command": list(self.command),
            "agent": self.agent,
            "version": self.version,
            "seed": self.seed,
            "time_scale": self.time_scale,
            "full": self.full,
            "strict": self.strict,
            "complete": self.complete,
            "began_at": self.began_at,
            "duration_s": round(self.duration_s, 3),
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "tally": {str(name): number for name, number in self.tally().items()},
            "results": [_result(one, counts=self.counts(one)) for one in self.results],
        }


def _result(result: Result, *, counts: bool) -> dict[str, Any]:
    one = result.check
    # Runs of checks that passed would make the report large and say nothing.
    shown = result.runs if result.outcome in (Outcome.FAIL, Outcome.ERROR) else ()
    return {
        "id": one.id,
        "section": one.section,
        "number": one.number,
        "level": str(one.level),
        "tier": str(one.tier),
        "rule": one.rule,
        "source": one.source,
        "remedy": one.remedy,
        "round": result.round_number,
        "outcome": str(result.outcome),
        "counts": counts,
        "message": result.message,
        "evidence": list(result.evidence),
        "duration_s": round(result.duration_s, 3),
        "runs": [_run(run) for run in shown],
    }


def _run(run: RunRecord) -> dict[str, Any]:
    return {
        "command": list(run.command),
        "environment": run.environment,
        "dropped": run.dropped,
        "entries": [_entry(one, run.began_at_s) for one in run.entries],
    }


def _entry(entry: Entry, began_at_s: float) -> dict[str, Any]:
    body = getattr(entry.data, "body", None)
    told = {"at_s": round(entry.at_s - began_at_s, 4), "kind": entry.kind, "text": entry.text}
    return told if body is None else {**told, "message": body}
