"""One run of an agent in the HTML report: how it was started, the strip, and what was seen."""

from __future__ import annotations

import json
import shlex
from xml.etree import ElementTree as ET

from baqup_agent.conformance.report_html_markup import element, group, shortened
from baqup_agent.conformance.report_html_strip import is_manifest, strip
from baqup_agent.conformance.report_html_words import seconds
from baqup_agent.conformance.seen import RunRecord
from baqup_agent.conformance.timeline import Entry

#: Entries of a run's beginning and end that its table shows; the JSON report has all.
_HEAD, _TAIL = 40, 160

#: Characters of an entry.
_TEXT = 600

#: Members of a message that its row shows no second time.
_KNOWN = {"type", "seq", "job_id", "agent_id", "timestamp"}


def run_section(run: RunRecord, name: str, *, opened: bool) -> ET.Element:
    """Return a run that opens and closes."""
    return element(
        "details",
        element("summary", element("b", name), f" · {_end(run)} · ", _command(run)),
        element("div", strip(run), class_="scroll", tabindex="0", aria_label="Timeline, drawn"),
        _legend(run),
        _table(run),
        _environment(run),
        class_="run",
        open=opened,
    )


def _end(run: RunRecord) -> str:
    ends = [one for one in run.entries if one.kind == "exit"]
    if not ends:
        return "the suite ended it"
    return f"{ends[-1].text} after {seconds(ends[-1].at_s - run.began_at_s)}"


def _command(run: RunRecord) -> ET.Element:
    return element("code", shortened(shlex.join(run.command), 400))


def _legend(run: RunRecord) -> ET.Element:
    """Explain the marks that this run has."""
    kinds = {one.kind for one in run.entries}
    words = {one.text.partition(" ")[0] for one in run.entries if one.kind == "message"}
    marks = [
        ("k-signal", "▼", "signal sent to it", "signal" in kinds),
        *((f"m-{one}", "●", one, one in words) for one in ("heartbeat", "progress")),
        *((f"m-{one}", "●", one, one in words) for one in ("event", "status")),
        ("k-file", "▮", "file created, written, moved", "file" in kinds),
        ("k-manifest", "▮", "manifest.json published", any(map(is_manifest, run.entries))),
        ("k-stderr", "|", "line of output", bool(kinds & {"stdout", "stderr"})),
        ("end", "┃", "its end", "exit" in kinds),
    ]
    return group(
        (
            element("span", element("i", sign, class_=kind, aria_hidden="true"), f" {text}")
            for kind, sign, text, there in marks
            if there
        ),
        "p",
        class_="legend",
    )


def _table(run: RunRecord) -> ET.Element:
    head = element("tr", *(element("th", one, scope="col") for one in ("seconds", "kind", "what")))
    entries = run.entries
    left_out = len(entries) - _HEAD - _TAIL
    rows = [_row(one, run.began_at_s) for one in (entries if left_out <= 0 else entries[:_HEAD])]
    if left_out > 0:
        rows.append(_gap(f"{left_out} entries are left out here; the JSON report has them"))
        rows += [_row(one, run.began_at_s) for one in entries[-_TAIL:]]
    if run.dropped:
        rows.append(_gap(f"{run.dropped} further entries were not kept"))
    table = element("table", element("thead", head), element("tbody", *rows))
    return element("div", table, class_="log", tabindex="0", aria_label="Timeline, as a table")


def _gap(text: str) -> ET.Element:
    return element("tr", element("td", f"… {text}", colspan="3"), class_="gap")


def _row(entry: Entry, began_s: float) -> ET.Element:
    return element(
        "tr",
        element("td", f"{entry.at_s - began_s:.3f}", class_="number"),
        element("td", entry.kind, class_="kind"),
        element("td", shortened(entry.text, _TEXT), _body(entry)),
        class_=f"e-{entry.kind}" if entry.kind.isidentifier() else None,
    )


def _body(entry: Entry) -> ET.Element | None:
    """Return the members of a message."""
    body = getattr(entry.data, "body", None)
    if entry.kind != "message" or not isinstance(body, dict):
        return None
    told = {name: value for name, value in body.items() if name not in _KNOWN}
    text = json.dumps(told, ensure_ascii=False, default=repr, separators=(", ", ": "))
    return element("code", shortened(text, _TEXT), class_="body")


def _environment(run: RunRecord) -> ET.Element | None:
    if not run.environment:
        return None
    rows = [
        element("tr", element("th", name, scope="row"), element("td", shortened(value, _TEXT)))
        for name, value in sorted(run.environment.items())
    ]
    return element(
        "details",
        element("summary", f"{len(rows)} variables that the suite set"),
        element("div", element("table", element("tbody", *rows)), class_="log environment"),
    )
