"""Which of an agent's own lines are shown, and how."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen

from baqup_agent.cli.text import printable
from baqup_agent.contract import LogLevel
from baqup_agent.controller.logs import parse_log_line
from baqup_agent.controller.output import OutputLine


@frozen
class ShownLine:
    """One line as it is shown.

    Attributes:
        text: all of it, safe to show.
        level: its log level; None for a line that is no log line.
    """

    text: str
    level: LogLevel | None


def shown(line: OutputLine, *, verbose: bool) -> ShownLine | None:
    """Return a line in the form that is shown, or None if it is not.

    A log line is shown from ``warn`` upwards, or always if ``verbose``; any other line of stderr
    as it is. A line on stdout is named as such, because an agent has no business there in a run.
    """
    if line.stream == "stdout":
        return ShownLine(f"stdout: {printable(line.text)}", None)
    record = parse_log_line(line.text)
    if record is None:
        return ShownLine(printable(line.text), None) if line.text.strip() else None
    if not verbose and record.level < LogLevel.WARN:
        return None
    parts = [record.level.word, record.component, record.message, *_pairs(record.context)]
    return ShownLine(printable(" ".join(part for part in parts if part)), record.level)


def _pairs(context: dict[str, Any]) -> list[str]:
    said = {name: value for name, value in context.items() if value not in (None, "", [], {})}
    return [f"{name}={_value(value)}" for name, value in said.items()]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
