"""A report as JUnit XML, which continuous integration systems show."""

from __future__ import annotations

import re
from itertools import groupby
from xml.etree import ElementTree as ET

from baqup_agent.conformance.report import Outcome, Report, Result

#: What XML 1.0 cannot hold, and an agent may well have written.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: Report) -> str:
    """Return a report as XML: a suite for each section, a case for each result."""
    root = ET.Element("testsuites", name=f"conformance of {report.agent or report.command[0]}")
    for section, results in groupby(report.results, lambda one: one.check.section):
        cases = list(results)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=section,
            tests=str(len(cases)),
            failures=str(sum(_failed(report, one) for one in cases)),
            errors=str(sum(one.outcome is Outcome.ERROR for one in cases)),
            skipped=str(sum(_skipped(report, one) for one in cases)),
            time=f"{sum(one.duration_s for one in cases):.3f}",
        )
        for one in cases:
            _case(suite, report, one)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, report: Report, result: Result) -> None:
    again = f" [{result.round_number}]" if result.round_number > 1 else ""
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"conformance.{result.check.section}",
        name=_clean(result.check.id + again),
        time=f"{result.duration_s:.3f}",
    )
    text = "\n".join([f"{result.check.rule} ({result.check.source})", *result.evidence])
    if _failed(report, result):
        ET.SubElement(case, "failure", message=_clean(result.message)).text = _clean(text)
    elif result.outcome is Outcome.ERROR:
        ET.SubElement(case, "error", message=_clean(result.message)).text = _clean(text)
    elif _skipped(report, result):
        ET.SubElement(case, "skipped", message=_clean(f"{result.outcome}: {result.message}"))


def _failed(report: Report, result: Result) -> bool:
    return result.outcome is Outcome.FAIL and report.counts(result)


def _skipped(report: Report, result: Result) -> bool:
    """A broken SHOULD that does not count shows as skipped, with what was seen."""
    if result.outcome is Outcome.FAIL:
        return not report.counts(result)
    return result.outcome in (Outcome.NOT_APPLICABLE, Outcome.BYPASSED)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
