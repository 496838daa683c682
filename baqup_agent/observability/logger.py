"""Log records on stderr as JSON, text or logfmt, one line each (Contract §6)."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

from baqup_agent.clock import Clock, SystemClock, timestamp
from baqup_agent.contract import LogLevel
from baqup_agent.errors import describe
from baqup_agent.observability.levels import LOGURU, level_of
from baqup_agent.observability.lines import renderer
from baqup_agent.observability.redaction import Redactor
from baqup_agent.observability.sink import LeveledLog
from baqup_agent.observability.volume import Volume, template_of

if TYPE_CHECKING:
    from loguru import Message

    from baqup_agent.observability.foreign import Routing

#: Characters of a repeated message that the line which counts it shows.
SUMMARY_MAX = 500

#: Where a record comes from that was made by these modules on behalf of somebody else.
_OURSELVES = __name__.rpartition(".")[0]

_PACKAGE = __name__.partition(".")[0]


def _nothing() -> Mapping[str, object]:
    return {}


class Logger(LeveledLog):
    """Writes records of one job.

    A line that is repeated more than `BURST` times within a second is counted, and one line says
    how often (see `baqup_agent.observability.volume`).

    Args:
        job_id: goes into every record.
        agent_id: likewise.
        level: least severe level that is written; a `LogLevel` or its word.
        format: ``json``, ``text`` or ``logfmt``.
        stream: where lines go; stderr by default.
        redactor: cleans messages and context before they are written.
        capture_all: until `close`, also take what others write: by loguru, by the standard
            library's ``logging`` and ``warnings``, and exceptions that nobody caught.
        clock: measures time.

    Raises:
        ValueError: there is no such level or format.
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
        clock: Clock | None = None,
    ) -> None:
        from loguru import logger as loguru_logger

        self.agent_id = agent_id
        self.redactor = redactor or Redactor()
        # A process may have been started without stderr at all.
        self._stream = stream or sys.stderr or io.StringIO()
        self._clock = clock or SystemClock()
        self._volume = Volume()
        self._writing = threading.RLock()
        self._describe: Callable[[], Mapping[str, object]] = _nothing
        self._routing: Routing | None = None
        self.adjust(job_id=job_id, level=level, format=format)
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
        if capture_all:
            self._capture()

    def adjust(self, *, job_id: str, level: LogLevel | str, format: str) -> None:  # noqa: A002
        """Take over what the configuration says, once it has been read."""
        self.job_id = job_id
        self.level = level if isinstance(level, LogLevel) else LogLevel.parse(level)
        self.format = format
        self._render = renderer(format, self._stream)
        if self._routing is not None:
            self._routing.heed(self.level)

    def describe(self, describe: Callable[[], Mapping[str, object]]) -> None:
        """Add members to the context of each record from here on.

        Args:
            describe: called for each record, for instance to tell the state; what it returns
                yields to members of the same name that the record has itself.
        """
        self._describe = describe

    def log(self, level: LogLevel, message: str, context: Mapping[str, object]) -> None:
        """Log at any level; the component is the module that asks for it."""
        if level >= self.level:
            self._record(_speaker(), level, message, context)

    def log_from(
        self, component: str, level: LogLevel, message: str, context: Mapping[str, object]
    ) -> None:
        """Log at any level, naming the component that speaks."""
        if level >= self.level:
            self._record(component, level, message, context)

    def bind(self, component: str) -> ComponentLogger:
        """Return a logger whose records name ``component``."""
        return ComponentLogger(self, component)

    def summarize(self) -> None:
        """Write at once how often lines were repeated that have been held back so far."""
        self._tell_repeated(float("inf"))

    def close(self) -> None:
        """Write no more."""
        if self._routing is not None:
            self._routing.stop()
        self.summarize()
        with contextlib.suppress(ValueError):
            self._loguru.remove(self._handler)

    def _capture(self) -> None:
        from baqup_agent.observability.foreign import Routing

        self._routing = Routing(self._take_foreign)
        self._routing.start()
        self._routing.heed(self.level)

    def _take_foreign(
        self,
        component: str,
        level: LogLevel,
        message: str,
        context: Mapping[str, object],
        exception: BaseException | None = None,
        template: str | None = None,
    ) -> None:
        if level < self.level:
            return
        # Loguru refuses a record that is made while another one is being written, for instance by
        # a finaliser that runs just then; whoever made it must not suffer for that.
        with contextlib.suppress(RuntimeError):
            self._record(component, level, message, context, exception, template)

    def _record(
        self,
        component: str,
        level: LogLevel,
        message: str,
        context: Mapping[str, object],
        exception: BaseException | None = None,
        template: str | None = None,
    ) -> None:
        bound = self._loguru.bind(
            owner=self, component=component, context=dict(context), template=template
        )
        bound.opt(exception=exception).log(LOGURU[level], message)

    def _accepts(self, record: Any) -> bool:
        owner = record["extra"].get("owner")
        if owner is not None or not self._capture_all:
            return owner is self
        return level_of(record["level"].no) >= self.level

    def _write(self, message: Message) -> None:
        record = message.record
        extra, level, now_s = record["extra"], level_of(record["level"].no), self._clock.monotonic()
        component = extra.get("component") or record["name"] or "agent"
        template = extra.get("template") or template_of(record["message"])
        with self._writing:
            self._tell_repeated(now_s)
            kind = self._volume.kind(level, component, template, now_s)
            if kind.admits():
                line = self._line(record["time"], level, component, record["message"], extra)
                line["context"] |= self._told(record["exception"])
                kind.message = line["message"][:SUMMARY_MAX]
                self._emit(line)

    def _tell_repeated(self, now_s: float) -> None:
        with self._writing:
            for kind in self._volume.over(now_s):
                message = f"{kind.message} (repeated {kind.held} times more)"
                extra = {"context": {"repeated": kind.held}}
                now = self._clock.now()
                self._emit(self._line(now, kind.level, kind.component, message, extra))

    def _line(
        self,
        moment: datetime,
        level: LogLevel,
        component: str,
        message: str,
        extra: Mapping[str, Any],
    ) -> dict[str, Any]:
        return {
            "timestamp": timestamp(moment),
            "level": level.word,
            "job_id": self.job_id,
            "agent_id": self.agent_id,
            "component": self.redactor.text(component),
            "message": self.redactor.text(message),
            "context": self.redactor.value({**self._describe(), **extra.get("context", {})}),
        }

    def _told(self, exception: Any) -> dict[str, str]:
        """What the context says of an exception: what it is, and the way to it."""
        if exception is None or exception.value is None:
            return {}
        try:
            what = describe(exception.value)
        except Exception:  # noqa: BLE001  an author's exception that has no text
            what = type(exception.value).__name__
        way = "".join(traceback.format_exception(exception.value))
        return {"exception": self.redactor.text(what), "traceback": self.redactor.text(way)}

    def _emit(self, line: dict[str, Any]) -> None:
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


def _speaker() -> str:
    """Return the module that asked for a record: a section of this package, or an author's."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  inspect is slow, and does the same
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith(_OURSELVES):
            break
        frame = frame.f_back
    else:
        return "agent"
    if module.startswith(f"{_PACKAGE}."):
        return module.split(".")[1]
    return "agent" if module in {"", "__main__"} else module
