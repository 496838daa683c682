"""The live picture of a run on a terminal."""

from __future__ import annotations

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from baqup_agent.cli.text import duration, printable
from baqup_agent.cli.views.agent_lines import ShownLine, shown
from baqup_agent.cli.views.phrases import ended, event_line, intent_line, progress_line, state_word
from baqup_agent.cli.views.summary import summary_lines
from baqup_agent.contract import LogLevel
from baqup_agent.controller.launch import Exit
from baqup_agent.controller.observe import Message
from baqup_agent.controller.output import OutputLine
from baqup_agent.controller.picture import EventTally, JobPicture
from baqup_agent.controller.request import JobPlan
from baqup_agent.controller.run import JobReport
from baqup_agent.controller.verdict import Outcome

#: Ages of the latest heartbeat, seconds, from which it is shown amber and red: half the time
#: after which a controller presumes the agent dead, and all of it (Contract §1).
_BEAT_AMBER_S = 15.0
_BEAT_RED_S = 30.0

#: Pictures per second.
_REFRESH = 8

#: Most lines of the agent's that are shown at once; more would hold up the run.
_MOST_LINES = 200

#: Most event codes in the picture; the rest are counted.
_MOST_EVENTS = 8

_BAR_COLUMNS = 40

_STYLES: dict[str, str] = {
    Outcome.SUCCESS: "bold green",
    Outcome.PARTIAL: "bold yellow",
    Outcome.UNREPORTED: "bold yellow",
    Outcome.FAILED: "bold red",
    Outcome.LOST: "bold red",
    "warn": "yellow",
    "error": "red",
    "fatal": "bold red",
}


class LiveView:
    """Draws the state of a run in place, and lets the agent's lines scroll by above it.

    Args:
        verbose: show all of the agent's log, not only warnings and errors.
        no_color: draw without colours.
        console: where to draw; None takes stdout.
    """

    def __init__(
        self, *, verbose: bool = False, no_color: bool = False, console: Console | None = None
    ) -> None:
        self._verbose = verbose
        # None, not False: then the variable NO_COLOR still counts
        self._console = console or Console(no_color=no_color or None, highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._title = ""
        self._began = time.monotonic()
        self._drawn = 0.0
        self._lines: list[ShownLine] = []

    def started(self, plan: JobPlan, pid: int) -> None:
        """Begin to draw."""
        self._began = time.monotonic()
        self._title = f"{printable(plan.agent.label)} {printable(plan.role)}"
        self._print(f"{self._title}: job {plan.job_id}, process {pid}", "dim")
        self._live.start()

    def message(self, message: Message, picture: JobPicture) -> None:
        """Nothing: the next picture shows it."""

    def line(self, line: OutputLine) -> None:
        """Keep a line of the agent until the next picture."""
        if (text := shown(line, verbose=self._verbose)) is not None:
            self._lines.append(text)

    def notice(self, text: str) -> None:
        """Print what the controller has to say."""
        self._flush_lines()
        self._print(f"note: {printable(text)}", "cyan")

    def tick(self, picture: JobPicture) -> None:
        """Draw the picture anew, not more often than an eye can follow."""
        self._flush_lines()
        now = time.monotonic()
        if now - self._drawn >= 1 / _REFRESH:
            self._drawn = now
            self._live.update(self._render(picture, now), refresh=True)

    def ended(self, exit_: Exit) -> None:
        """Say that the agent is gone and its work is being verified."""
        self._flush_lines()
        self._live.update(Text(f"{ended(exit_)}; verifying"), refresh=True)

    def close(self) -> None:
        """Remove the picture; what scrolled by stays."""
        self._flush_lines()
        self._live.stop()

    def report(self, report: JobReport) -> None:
        """Print the summary."""
        for label, text, word in summary_lines(report):
            style = _STYLES.get(word, "")
            if label:
                row = Text.assemble((f"  {label:<10} ", "dim"), (text, style.removeprefix("bold ")))
            else:
                row = Text(text, style=style)
            self._console.print(row, soft_wrap=True)

    def _flush_lines(self) -> None:
        lines, self._lines = self._lines, []
        if len(lines) > _MOST_LINES:
            self._print(f"… {len(lines) - _MOST_LINES} lines left out", "dim")
        for line in lines[-_MOST_LINES:]:
            self._print(line.text, _line_style(line.level))

    def _print(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)

    def _render(self, picture: JobPicture, now: float) -> RenderableType:
        rows: list[RenderableType] = [self._head(picture, now)]
        if intent := intent_line(picture):
            rows.append(_row(Text(f"  intent  {intent}", style="cyan")))
        if picture.percent is not None or picture.bytes_processed or picture.files_processed:
            rows.append(self._bar(picture, now))
            rows.append(_row(Text(f"  {progress_line(picture)}")))
        events = sorted(picture.events.values(), key=lambda event: -event.count)
        rows += [_event(event) for event in events[:_MOST_EVENTS]]
        if len(events) > _MOST_EVENTS:
            rows.append(Text(f"  … {len(events) - _MOST_EVENTS} more event codes", style="dim"))
        return Group(*rows)

    def _head(self, picture: JobPicture, now: float) -> Text:
        head = Text.assemble(
            (self._title, "bold"),
            "  ",
            (state_word(picture), "bold blue"),
            f"  {duration(now - self._began)}  ",
            _beat(picture, now),
        )
        return _row(head)

    def _bar(self, picture: JobPicture, now: float) -> RenderableType:
        bar = ProgressBar(
            total=100,
            completed=picture.percent or 0,
            width=min(_BAR_COLUMNS, max(10, self._console.width - 4)),
            pulse=picture.percent is None,
            animation_time=now,
        )
        grid = Table.grid(padding=0)
        grid.add_row("  ", bar)
        return grid


def _event(event: EventTally) -> Text:
    return _row(Text(f"  {event_line(event)}", style=_STYLES.get(event.severity, "")))


def _row(text: Text) -> Text:
    """Keep a row of the picture on one line: a picture of changing height flickers."""
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text


def _beat(picture: JobPicture, now: float) -> tuple[str, str]:
    if picture.last_beat_s is None:
        return "no heartbeat yet", "dim"
    age_s = max(0.0, now - picture.last_beat_s)
    style = "green" if age_s < _BEAT_AMBER_S else "yellow" if age_s < _BEAT_RED_S else "bold red"
    return f"heartbeat {age_s:.0f} s ago", style


def _line_style(level: LogLevel | None) -> str:
    if level is None:
        return ""
    return _STYLES.get(level.word, "dim")
