"""A run's timeline as a drawn strip: lanes of states, bus, signals, messages, files and output."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from attrs import frozen

from baqup_agent.conformance.report_html_markup import element, shortened
from baqup_agent.conformance.report_html_words import seconds
from baqup_agent.conformance.seen import RunRecord
from baqup_agent.conformance.timeline import Entry

#: Units of the drawing: the whole width, the column of names, the room at the right edge.
_WIDTH, _LEFT, _RIGHT = 960, 84, 26

#: The height of a lane, and of the axis.
_LANE, _AXIS = 26, 24

#: Marks of one lane that are drawn; so many lie on each other anyway.
_MOST_MARKS = 300

#: Steps of the axis per run, about.
_STEPS = 8

#: Room that a letter takes, in units.
_LETTER = 6.6

#: Each lane and the kinds of entries that it shows.
_LANES = (
    ("state", ("state",)),
    ("bus", ("bus",)),
    ("signals", ("signal",)),
    ("messages", ("message",)),
    ("files", ("file",)),
    ("output", ("stdout", "stderr")),
)

_SPANS = {"state", "bus"}

_STATES = {"initializing", "running", "completing", "terminated", "failed"}

_MESSAGES = {"heartbeat", "progress", "status", "event"}


@frozen
class _Scale:
    """Turns seconds of a run into units of the drawing."""

    length_s: float

    def at(self, offset_s: float) -> float:
        share = min(1.0, max(0.0, offset_s / self.length_s))
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def strip(run: RunRecord) -> ET.Element:
    """Draw a run."""
    lanes = [(name, found) for name, kinds in _LANES if (found := _of(run, kinds))]
    last_s = max((one.at_s - run.began_at_s for one in run.entries), default=0.0)
    scale = _Scale(max(last_s, 0.05))
    height = max(1, len(lanes)) * _LANE + _AXIS
    parts = [element("title", f"Timeline of a run of {seconds(last_s)}")]
    parts += _axis(scale, height - _AXIS)
    for row, (name, entries) in enumerate(lanes):
        parts += _lane(name, entries, row * _LANE, run.began_at_s, scale)
    parts += _ends(run, scale, height - _AXIS)
    return element("svg", *parts, class_="strip", viewBox=f"0 0 {_WIDTH} {height}", role="img")


def _of(run: RunRecord, kinds: Sequence[str]) -> list[Entry]:
    return [one for one in run.entries if one.kind in kinds]


def _axis(scale: _Scale, height: int) -> Iterator[ET.Element]:
    step_s = _round_step(scale.length_s / _STEPS)
    for number in range(int(scale.length_s / step_s) + 1):
        x = scale.at(number * step_s)
        yield element("line", x1=x, x2=x, y1=0, y2=height, class_="grid")
        label = f"{number * step_s:g} s"
        yield element("text", label, x=x, y=height + 16, text_anchor="middle", class_="tick")


def _round_step(length_s: float) -> float:
    """Return the next of 1, 2, 5, 10 … at or above a length."""
    power = 10.0 ** math.floor(math.log10(length_s))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= length_s * 0.999)


def _lane(
    name: str, entries: Sequence[Entry], top: int, began_s: float, scale: _Scale
) -> Iterator[ET.Element]:
    yield element("text", name, x=0, y=top + 17, class_="lane")
    if top:
        yield element("line", x1=0, x2=_WIDTH, y1=top, y2=top, class_="rule")
    draw = _spans if name in _SPANS else _marks
    yield from draw(entries, top, began_s, scale)


def _spans(
    entries: Sequence[Entry], top: int, began_s: float, scale: _Scale
) -> Iterator[ET.Element]:
    """Draw what lasts until the next of its kind."""
    shown = entries[:_MOST_MARKS]
    starts = [scale.at(one.at_s - began_s) for one in shown]
    for entry, x, end in zip(shown, starts, [*starts[1:], scale.at(scale.length_s)], strict=True):
        width = max(2.0, round(end - x, 1))
        word = entry.text.split()[0] if entry.text.split() else ""
        kind = word if word in _STATES else entry.kind
        bar = element("rect", x=x, y=top + 4, width=width, height=18, rx=3, class_=f"s-{kind}")
        label = _fitting(entry.text, width)
        text = element("text", label, x=x + 5, y=top + 17, class_="in") if label else None
        yield element("g", _title(entry, began_s), bar, text)


def _fitting(text: str, width: float) -> str:
    letters = int((width - 8) / _LETTER)
    return shortened(text, letters) if letters > 1 else ""


def _marks(
    entries: Sequence[Entry], top: int, began_s: float, scale: _Scale
) -> Iterator[ET.Element]:
    """Draw what happens at a moment; signals say their names where there is room."""
    free = 0.0
    for entry in _thinned(entries):
        x = scale.at(entry.at_s - began_s)
        parts = [_title(entry, began_s), _mark(entry, x, top)]
        if entry.kind == "signal" and x >= free:
            name = shortened(entry.text.removeprefix("SIG"), 12)
            left = x + len(name) * _LETTER > _WIDTH - 12
            free = x + len(name) * _LETTER + 14
            anchor, at = ("end", x - 7) if left else ("start", x + 7)
            parts.append(element("text", name, x=at, y=top + 17, text_anchor=anchor, class_="name"))
        yield element("g", *parts)


def _mark(entry: Entry, x: float, top: int) -> ET.Element:
    middle = top + 13
    if entry.kind == "signal":
        points = f"{x - 5},{middle - 7} {x + 5},{middle - 7} {x},{middle + 6}"
        return element("polygon", points=points, class_="k-signal")
    if entry.kind == "message":
        word = entry.text.split()[0] if entry.text.split() else ""
        kind = word if word in _MESSAGES else "other"
        return element("circle", cx=x, cy=middle, r=4.5, class_=f"m-{kind}")
    if entry.kind == "file":
        kind = "k-manifest" if is_manifest(entry) else "k-file"
        shape = {"x": x - 4, "y": middle - 5, "width": 8, "height": 10, "rx": 1.5}
        return element("rect", **shape, class_=kind)
    line = {"x1": x, "x2": x, "y1": middle - 7, "y2": middle + 7}
    return element("line", **line, class_=f"k-{entry.kind}")


def is_manifest(entry: Entry) -> bool:
    """Whether a completion signal appeared: the file that makes a backup one."""
    told = entry.data
    return (
        entry.kind == "file"
        and isinstance(told, tuple)
        and told[0] in ("created", "moved here")
        and told[1].count("/") == 1
        and told[1].endswith("/manifest.json")
    )


def _thinned(entries: Sequence[Entry]) -> Sequence[Entry]:
    step = math.ceil(len(entries) / _MOST_MARKS)
    return entries if step <= 1 else [*entries[::step], entries[-1]]


def _ends(run: RunRecord, scale: _Scale, height: int) -> Iterator[ET.Element]:
    for entry in _of(run, ("exit",)):
        x = scale.at(entry.at_s - run.began_at_s)
        line = element("line", x1=x, x2=x, y1=0, y2=height, class_="end")
        yield element("g", _title(entry, run.began_at_s), line)


def _title(entry: Entry, began_s: float) -> ET.Element:
    what = f"{entry.at_s - began_s:.3f} s  {entry.kind}: {shortened(entry.text, 300)}"
    return element("title", what)
