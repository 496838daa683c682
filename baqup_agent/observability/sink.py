"""What the rest of the package needs of a logger, and one that keeps silent."""

from __future__ import annotations

from typing import Protocol


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


class NullLog:
    """A logger that drops every record."""

    def trace(self, message: str, **context: object) -> None:
        """Drop the record."""

    debug = info = warn = error = fatal = trace

    def bind(self, component: str) -> NullLog:  # noqa: ARG002  the protocol's signature
        """Return the same silent logger."""
        return self
