"""The checks of the HTML report: the matrix by section, the filter, and what is known of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from xml.etree import ElementTree as ET

from baqup_agent.conformance.check import Level
from baqup_agent.conformance.report import Outcome, Report, Result
from baqup_agent.conformance.report_html_markup import element, group, shortened
from baqup_agent.conformance.report_html_run import run_section
from baqup_agent.conformance.report_html_words import FACES, Face, face, seconds, worst

#: Runs of one check whose timelines are shown, the last ones; sweeps have hundreds.
_RUNS = 4

#: Lines of evidence, and characters of one.
_LINES, _LINE = 60, 1000

#: Outcomes whose evidence is shown.
_TOLD = (Outcome.FAIL, Outcome.ERROR)


def by_check(report: Report) -> list[list[Result]]:
    """Return the rounds of each check."""
    return [list(rounds) for _, rounds in groupby(report.results, lambda one: one.check.id)]


def anchor(result: Result) -> str:
    """Return the address of a check in the page."""
    return result.check.id.replace("/", "-")


def matrix(report: Report) -> ET.Element:
    """Return a row for each section, and in it a cell for each check."""
    rows = []
    for section, checks in groupby(by_check(report), lambda one: one[0].check.section):
        cells = [_cell(report, rounds) for rounds in checks]
        row = element("ul", *cells, aria_label=f"Checks of {section}")
        rows.append(element("div", element("h3", section), row, class_="section"))
    return group(rows, class_="matrix")


def _cell(report: Report, rounds: Sequence[Result]) -> ET.Element:
    result = worst(report, rounds)
    look = face(report, result)
    said = f": {shortened(result.message, 200)}" if result.message else ""
    link = element(
        "a",
        element("span", look.sign, class_="sign", aria_hidden="true"),
        element("span", str(result.check.number), class_="of"),
        element("span", f" {result.check.slug}: {look.word}", class_="unseen"),
        href=f"#{anchor(result)}",
        title=f"{result.check.id} ({result.check.level}): {look.word}{said}",
        class_=f"cell v-{look.key} l-{result.check.level.lower()}",
    )
    return element("li", link, data_v=look.key, data_l=result.check.level.lower())


def legend() -> ET.Element:
    """Explain the signs."""
    return group(
        (
            element(
                "span", element("b", one.sign, class_=f"badge v-{one.key}"), f" {one.word}",
                title=one.tells,
            )
            for one in FACES
        ),
        "p",
        class_="legend",
    )  # fmt: skip


# -- the filter ---------------------------------------------------------------------------


def filters(report: Report) -> ET.Element:
    """Return buttons that work without a script: style sheets see which one is pressed."""
    shown = [(face(report, worst(report, one)), one[0].check.level) for one in by_check(report)]
    looks = Counter(look.key for look, _ in shown)
    levels = Counter(level for _, level in shown)
    verdicts = [("all", f"all {len(shown)}")]
    verdicts += [(one.key, f"{one.sign} {one.word} {looks[one.key]}") for one in FACES
                 if looks[one.key]]  # fmt: skip
    chosen = [("all", "MUST and SHOULD")]
    chosen += [(one.lower(), f"{one} {levels[one]}") for one in Level if levels[one]]
    return element(
        "form",
        _choice("v", "Verdict", verdicts),
        _choice("l", "Level", chosen),
        class_="filters",
    )


def _choice(name: str, title: str, options: Sequence[tuple[str, str]]) -> ET.Element:
    return group((_title(title), *(_option(name, key, text) for key, text in options)), "fieldset")


def _title(text: str) -> ET.Element:
    return element("legend", text)


def _option(name: str, key: str, text: str) -> ET.Element:
    button = element(
        "input", type="radio", name=name, id=f"{name}-{key}", value=key, checked=key == "all"
    )
    return element("label", button, element("span", text))


def filter_rules(report: Report) -> Iterator[str]:
    """Return the style sheet's part that carries the filter out."""
    keys = [one.key for one in FACES]
    levels = [one.lower() for one in Level]
    there = {(face(report, worst(report, one)).key, one[0].check.level.lower())
             for one in by_check(report)}  # fmt: skip
    for name, values in (("v", keys), ("l", levels)):
        for one in values:
            pressed = f"body:has(#{name}-{one}:checked)"
            yield f'{pressed} article:not([data-{name}="{one}"]) {{ display: none }}'
            yield f'{pressed} li:not([data-{name}="{one}"]) {{ opacity: .16 }}'
    for key in keys:
        for level in levels:
            if (key, level) not in there:
                both = f"body:has(#v-{key}:checked):has(#l-{level}:checked)"
                yield f"{both} .nothing {{ display: block }}"


# -- what is known of each check ----------------------------------------------------------


def cards(report: Report) -> ET.Element:
    """Return everything about each check; those that failed are open."""
    order = [one.key for one in FACES[:3]]  # what went wrong comes first, the rest as it is
    checks = sorted(
        by_check(report), key=lambda one: _rank(order, face(report, worst(report, one)))
    )
    made = [_card(report, rounds) for rounds in checks]
    nothing = element("p", "No check is both.", class_="nothing")
    return group((*made, nothing), class_="cards")


def _rank(order: Sequence[str], look: Face) -> int:
    return order.index(look.key) if look.key in order else len(order)


def _card(report: Report, rounds: Sequence[Result]) -> ET.Element:
    result = worst(report, rounds)
    look = face(report, result)
    return element(
        "article",
        element(
            "details",
            _headline(result, look, rounds),
            _facts(result),
            *(_told(report, one) for one in rounds if one.outcome in _TOLD),
            open=result.outcome in _TOLD,
        ),
        class_=f"card v-{look.key}",
        data_v=look.key,
        data_l=result.check.level.lower(),
    )


def _headline(result: Result, look: Face, rounds: Sequence[Result]) -> ET.Element:
    took = seconds(sum(one.duration_s for one in rounds))
    alike = sum(one.outcome is result.outcome for one in rounds)
    often = f"{alike} of {len(rounds)} rounds · " if len(rounds) > 1 else ""
    one = result.check
    return element(
        "summary",
        element("b", look.sign, class_=f"badge v-{look.key}", aria_hidden="true"),
        element("span", f"{look.word}: ", class_="unseen"),
        element("code", one.id, class_="id"),
        element("span", one.rule, class_="rule"),
        element("span", f"{often}{one.level} · tier {one.tier} · {took}", class_="meta"),
    )


def _facts(result: Result) -> ET.Element:
    one = result.check
    seen = {Outcome.NOT_APPLICABLE: "Why not", Outcome.BYPASSED: "Reason"}.get(result.outcome)
    pairs = [(seen, result.message)] if seen and result.message else []
    pairs += [("Source", one.source), ("How it is checked", one.how)]
    if result.outcome not in _TOLD:
        pairs.append(("If it fails", one.remedy))
    # In here and not on the card: a browser opens what a link leads into.
    return _pairs(pairs, anchor(result))


def _pairs(pairs: Sequence[tuple[str, str]], name: str | None = None) -> ET.Element:
    cells = [(element("dt", name), element("dd", text)) for name, text in pairs]
    return group((part for pair in cells for part in pair), "dl", id=name)


def _told(report: Report, result: Result) -> ET.Element:
    """Return what was seen of a broken rule, and what to do."""
    which = f"Round {result.round_number}: " if result.round_number > 1 else ""
    fault = result.outcome is Outcome.ERROR
    to_do = (
        "This is a failure of the suite or of the machine, not of the agent; run it again, and "
        "report it if it returns."
        if fault
        else result.check.remedy
    )
    return element(
        "div",
        element("p", element("b", which or None), result.message, class_="seen"),
        _pairs([("What to do", to_do)]),
        _evidence(result),
        *_runs(result),
        class_=f"told v-{face(report, result).key}",
    )


def _evidence(result: Result) -> ET.Element | None:
    lines = [shortened(line, _LINE) for line in result.evidence[:_LINES]]
    if len(result.evidence) > _LINES:
        lines.append(f"… {len(result.evidence) - _LINES} lines more are in the JSON report")
    return element("pre", "\n".join(lines), tabindex="0") if lines else None


def _runs(result: Result) -> Iterator[ET.Element]:
    shown = result.runs[-_RUNS:]
    first = len(result.runs) - len(shown) + 1
    for number, run in enumerate(shown, first):
        name = "Run" if len(result.runs) == 1 else f"Run {number} of {len(result.runs)}"
        yield run_section(run, name, opened=run is shown[-1])
    if first > 1:
        yield element("p", f"{first - 1} runs before these are in the JSON report.", class_="gap")
