"""What the rest of the package needs of a logger, and one that keeps silent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

from baqup_agent.contract import LogLevel


class LogSink(Protocol):
    """Takes log records; context members end up in the record's ``context`` (Contract §6)."""

    def trace(self, message: str, **context: object) -> None:
        """Log at level ``trace``."""

    def debug(self, message: str, **context: object) -> None:
        """Log at level ``debug``."""

    def info(self, message: str, **context: object) -> None:
        """Log at level ``info``."""

    def warn(self, message: str, **context: object) -> None:
        """Log at level ``warn``."""

    def error(self, message: str, **context: object) -> None:
        """Log at level ``error``."""

    def fatal(self, message: str, **context: object) -> None:
        """Log at level ``fatal``."""

    def bind(self, component: str) -> LogSink:
        """Return a logger whose records name ``component``."""
        ...


class LeveledLog(ABC):
    """The six methods of a logger over one `log`."""

    @abstractmethod
    def log(self, level: LogLevel, message: str, context: Mapping[str, object]) -> None:
        """Take a record of any level."""

    def trace(self, message: str, **context: object) -> None:
        """Log at level ``trace``."""
        self.log(LogLevel.TRACE, message, context)

    def debug(self, message: str, **context: object) -> None:
        """Log at level ``debug``."""
        self.log(LogLevel.DEBUG, message, context)

    def info(self, message: str, **context: object) -> None:
        """Log at level ``info``."""
        self.log(LogLevel.INFO, message, context)

    def warn(self, message: str, **context: object) -> None:
        """Log at level ``warn``."""
        self.log(LogLevel.WARN, message, context)

    def error(self, message: str, **context: object) -> None:
        """Log at level ``error``."""
        self.log(LogLevel.ERROR, message, context)

    def fatal(self, message: str, **context: object) -> None:
        """Log at level ``fatal``."""
        self.log(LogLevel.FATAL, message, context)


class NullLog(LeveledLog):
    """A logger that drops every record."""

    def log(self, level: LogLevel, message: str, context: Mapping[str, object]) -> None:
        """Drop the record."""

    def bind(self, component: str) -> NullLog:  # noqa: ARG002  the protocol's signature
        """Return the same silent logger."""
        return self
