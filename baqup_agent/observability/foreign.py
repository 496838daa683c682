"""Leads into the run's log what others write: `logging`, warnings, uncaught exceptions.

An agent's stderr is read line by line by a machine, so nothing else may appear on it. This module
therefore takes the place of `logging.Logger.callHandlers`, through which each record passes exactly
once, whatever handlers a library has given its loggers and whether they propagate: a record goes
to our log, and to every handler that does not itself print to the process's stdout or stderr. That
is done inside a run only, by a process that is the agent's own, and undone by `Routing.stop`.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, TextIO

from baqup_agent.contract import LogLevel
from baqup_agent.observability.levels import STANDARD, level_of

#: Loggers of our own engine room, heard from warnings on at any level: the run tells of its
#: transitions itself.
_CHATTY = ("transitions",)

#: What every record has; anything else was given by ``extra`` and belongs to the context.
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Take(Protocol):
    """Writes a foreign record."""

    def __call__(
        self,
        component: str,
        level: LogLevel,
        message: str,
        context: Mapping[str, object],
        exception: BaseException | None = None,
        template: str | None = None,
    ) -> None:
        """Write it."""


class Routing:
    """Foreign records on their way to one log.

    Args:
        take: writes them; must not raise.
    """

    def __init__(self, take: Take) -> None:
        self._take = take
        self._undo: list[Callable[[], None]] = []

    def start(self) -> None:
        """Lead everything here from now on; harmless when repeated."""
        if self._undo:
            return
        self._replace(logging.Logger, "callHandlers", self._call_handlers())
        self._replace(warnings, "showwarning", self._warned)
        self._replace(sys, "excepthook", self._crashed)
        self._replace(sys, "unraisablehook", self._ignored)
        self._replace(threading, "excepthook", self._thread_died)
        self._set_level(logging.root, logging.root.level)
        for name in _CHATTY:
            self._set_level(logging.getLogger(name), logging.WARNING)

    def heed(self, level: LogLevel) -> None:
        """Have loggers without a level of their own make the records that will be written."""
        if self._undo:
            logging.root.setLevel(STANDARD[level])

    def stop(self) -> None:
        """Put everything back as it was; harmless when repeated."""
        while self._undo:
            self._undo.pop()()

    def _set_level(self, logger: logging.Logger, level: int) -> None:
        before = logger.level
        logger.setLevel(level)
        self._undo.append(lambda: logger.setLevel(before))

    def _replace(self, owner: Any, name: str, ours: Callable[..., None]) -> None:
        theirs = getattr(owner, name)
        setattr(owner, name, ours)

        def put_back() -> None:
            if getattr(owner, name) is ours:  # else somebody else has taken the place meanwhile
                setattr(owner, name, theirs)

        self._undo.append(put_back)

    def _call_handlers(self) -> Callable[[logging.Logger, logging.LogRecord], None]:
        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            self._logged(record)
            for handler in _handlers(logger):
                if record.levelno >= handler.level and not _prints(handler):
                    handler.handle(record)

        return call_handlers

    def _logged(self, record: logging.LogRecord) -> None:
        context = {
            name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD
        }
        if record.stack_info:
            context["stack"] = record.stack_info
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001  a library's mistake; its line is worth having
            message = str(record.msg)
            context["arguments"] = f"do not fit the message: {error}"
        exception = record.exc_info[1] if record.exc_info else None
        self._take(
            record.name, level_of(record.levelno), message, context, exception, str(record.msg)
        )

    def _warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG002  the signature of warnings.showwarning
        line: str | None = None,  # noqa: ARG002
    ) -> None:
        context = {"category": category.__name__, "file": filename, "line": lineno}
        self._take("py.warnings", LogLevel.WARN, str(message), context)

    def _crashed(
        self, _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
    ) -> None:
        self._take("agent", LogLevel.FATAL, "uncaught exception", {}, error)

    def _ignored(self, unraisable: Any) -> None:
        context = {"where": type(unraisable.object).__name__}
        message = unraisable.err_msg or "an exception could not be raised"
        self._take("agent", LogLevel.WARN, message, context, unraisable.exc_value)

    def _thread_died(self, died: threading.ExceptHookArgs) -> None:
        if issubclass(died.exc_type, SystemExit):
            return
        context = {"thread": died.thread.name if died.thread is not None else "unknown"}
        message = "a thread ended by an uncaught exception"
        self._take("agent", LogLevel.ERROR, message, context, died.exc_value)


def _handlers(logger: logging.Logger) -> Iterator[logging.Handler]:
    node: logging.Logger | None = logger
    while node is not None:
        yield from node.handlers
        node = node.parent if node.propagate else None


def _prints(handler: logging.Handler) -> bool:
    """Whether a handler writes to the process's own stdout or stderr."""
    console = getattr(handler, "console", None)  # rich's handler prints by way of one
    stream = getattr(handler, "stream", None) or getattr(console, "file", None)
    if stream is None:
        return False
    if stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        return True
    with contextlib.suppress(Exception):  # a stream of its own kind may have no descriptor
        return stream.fileno() in (1, 2)
    return False
