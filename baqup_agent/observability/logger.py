"""Log records on stderr as JSON, text or logfmt, one line each (Contract §6)."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any

from baqup_agent.clock import timestamp
from baqup_agent.contract import LogLevel
from baqup_agent.observability.redaction import Redactor
from baqup_agent.observability.sink import LeveledLog

if TYPE_CHECKING:
    from loguru import Message

#: Our levels and loguru's.
_TO_LOGURU = {
    LogLevel.TRACE: "TRACE",
    LogLevel.DEBUG: "DEBUG",
    LogLevel.INFO: "INFO",
    LogLevel.WARN: "WARNING",
    LogLevel.ERROR: "ERROR",
    LogLevel.FATAL: "CRITICAL",
}
_FROM_LOGURU = {name: level for level, name in _TO_LOGURU.items()} | {"SUCCESS": LogLevel.INFO}


class Logger(LeveledLog):
    """Writes records of one job.

    Args:
        job_id: goes into every record.
        agent_id: likewise.
        level: least severe level that is written; a `LogLevel` or its word.
        format: ``json``, ``text`` or ``logfmt``.
        stream: where lines go; stderr by default.
        redactor: cleans messages and context before they are written.
        capture_all: take the records of other users of loguru too.
    """

    def __init__(
        self,
        job_id: str,
        agent_id: str,
        level: LogLevel | str = LogLevel.INFO,
        format: str = "json",  # noqa: A002  the preview API's name
        *,
        stream: IO[str] | None = None,
        redactor: Redactor | None = None,
        capture_all: bool = False,
    ) -> None:
        from loguru import logger as loguru_logger

        self.agent_id = agent_id
        self.adjust(job_id=job_id, level=level, format=format)
        self.redactor = redactor or Redactor()
        # A process may have been started without stderr at all.
        self._stream = stream or sys.stderr or io.StringIO()
        self._capture_all = capture_all
        self._loguru = loguru_logger
        with contextlib.suppress(ValueError):
            loguru_logger.remove(0)  # loguru's own handler would write each record a second time
        self._handler = loguru_logger.add(
            self._write,
            level=0,
            format=_message_only,
            filter=self._accepts,
            backtrace=False,
            diagnose=False,  # it would print local variables, secrets among them
            catch=False,
        )

    def adjust(self, *, job_id: str, level: LogLevel | str, format: str) -> None:  # noqa: A002
        """Take over what the configuration says, once it has been read."""
        self.job_id = job_id
        self.level = level if isinstance(level, LogLevel) else LogLevel.parse(level)
        self.format = format
        self._render = _RENDERERS[format]

    def log(self, level: LogLevel, message: str, context: Mapping[str, object]) -> None:
        """Log at any level."""
        self.log_from("agent", level, message, context)

    def log_from(
        self, component: str, level: LogLevel, message: str, context: Mapping[str, object]
    ) -> None:
        """Log at any level, naming the component that speaks."""
        if level >= self.level:
            bound = self._loguru.bind(owner=self, component=component, context=dict(context))
            bound.log(_TO_LOGURU[level], message)

    def bind(self, component: str) -> ComponentLogger:
        """Return a logger whose records name ``component``."""
        return ComponentLogger(self, component)

    def close(self) -> None:
        """Write no more."""
        with contextlib.suppress(ValueError):
            self._loguru.remove(self._handler)

    def _accepts(self, record: Any) -> bool:
        owner = record["extra"].get("owner")
        foreign = self._capture_all and owner is None
        level = _FROM_LOGURU.get(record["level"].name, LogLevel.INFO)
        return (owner is self or foreign) and level >= self.level

    def _write(self, message: Message) -> None:
        record = message.record
        extra = record["extra"]
        context = dict(extra.get("context", {}))
        if record["exception"] is not None:
            context["exception"] = repr(record["exception"].value)
        line = {
            "timestamp": timestamp(record["time"]),
            "level": _FROM_LOGURU.get(record["level"].name, LogLevel.INFO).word,
            "job_id": self.job_id,
            "agent_id": self.agent_id,
            "component": extra.get("component", record["name"] or "agent"),
            "message": self.redactor.text(record["message"]),
            "context": self.redactor.value(context),
        }
        # Whoever reads the log may have gone; the job goes on without them.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(self._render(line) + "\n")
            self._stream.flush()


class ComponentLogger(LeveledLog):
    """A `Logger` whose records name one component."""

    def __init__(self, logger: Logger, component: str) -> None:
        self._logger = logger
        self._component = component

    def log(self, level: LogLevel, message: str, context: Mapping[str, object]) -> None:
        """Log at any level."""
        self._logger.log_from(self._component, level, message, context)

    def bind(self, component: str) -> ComponentLogger:
        """Return a logger whose records name ``component`` instead."""
        return self._logger.bind(component)


def _message_only(_record: Any) -> str:
    """Loguru's own formatting stays out: it would interpret braces and append tracebacks."""
    return ""


def _json(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=True, separators=(",", ":"), default=str)


def _text(line: Mapping[str, Any]) -> str:
    pairs = "".join(f" {name}={_quoted(value)}" for name, value in line["context"].items())
    return (
        f"{line['timestamp']} {line['level']:<5} {line['component']}: "
        f"{_single_line(line['message'])}{pairs}"
    )


def _logfmt(line: Mapping[str, Any]) -> str:
    members = {name: value for name, value in line.items() if name != "context"}
    return " ".join(
        f"{name}={_quoted(value)}" for name, value in {**members, **line["context"]}.items()
    )


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    plain = text and not any(mark in text for mark in ' "=\n\r\t\\')
    return text if plain else json.dumps(text)


def _single_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


_RENDERERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "json": _json,
    "text": _text,
    "logfmt": _logfmt,
}
