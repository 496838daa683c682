"""The words in which the views of ``bus watch`` tell of an agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baqup_agent.cli.text import count, printable, size
from baqup_agent.cli.views.phrases import intent_line
from baqup_agent.controller.fleet import AgentPicture
from baqup_agent.controller.liveness import Life
from baqup_agent.controller.messages import BusMessage
from baqup_agent.controller.picture import JobPicture, text_of

#: Ages of the latest heartbeat, seconds, from which it is shown amber and red.
AMBER_S = 15.0
RED_S = 30.0

#: Characters of a job's id that are shown.
_JOB_SHOWN = 8

_MAX_TEXT = 200


def job_word(agent: AgentPicture) -> str:
    """The beginning of the job's id, as people name it."""
    return printable(agent.key.job_id[:_JOB_SHOWN])


def middle_cut(text: str, width: int) -> str:
    """Shorten a text in its middle: an agent's id is told apart by its end."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"


def clock_of(message: BusMessage) -> str:
    """The time of day of a message, in UTC as its writer put it."""
    return message.order[len("2026-01-15T") : len("2026-01-15T03:00:00")]


def beat_age_s(agent: AgentPicture, now_s: float) -> float:
    """Seconds since the latest heartbeat, or since the agent was first heard of."""
    beat_s = agent.picture.last_beat_s
    return max(0.0, now_s - (agent.first_s if beat_s is None else beat_s))


def share(picture: JobPicture) -> float | None:
    """How much is done, percent; None if nobody knows. A success has done it all."""
    done = (picture.status or {}).get("status") == "success"
    return 100.0 if done else picture.percent


def remark(agent: AgentPicture) -> tuple[str, str]:
    """What is most worth saying of an agent, with the word that its colour follows."""
    picture = agent.picture
    if picture.status is not None:
        return _ending(picture.status, picture)
    if agent.verdict.life in (Life.PRESUMED_DEAD, Life.DEAD):
        return "failed", str(agent.verdict.life).replace("_", " ")
    parts = []
    if picture.intent is not None:
        parts.append(intent_line(picture))
    if picture.bytes_processed or picture.files_processed:
        parts.append(f"{size(picture.bytes_processed)}, {count(picture.files_processed, 'file')}")
    if picture.warnings:
        parts.append(count(sum(picture.warnings.values()), "warning"))
    if picture.current_file and picture.intent is None:
        parts.append(printable(picture.current_file, _MAX_TEXT))
    return "", ", ".join(parts)


def life_line(agent: AgentPicture) -> str:
    """What is thought of an agent, for a line of its own."""
    verdict = agent.verdict
    if verdict.life is Life.FRESH:
        return "alive again"
    if verdict.life is Life.ENDED:
        return "ended"
    return f"{str(verdict.life).replace('_', ' ')}: no heartbeat for {verdict.age_s:.0f} s"


def _ending(status: Mapping[str, Any], picture: JobPicture) -> tuple[str, str]:
    word = text_of(status, "status") or ""
    parts = []
    code = status.get("exit_code")
    if isinstance(code, int):
        parts.append(f"exit {code}")
    error = status.get("error")
    if isinstance(error, dict):
        told = f"{text_of(error, 'code') or '?'}: {text_of(error, 'message') or ''}"
        parts.append(printable(told, _MAX_TEXT))
    if picture.bytes_processed or picture.files_processed:
        parts.append(f"{size(picture.bytes_processed)}, {count(picture.files_processed, 'file')}")
    return word, ", ".join(parts)
