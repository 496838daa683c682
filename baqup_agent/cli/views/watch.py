"""The live picture of all agents on a bus, drawn with rich."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from baqup_agent.cli.text import printable
from baqup_agent.cli.views.phrases import event_line, state_word
from baqup_agent.cli.views.watch_words import (
    AMBER_S,
    RED_S,
    beat_age_s,
    clock_of,
    job_word,
    middle_cut,
    remark,
    share,
)
from baqup_agent.controller.fleet import AgentPicture, Fleet
from baqup_agent.controller.liveness import Life
from baqup_agent.controller.messages import BusMessage, Event

#: Pictures per second.
_REFRESH = 4

#: Events that are kept to be shown, and the rows that they get at most and at least.
_EVENTS_KEPT = 20
_EVENT_ROWS = 6
_EVENT_ROWS_MIN = 2

#: Rows that are neither agents' nor events': headline, titles, what was left out, the cursor.
_OTHER_ROWS = 5

#: Widths of the columns, for a narrow and for a wide terminal: agent, bar.
_NARROW, _WIDE = (16, 8), (26, 20)
_WIDE_FROM = 110

_STATE_WIDTH = 12

#: The gravest first; what is alike stays in the order of appearance.
_GRAVITY = {Life.DEAD: 0, Life.PRESUMED_DEAD: 1, Life.LATE: 2, Life.FRESH: 3, Life.ENDED: 4}

_LIFE_STYLES = {Life.LATE: "yellow", Life.PRESUMED_DEAD: "bold red", Life.DEAD: "bold red"}

_STYLES: dict[str, str] = {
    "success": "green",
    "partial": "yellow",
    "warn": "yellow",
    "failed": "red",
    "error": "red",
    "fatal": "bold red",
}


class LiveWatch:
    """Draws all agents in place.

    Args:
        display: the bus, as it is called in the headline.
        no_color: draw without colours.
        console: where to draw; None takes stdout.
    """

    def __init__(
        self, display: str, *, no_color: bool = False, console: Console | None = None
    ) -> None:
        self._display = display
        # None, not False: then the variable NO_COLOR still counts
        self._console = console or Console(no_color=no_color or None, highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._events: deque[tuple[Event, Text]] = deque(maxlen=_EVENTS_KEPT)
        self._drawn_s = 0.0

    def message(self, message: BusMessage, agent: AgentPicture) -> None:
        """Keep an event for the picture, which shows all the rest by itself."""
        if isinstance(message, Event):
            tally = agent.picture.events[message.code]
            style = _STYLES.get(message.severity, "")
            text = f"{clock_of(message)} {job_word(agent)} {event_line(tally)}"
            self._events.append((message, _row(Text(text, style=style))))

    def changed(self, agent: AgentPicture) -> None:
        """Nothing: the next picture shows it."""

    def notice(self, text: str) -> None:
        """Print it above the picture."""
        self._console.print(Text(f"note: {printable(text)}", style="cyan"), soft_wrap=True)

    def tick(self, fleet: Fleet, *, seeing: bool) -> None:
        """Draw the picture anew, not more often than an eye can follow."""
        now_s = time.monotonic()
        if now_s - self._drawn_s < 1 / _REFRESH:
            return
        self._drawn_s = now_s
        if not self._live.is_started:
            self._live.start()
        rows = self._console.size.height - _OTHER_ROWS
        self._live.update(self._picture(fleet, now_s, rows, seeing=seeing), refresh=True)

    def close(self) -> None:
        """Leave the last picture where it is."""
        self._live.stop()

    def once(self, fleet: Fleet) -> None:
        """Print the picture, however long it is."""
        rows = len(fleet) + _EVENTS_KEPT
        self._console.print(self._picture(fleet, time.monotonic(), rows, seeing=True))

    def _picture(self, fleet: Fleet, now_s: float, rows: int, *, seeing: bool) -> RenderableType:
        agents = sorted(fleet, key=_place)
        for_events = min(len(self._events), _EVENT_ROWS, max(_EVENT_ROWS_MIN, rows - len(agents)))
        shown = agents[: max(1, rows - for_events)]
        parts: list[RenderableType] = [self._headline(agents, seeing=seeing)]
        if shown:
            parts.append(self._table(shown, now_s))
        if hidden := agents[len(shown) :]:
            parts.append(Text(f"… {_counts(hidden)} more", style="dim"))
        if for_events:
            parts.append(Text("latest events", style="dim"))
            parts += [text for _, text in list(self._events)[-for_events:]]
        return Group(*parts)

    def _headline(self, agents: list[AgentPicture], *, seeing: bool) -> Text:
        line = Text.assemble((self._display, "bold"), "  ")
        if not seeing:
            line.append("away, waiting for it", "bold red")
        elif agents:
            line.append(_counts(agents))
        else:
            line.append("no agents yet", "dim")
        return _row(line)

    def _table(self, agents: list[AgentPicture], now_s: float) -> Table:
        wide = self._console.width >= _WIDE_FROM
        agent_width, bar_width = _WIDE if wide else _NARROW
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        table.add_column("agent", width=agent_width, no_wrap=True, overflow="ellipsis")
        table.add_column("job", width=8, no_wrap=True)
        table.add_column("state", width=_STATE_WIDTH, no_wrap=True, overflow="ellipsis")
        table.add_column("beat", width=5, no_wrap=True, justify="right")
        table.add_column("progress", width=bar_width + 6, no_wrap=True)
        table.add_column("", ratio=1, no_wrap=True, overflow="ellipsis")
        for agent in agents:
            table.add_row(*_cells(agent, now_s, (agent_width, bar_width)))
        table.expand = True
        return table


def _place(agent: AgentPicture) -> tuple[int, float]:
    """Where an agent stands: the ended last, and of these the latest first."""
    by_time_s = -agent.last_s if agent.ended else agent.first_s
    return _GRAVITY[agent.verdict.life], by_time_s


def _counts(agents: list[AgentPicture]) -> str:
    alive = Counter(_count_word(agent) for agent in agents)
    what = "agent" if len(agents) == 1 else "agents"
    return f"{len(agents)} {what}: {', '.join(f'{n} {word}' for word, n in alive.most_common())}"


def _count_word(agent: AgentPicture) -> str:
    if agent.ended or agent.verdict.life in _LIFE_STYLES:
        return str(agent.verdict.life).replace("_", " ")
    return printable(agent.picture.state or "no beat", _STATE_WIDTH)


def _cells(agent: AgentPicture, now_s: float, widths: tuple[int, int]) -> Iterator[RenderableType]:
    picture, life = agent.picture, agent.verdict.life
    quiet = "dim" if agent.ended else ""
    agent_width, bar_width = widths
    yield Text(middle_cut(printable(agent.key.agent_id or "?"), agent_width), style=quiet)
    yield Text(job_word(agent), style="dim")
    ending = (picture.status or {}).get("status")
    if isinstance(ending, str):
        yield Text(printable(ending, _STATE_WIDTH), style=_STYLES.get(ending, ""))
    else:
        yield Text(state_word(picture), style=quiet or _LIFE_STYLES.get(life, "bold blue"))
    yield _beat(agent, now_s)
    yield _bar(share(picture), bar_width, quiet)
    word, text = remark(agent)
    yield Text(text, style=_STYLES.get(word, quiet))


def _beat(agent: AgentPicture, now_s: float) -> Text:
    age_s = beat_age_s(agent, now_s)
    if agent.ended:
        return Text("-", style="dim")
    style = "green" if age_s < AMBER_S else "yellow" if age_s < RED_S else "bold red"
    return Text(f"{age_s:.0f} s", style=style)


def _bar(percent: float | None, width: int, style: str) -> Text:
    if percent is None:
        return Text("")
    full = round(width * percent / 100)
    bar = Text("━" * full, style=style or "cyan")
    bar.append("─" * (width - full), style="dim")
    bar.append(f" {percent:3.0f} %", style=style)
    return bar


def _row(text: Text) -> Text:
    """Keep a row of the picture on one line: a picture of changing height flickers."""
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text
