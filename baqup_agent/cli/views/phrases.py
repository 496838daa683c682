"""The words in which both the live and the plain view tell of a job."""

from __future__ import annotations

import signal

from baqup_agent.cli.text import count, duration, printable, size
from baqup_agent.controller.launch import Exit
from baqup_agent.controller.picture import EventTally, JobPicture

#: Longest path or detail that is shown within a line, characters.
_MAX_DETAIL = 120


def state_word(picture: JobPicture) -> str:
    """The state, or its leaf where the agent refines it."""
    return printable(picture.substate or picture.state or "starting", _MAX_DETAIL)


def intent_line(picture: JobPicture) -> str:
    """The announced operation; an empty text if there is none."""
    intent = picture.intent
    if intent is None:
        return ""
    text = printable(intent.operation, _MAX_DETAIL)
    if intent.expected_s is not None:
        text += f", about {duration(intent.expected_s)}"
    return f"{text}: {printable(intent.detail, _MAX_DETAIL)}" if intent.detail else text


def progress_line(picture: JobPicture) -> str:
    """How far the work has come."""
    parts = [] if picture.percent is None else [f"{picture.percent:.0f} %"]
    parts += [size(picture.bytes_processed), count(picture.files_processed, "file")]
    if picture.remaining_s is not None:
        parts.append(f"about {duration(picture.remaining_s)} left")
    if picture.current_file:
        parts.append(printable(picture.current_file, _MAX_DETAIL))
    return ", ".join(parts)


def event_line(event: EventTally) -> str:
    """One event code with its count, its text and a path."""
    severity, code = printable(event.severity, 10), printable(event.code, 60)
    times = f" x{event.count:,}" if event.count > 1 else ""
    path = f" ({printable(event.sample_paths[0], _MAX_DETAIL)})" if event.sample_paths else ""
    return f"{severity} {code}{times}: {printable(event.message, _MAX_DETAIL)}{path}"


def ended(exit_: Exit) -> str:
    """How the process ended."""
    if exit_.code is not None:
        return f"the agent ended with exit code {exit_.code}"
    return f"the agent was ended by {signal_name(exit_.signal or 0)}"


def signal_name(number: int) -> str:
    """``SIGKILL``, or ``signal 200`` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
