"""What is said at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from baqup_agent.cli.text import count, duration, printable, size
from baqup_agent.cli.views.phrases import signal_name
from baqup_agent.controller.picture import text_of
from baqup_agent.controller.run import JobReport
from baqup_agent.controller.verdict import Outcome
from baqup_agent.staging.artifact import Artifact

#: A label, a text, and the word that the live view chooses a colour by.
SummaryLine = tuple[str, str, str]

#: Characters of a checksum that are shown.
_CHECKSUM_SHOWN = 12

#: Most components and problems that are listed.
_MOST_LISTED = 10


def summary_lines(report: JobReport) -> Iterator[SummaryLine]:
    """Yield the lines of the summary; one without a label is a headline."""
    yield "", headline(report), report.verdict.outcome
    for reason in report.verdict.reasons:
        yield "because", printable(reason), report.verdict.outcome
    yield "job", report.plan.job_id, ""
    yield "directory", printable(str(report.plan.directory)), ""
    yield from _artifacts(report)
    yield from _problems(report)
    yield from _components(report.status or {})
    if report.picture.warnings:
        tallies = report.picture.warnings.items()
        yield "warnings", ", ".join(f"{printable(code)} x{n:,}" for code, n in tallies), "warn"
    yield from _error(report)
    for note in report.notes:
        yield "note", printable(note), ""


def headline(report: JobReport) -> str:
    """The verdict in one line."""
    plan, exit_ = report.plan, report.exit
    ended = f"exit {exit_.code}" if exit_.code is not None else signal_name(exit_.signal or 0)
    what = f"{printable(plan.agent.label)} {printable(plan.role)}"
    return f"{report.verdict.outcome}: {what}, {ended}, {duration(report.duration_s)}"


def artifact_text(artifact: Artifact) -> str:
    """Name, size and the beginning of the checksum of one artifact."""
    checksum = f"{artifact.checksum_algorithm} {artifact.checksum_value[:_CHECKSUM_SHOWN]}…"
    return f"{printable(artifact.filename)}  {size(artifact.size_bytes)}  {checksum}"


def _artifacts(report: JobReport) -> Iterator[SummaryLine]:
    found = report.verification
    if found is None or found.manifest is None:
        yield "artifacts", "none: there is no manifest", ""
        return
    for check in found.checks:
        word = Outcome.FAILED if check.problem else ""
        yield "artifact", artifact_text(check.artifact), word


def _problems(report: JobReport) -> Iterator[SummaryLine]:
    problems = report.verification.problems if report.verification else ()
    for problem in problems[:_MOST_LISTED]:
        yield "problem", printable(problem), Outcome.FAILED
    if len(problems) > _MOST_LISTED:
        yield "problem", f"… and {len(problems) - _MOST_LISTED} more", Outcome.FAILED


def _components(status: Mapping[str, Any]) -> Iterator[SummaryLine]:
    components = status.get("components")
    if not isinstance(components, list):
        return
    bad = [c for c in components if isinstance(c, dict) and c.get("status") != "succeeded"]
    total = count(len(components), "component")
    yield "components", f"{total}, {len(components) - len(bad)} succeeded", ""
    for component in bad[:_MOST_LISTED]:
        yield "component", _component_text(component), Outcome.FAILED


def _component_text(component: Mapping[str, Any]) -> str:
    error = component.get("error")
    parts = [text_of(component, "name") or "?", text_of(component, "status") or "?"]
    if isinstance(error, dict):
        parts += [text_of(error, "code") or "", text_of(error, "message") or ""]
    return printable(" ".join(part for part in parts if part))


def _error(report: JobReport) -> Iterator[SummaryLine]:
    error = (report.status or {}).get("error")
    if isinstance(error, dict):
        code, message = text_of(error, "code") or "?", text_of(error, "message") or ""
        yield "error", printable(f"{code}: {message}"), Outcome.FAILED
        suggestions = error.get("suggestions")
        for suggestion in suggestions if isinstance(suggestions, list) else ():
            yield "try", printable(str(suggestion)), ""
    elif report.verdict.outcome in (Outcome.FAILED, Outcome.LOST) and report.last_words:
        yield "last words", printable(report.last_words), Outcome.FAILED
    if report.verdict.exit_code:
        yield "more", f"baqup-agent explain {report.verdict.exit_code}", ""
