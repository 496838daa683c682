"""Where the time of a run went: its stays in each leaf, as text and as a picture."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.diagrams.captions import duration_text, printable
from baqup_agent.lifecycle.diagrams.colours import INK, SOFT, STROKE
from baqup_agent.lifecycle.diagrams.columns import columns, cut, padded, wrapped
from baqup_agent.lifecycle.diagrams.elements import line_of_text, opening
from baqup_agent.lifecycle.diagrams.fonts import text_width
from baqup_agent.lifecycle.diagrams.overlay import Mark
from baqup_agent.lifecycle.diagrams.trace import Trace

#: Width of the text, columns.
WIDTH = 80

#: Widest name in the text, columns.
_NAME = 30

_EIGHTHS = " ▏▎▍▌▋▊▉█"

#: Distances between the ticks of a picture's axis, seconds.
_TICKS_S = (
    *(base * 10.0**power for power in range(-3, 1) for base in (1, 2, 5)),
    *(10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0),
    *(3600.0 * hours for hours in (1, 2, 4, 6, 12, 24, 48, 96, 240, 1000, 10000)),
)

#: Most ticks on an axis.
_MOST_TICKS = 10

_PHASE_COLOURS = {
    AgentState.INITIALIZING.value: "#8fa8c4",
    AgentState.RUNNING.value: "#2f6fb2",
    AgentState.COMPLETING.value: "#2a9d76",
}

_ROW, _BAR, _AXIS = 26.0, 14.0, 620.0


@frozen
class Row:
    """All stays in one leaf.

    Attributes:
        leaf: its name.
        stays: each stay as its beginning and end, seconds since the run began.
    """

    leaf: str
    stays: tuple[tuple[float, float], ...]

    @property
    def total_s(self) -> float:
        """The sum of the stays, seconds."""
        return sum(end - start for start, end in self.stays)


@frozen
class Timeline:
    """A run as stays in leaves.

    Attributes:
        rows: by leaf, in the order of the first visit; final states have none.
        total_s: from the beginning to the last instant known, seconds.
        trace: the run.
    """

    rows: tuple[Row, ...]
    total_s: float
    trace: Trace

    @property
    def heading(self) -> str:
        """Whose run it was."""
        trace = self.trace
        who = " ".join(filter(None, (trace.agent, trace.role))) or "A run"
        job = f", job {trace.job_id}" if trace.job_id else ""
        return printable(f"{who}{job}")

    @property
    def ending(self) -> str:
        """How long the run took, and how it ended."""
        end = self.trace.end
        took = duration_text(self.total_s)
        if end is None:
            return f"{took} up to the last line; no end in the trace, last in {self.trace.state}"
        code = f"{printable(end.error_code)}, " if end.error_code else ""
        return f"{took}; ended with {code}exit {end.exit_code}"

    @property
    def failed(self) -> bool:
        """Whether it ended in ``failed``."""
        return self.trace.state.partition(".")[0] == AgentState.FAILED


def timeline(trace: Trace) -> Timeline:
    """Return the stays of a run.

    Args:
        trace: the run; without an end, it lasts up to the last line.
    """
    stays: dict[str, list[tuple[float, float]]] = {}
    leaf, since = trace.initial, trace.began_s
    ends = [(step.monotonic_s, step.target) for step in trace.steps]
    for until, following in (*ends, (trace.last_s, "")):
        if leaf.partition(".")[0] not in (AgentState.TERMINATED, AgentState.FAILED):
            stays.setdefault(leaf, []).append((since - trace.began_s, until - trace.began_s))
        leaf, since = following, until
    rows = tuple(Row(name, tuple(spans)) for name, spans in stays.items())
    return Timeline(rows, trace.last_s - trace.began_s, trace)


def timeline_text(trace: Trace) -> str:
    """Return the timeline as lines of at most 80 columns."""
    line = timeline(trace)
    return "\n".join(_text_lines(line)) + "\n"


def _text_lines(line: Timeline) -> Iterator[str]:
    for told in (line.heading, line.ending, *(f"note: {note}" for note in line.trace.notes)):
        yield from wrapped(told, WIDTH)
    yield ""
    name_width = min(max([len("leaf"), *(columns(printable(r.leaf)) for r in line.rows)]), _NAME)
    bar = WIDTH - name_width - 21
    span = duration_text(line.total_s)
    yield f"{'leaf':<{name_width}}  {'time':>11} {'share':>5} 0{span:>{bar}}"
    for row in line.rows:
        name = cut(printable(row.leaf), name_width)
        share = row.total_s / line.total_s if line.total_s else 0.0
        time = duration_text(row.total_s)
        cells = _cells(row, line.total_s, bar)
        yield f"{padded(name, name_width)}  {time:>11} {share:>5.0%} {cells}".rstrip()
        if len(row.stays) > 1:
            mean = duration_text(row.total_s / len(row.stays))
            longest = duration_text(max(end - start for start, end in row.stays))
            yield f"    {len(row.stays)} visits, {mean} each on average, {longest} at most"


def _cells(row: Row, total_s: float, count: int) -> str:
    """A bar of cells, each filled as far as its slice of time was spent in the leaf."""
    filled = [0.0] * count
    cell_s = total_s / count if total_s else 1.0
    for start, end in row.stays:
        first, last = int(start / cell_s), int(end / cell_s)
        for i in range(min(first, count - 1), min(last, count - 1) + 1):
            inside = min(end, (i + 1) * cell_s) - max(start, i * cell_s)
            # A stay too short for its cell is still to be seen.
            filled[i] += max(inside / cell_s, 1e-9 if end > start else 0.0)
    return "".join(_cell(share) for share in filled)


def _cell(share: float) -> str:
    if share <= 0:
        return " "
    return _EIGHTHS[min(max(round(share * 8), 1), 8)]


def timeline_svg(trace: Trace) -> str:
    """Return the timeline as an SVG picture: a row for each leaf, time to the right."""
    return "\n".join(_svg_lines(timeline(trace))) + "\n"


def _svg_lines(line: Timeline) -> Iterator[str]:
    heads = [line.ending, *(f"note: {note}" for note in line.trace.notes)]
    names = [printable(row.leaf) for row in line.rows]
    left = 40 + max([text_width(name, 12) for name in names], default=60.0)
    top = 62 + 18 * len(heads)
    width = max(left + _AXIS + 150, *(text_width(head, 12) + 48 for head in heads))
    width = max(width, text_width(line.heading, 16, bold=True) + 48)
    bottom = top + _ROW * len(line.rows)
    yield from opening(width, bottom + 30, line.heading)
    yield line_of_text(24, 34, line.heading, 16, INK, bold=True)
    for i, head in enumerate(heads):
        colour = STROKE[Mark.FAILED] if line.failed and i == 0 else SOFT
        yield line_of_text(24, 56 + 18 * i, head, 12, colour)
    yield from _axis(line, left, top, bottom)
    for i, row in enumerate(line.rows):
        yield from _bars(line, row, left, top + _ROW * i)
    if line.failed:
        x = left + _AXIS
        colour = STROKE[Mark.FAILED]
        line_down = f"M{x:.1f} {top - 4:.1f}V{bottom:.1f}"
        yield f'<path d="{line_down}" stroke="{colour}" stroke-width="2.4"/>'
    yield "</svg>"


def _axis(line: Timeline, left: float, top: float, bottom: float) -> Iterator[str]:
    total = line.total_s
    step = next((tick for tick in _TICKS_S if total / tick <= _MOST_TICKS), total or 1.0)
    count = int(total / step) + 1 if total else 1
    for i in range(count):
        x = left + (_AXIS * i * step / total if total else 0.0)
        yield f'<path d="M{x:.1f} {top - 4:.1f}V{bottom:.1f}" stroke="#d7dee6"/>'
        label = _tick(i * step)
        yield line_of_text(x, bottom + 16, label, 10.5, SOFT, anchor="middle")


def _tick(seconds: float) -> str:
    """A round time: ``10 s`` rather than ``10.0 s``."""
    whole = seconds in (0, 1) or (seconds < 60 and seconds == int(seconds))  # noqa: PLR2004
    return f"{seconds:g} s" if whole else duration_text(seconds)


def _bars(line: Timeline, row: Row, left: float, top: float) -> Iterator[str]:
    middle = top + _ROW / 2
    yield line_of_text(left - 12, middle + 4, printable(row.leaf), 12, INK, anchor="end")
    phase = row.leaf.partition(".")[0]
    colour = _PHASE_COLOURS.get(phase, SOFT)
    if line.failed and line.trace.steps and row.leaf == line.trace.steps[-1].source:
        colour = STROKE[Mark.FAILED]
    scale = _AXIS / line.total_s if line.total_s else 0.0
    y = middle - _BAR / 2
    for start, end in _merged(row, 0.5 / scale if scale else 0.0):
        wide = max((end - start) * scale, 1.0)
        yield (
            f'<rect x="{left + start * scale:.1f}" y="{y:.1f}" width="{wide:.1f}" '
            f'height="{_BAR:g}" rx="{min(3.0, wide / 2):.1f}" fill="{colour}"/>'
        )
    visits = f" in {len(row.stays)} visits" if len(row.stays) > 1 else ""
    time = f"{duration_text(row.total_s)}{visits}"
    yield line_of_text(left + _AXIS + 10, middle + 4, time, 11, INK)


def _merged(row: Row, gap_s: float) -> Iterator[tuple[float, float]]:
    """The stays, with those as one that no eye could tell apart."""
    start, end = row.stays[0]
    for next_start, next_end in row.stays[1:]:
        if next_start - end > gap_s:
            yield start, end
            start = next_start
        end = next_end
    yield start, end
