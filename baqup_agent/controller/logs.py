"""Log lines of an agent (Contract §6), told apart from whatever else it writes to stderr."""

from __future__ import annotations

import json
from typing import Any

from attrs import field, frozen

from baqup_agent.contract import LogLevel


@frozen
class LogLine:
    """One record of an agent's log.

    Attributes:
        level: its level.
        message: its text.
        component: the part of the agent that speaks, or an empty text.
        context: what it adds.
    """

    level: LogLevel
    message: str
    component: str = ""
    context: dict[str, Any] = field(factory=dict)


def parse_log_line(text: str) -> LogLine | None:
    """Return the record that a line holds; None if it is no log line of the contract."""
    if not text.startswith("{"):
        return None
    try:
        record = json.loads(text)
        level = LogLevel.parse(record["level"])
        message = record["message"]
    except (ValueError, KeyError, AttributeError, RecursionError):
        return None
    if not isinstance(message, str):
        return None
    component, context = record.get("component"), record.get("context")
    return LogLine(
        level,
        message,
        component if isinstance(component, str) else "",
        context if isinstance(context, dict) else {},
    )
