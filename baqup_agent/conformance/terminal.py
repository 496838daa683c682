"""A report for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from baqup_agent.conformance.check import Check
from baqup_agent.conformance.report import Outcome, Report, Result
from baqup_agent.conformance.seen import RunRecord

_STYLES = {
    Outcome.PASS: "green",
    Outcome.FAIL: "bold red",
    Outcome.NOT_APPLICABLE: "dim",
    Outcome.BYPASSED: "yellow",
    Outcome.ERROR: "bold magenta",
}

_WORDS = {
    Outcome.PASS: "pass",
    Outcome.FAIL: "FAIL",
    Outcome.NOT_APPLICABLE: "n/a",
    Outcome.BYPASSED: "bypass",
    Outcome.ERROR: "ERROR",
}

#: Lines of evidence, and entries of a timeline's end, that one failure shows.
_EVIDENCE = 12
_ENTRIES = 15

#: Characters of one of them.
_WIDTH = 160


class Terminal:
    """Writes results as they come, and the verdict at the end.

    Args:
        console: where to.
        strict: whether a broken SHOULD counts.
    """

    def __init__(self, console: Console, *, strict: bool = False) -> None:
        self._console = console
        self._strict = strict

    def told(self, result: Result) -> None:
        """Write one result."""
        line = Text()
        line.append(f"{_WORDS[result.outcome]:>6} ", _STYLES[result.outcome])
        line.append(f"{result.check.id:<36}")
        line.append(f" {result.duration_s:5.1f} s", "dim")
        if result.round_number > 1:
            line.append(f" [{result.round_number}]", "dim")
        if result.check.level == "SHOULD" and result.outcome is Outcome.FAIL:
            line.append(" SHOULD", "yellow")
        if result.message:
            line.append(f"  {_short(result.message)}", "dim")
        self._say(line)

    def report(self, report: Report) -> None:
        """Write what failed with its evidence, a line for each section, and the verdict."""
        for one in report.results:
            if one.outcome in (Outcome.FAIL, Outcome.ERROR):
                self._explain(one)
        self._say(Text())
        for section, results in groupby(report.results, lambda one: one.check.section):
            self._section(section, list(results))
        self._say(Text())
        self._verdict(report)

    def _explain(self, result: Result) -> None:
        self._say(Text())
        self._say(Text(f"{_WORDS[result.outcome]} {result.check.id}", _STYLES[result.outcome]))
        self._say(Text(f"  seen    {result.message}"))
        self._say(Text(f"  rule    {result.check.rule} ({result.check.source})"))
        self._say(Text(f"  remedy  {result.check.remedy}"))
        for line in result.evidence[:_EVIDENCE]:
            self._say(Text(f"  | {_short(line)}", "dim"))
        for run in result.runs[-1:]:
            self._say(Text(f"  run     {' '.join(run.command)}"))
            for line in timeline_lines(run, _ENTRIES):
                self._say(Text(f"  {_short(line)}", "dim"))

    def _section(self, section: str, results: Sequence[Result]) -> None:
        line = Text(f"{section:<10} ")
        for outcome in Outcome:
            number = sum(one.outcome is outcome for one in results)
            if number:
                line.append(f" {number} {outcome}", _STYLES[outcome])
        self._say(line)

    def _verdict(self, report: Report) -> None:
        name = f"{report.agent} {report.version}".strip() or " ".join(report.command)
        style = ("bold green", "bold red", "bold magenta")[report.exit_code]
        line = Text(f"{name} {report.verdict}", style)
        line.append(f"  {len(report.results)} checks, {report.duration_s:.1f} s", "dim")
        line.append(f", --seed {report.seed}", "dim")
        self._say(line)

    def _say(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)


def timeline_lines(run: RunRecord, most: int) -> list[str]:
    """Return the end of a run's timeline as lines: seconds since its start, kind, text."""
    shown = run.entries[-most:]
    left_out = len(run.entries) - len(shown) + run.dropped
    lines = [f"… {left_out} earlier entries"] if left_out else []
    return lines + [
        f"{one.at_s - run.began_at_s:9.3f} s  {one.kind:<8} {one.text}" for one in shown
    ]


def list_lines(checks: Iterable[Check]) -> list[str]:
    """Return a line for each check: id, level, tier, rule."""
    return [f"{one.id:<36} {one.level:<6} {one.tier}  {one.rule}" for one in checks]


def explain_lines(one: Check) -> list[str]:
    """Return all that there is to say of a check."""
    alone = ", runs alone because it measures time" if one.exclusive else ""
    return [
        f"{one.id}  ({one.level}, tier {one.tier}{alone})",
        f"rule    {one.rule}",
        f"source  {one.source}",
        f"how     {one.how}",
        f"remedy  {one.remedy}",
    ]


def _short(text: str) -> str:
    line = " ".join(text.split()) if "\n" in text else text
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
