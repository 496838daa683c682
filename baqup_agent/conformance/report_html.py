"""A report as one HTML page: it needs nothing beside itself, and no script.

The page's policy forbids every foreign resource and every script, should a text of an agent ever
come to be more than text.
"""

from __future__ import annotations

import shlex
from xml.etree import ElementTree as ET

from baqup_agent.conformance.report import Outcome, Report
from baqup_agent.conformance.report_html_markup import element, group, shortened, to_text
from baqup_agent.conformance.report_html_matrix import (
    by_check,
    cards,
    filter_rules,
    filters,
    legend,
    matrix,
)
from baqup_agent.conformance.report_html_style import STYLE
from baqup_agent.conformance.report_html_words import FACES, face, seconds, worst

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_SIGNS = ("✓", "✗", "!")
_KEYS = ("pass", "fail", "error")


def to_html(report: Report) -> str:
    """Return a report as a page."""
    body = element(
        "body",
        element("header", _verdict(report), _bar(report), _facts(report)),
        element(
            "main",
            element("section", element("h2", "Rules by section"), legend(), matrix(report)),
            element("section", element("h2", "Checks"), filters(report), cards(report)),
        ),
        element("footer", "Written by baqup-agent conform."),
    )
    return to_text(element("html", _head(report), body, lang="en"))


def _head(report: Report) -> ET.Element:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{_name(report)} {report.verdict}"),
        element("style", "\n".join([STYLE, *filter_rules(report)])),
    )


def _name(report: Report) -> str:
    return f"{report.agent} {report.version}".strip() or shortened(shlex.join(report.command), 80)


def _verdict(report: Report) -> ET.Element:
    key = _KEYS[report.exit_code]
    return element(
        "div",
        element("span", _SIGNS[report.exit_code], class_="big", aria_hidden="true"),
        element(
            "div",
            element("p", "Conformance with the baqup agent contract", class_="kicker"),
            element("h1", _name(report), " ", element("em", report.verdict)),
            element("p", _summary(report)),
        ),
        class_=f"verdict v-{key}",
    )


def _summary(report: Report) -> str:
    """Say in a sentence or two what came of it."""
    counts = report.tally()
    passed, judged = counts[Outcome.PASS], counts[Outcome.PASS] + counts[Outcome.FAIL]
    words = ["No rule could be held against it."]
    if judged:
        words = [f"{passed} of {judged} {_plural(judged, 'check')} that could be judged passed."]
    if warned := counts[Outcome.FAIL] - len(report.failures):
        words.append(f"{warned} broken SHOULD {_plural(warned, 'rule')} would count with --strict.")
    if report.errors:
        words.append(f"{_count(len(report.errors), 'check')} ended in an error of the suite.")
    return " ".join(words)


def _count(number: int, word: str) -> str:
    return f"{number} {_plural(number, word)}"


def _plural(number: int, word: str) -> str:
    return word if number == 1 else f"{word}s"


def _bar(report: Report) -> ET.Element:
    """Return the shares of the outcomes as one bar."""
    shown = [face(report, worst(report, one)) for one in by_check(report)]
    parts = [
        element(
            "span",
            f"{one.sign} {number}",
            class_=f"v-{one.key}",
            style=f"flex-grow: {number}",
            title=f"{number} {one.word}",
        )
        for one in FACES
        if (number := shown.count(one))
    ]
    return group(parts, class_="bar", role="img", aria_label=_summary(report))


def _facts(report: Report) -> ET.Element:
    form = "full" if report.full else f"short, intervals times {report.time_scale:g}"
    again = f"baqup-agent conform --seed {report.seed}{' --full' if report.full else ''}"
    again += " --strict" * report.strict + " --complete" * report.complete
    again += f" -- {shlex.join(report.command)}"
    pairs = [
        ("Began", report.began_at[:19].replace("T", " ") + " UTC"),
        ("Took", seconds(report.duration_s)),
        ("Form", form + (", strict" if report.strict else "")),
        ("Seed", str(report.seed)),
    ]
    cells = [element("div", element("dt", name), element("dd", text)) for name, text in pairs]
    command = element("code", shortened(again, 600))
    cells.append(element("div", element("dt", "Again"), element("dd", command), class_="again"))
    return group(cells, "dl", class_="facts")
