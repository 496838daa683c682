"""A log that can be asked what it was told."""

from __future__ import annotations

from collections.abc import Mapping

from baqup_agent.contract import LogLevel
from baqup_agent.observability.sink import LeveledLog


class RecordingLog(LeveledLog):
    def __init__(self) -> None:
        self.records: list[tuple[str, str, dict[str, object]]] = []

    def log(self, level: LogLevel, message: str, context: Mapping[str, object]) -> None:
        self.records.append((level.word, message, dict(context)))

    def bind(self, component: str) -> RecordingLog:
        return self

    def at(self, *levels: str) -> list[str]:
        return [message for level, message, _ in list(self.records) if level in levels]
