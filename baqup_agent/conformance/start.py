"""How a run begins: a line to its bus, a watch over that, and its process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit, urlunsplit

from attrs import frozen

from baqup_agent.conformance.bus_watch import BusWatch
from baqup_agent.conformance.process import Launch, Process
from baqup_agent.conformance.proxy import Proxy
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.seen import Place
from baqup_agent.conformance.session import address
from baqup_agent.conformance.timeline import Timeline
from baqup_agent.conformance.verdicts import CannotJudge

_MASK = "***"

#: How a line to the bus can be at the start, and what makes it so.
_LINES: dict[str, Callable[[Proxy], None]] = {
    "up": lambda _: None,
    "absent": Proxy.refuse,
    "stalled": Proxy.stall,
    "dropping": Proxy.drop,
}


@frozen
class Start:
    """All that a run is made of.

    Attributes:
        place: its directories and names.
        command: the whole command line.
        variables: returns what it is told by the environment, given the URL of its bus.
        surroundings: what it sees beside that.
        secrets: names of variables whose values no report shows, beside ``BAQUP_SECRET_*``.
        server_url: the bus itself, past the line.
        line: how the line to it is at first, a word of `Lab.run`.
        pid1: see `Launch`.
        offline: see `Launch`.
    """

    place: Place
    command: tuple[str, ...]
    variables: Callable[[str], Mapping[str, str]]
    surroundings: Mapping[str, str]
    secrets: tuple[str, ...]
    server_url: str
    line: str = "up"
    pid1: bool = False
    offline: bool = False


def begin(start: Start, deadline_s: float) -> Run:
    """Start a run; return as soon as its program runs.

    Args:
        start: what it is made of.
        deadline_s: until when it is waited for at most, on the monotonic clock, seconds.

    Raises:
        NotApplicable: this machine grants no namespace.
        CannotJudge: the command cannot be started, or there is no such state of a line.
    """
    timeline, place = Timeline(), start.place
    with contextlib.ExitStack() as undo:
        line = undo.enter_context(_line(start, timeline))
        told = start.variables(_through(start.server_url, line.port))
        watch = BusWatch(start.server_url, place.prefix, timeline)
        undo.callback(watch.close)
        seen = {**start.surroundings, **told}
        launch = Launch(start.command, seen, place.home, start.pid1, start.offline)
        process = Process(launch, timeline, place.staging)
        undo.pop_all()  # from here on, closing the run does it
    return Run(
        command=start.command,
        environment=_masked(told, start.secrets),
        place=place,
        timeline=timeline,
        bus=line,
        watch=watch,
        process=process,
        deadline_s=deadline_s,
    )


def _line(start: Start, timeline: Timeline) -> Proxy:
    if start.line not in _LINES:
        raise CannotJudge(f"a bus cannot be {start.line!r}; it is one of {', '.join(_LINES)}")
    line = Proxy(*address(start.server_url), lambda word: timeline.add("bus", word))
    _LINES[start.line](line)
    return line


def _through(url: str, port: int) -> str:
    """Return the URL with a port of the loopback interface in the server's place."""
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}"))


def _masked(variables: Mapping[str, str], secrets: tuple[str, ...]) -> dict[str, str]:
    return {
        name: _MASK if name in secrets or name.startswith("BAQUP_SECRET_") else value
        for name, value in variables.items()
    }
