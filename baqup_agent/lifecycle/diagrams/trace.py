"""Reads the trace of a run: JSON Lines of one beginning, its steps and, mostly, an end.

A process that was killed leaves no end, and perhaps a last line that is only half there; both are
read for what they are. Anything else that does not fit is refused with its line, because a picture
of a misread run would be worse than none.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import frozen

#: The form of trace that is understood here.
VERSION = 1

#: Longest piece of a foreign value that an error shows, characters.
_SHOWN = 60


class TraceError(ValueError):
    """A file is no trace that can be read, or not of this lifecycle; names file and line."""

    def __init__(self, path: Path, line: int | None, problem: str) -> None:
        self.path = path
        self.line = line
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place!r}: {problem}")


@frozen
class TracedStep:
    """One transition of a traced run.

    Attributes:
        line: where it stands in the file, from 1.
        trigger: what was fired.
        source: the leaf it was fired in.
        target: the leaf it led to.
        monotonic_s: when, in seconds of the run's own clock.
    """

    line: int
    trigger: str
    source: str
    target: str
    monotonic_s: float


@frozen
class TraceEnd:
    """How a traced run ended.

    Attributes:
        exit_code: of the process.
        error_code: of the error object; None for a run without an error.
        status: what was reported: success, partial or failed; empty where unknown.
        monotonic_s: when, in seconds of the run's own clock.
    """

    exit_code: int
    error_code: str | None
    status: str
    monotonic_s: float


@frozen
class Trace:
    """A run as its trace tells it.

    Attributes:
        path: the file.
        job_id: the job's id, empty where the trace has none.
        agent: the agent's name, likewise.
        role: the role, likewise.
        initial: the leaf in which it began.
        began_at: the wall time of its beginning; None where the trace has none.
        began_s: the same in seconds of the run's own clock.
        steps: the transitions in order.
        end: how it ended; None if the trace does not say.
        notes: what was tolerated in reading, for people.
    """

    path: Path
    job_id: str
    agent: str
    role: str
    initial: str
    began_at: datetime | None
    began_s: float
    steps: tuple[TracedStep, ...]
    end: TraceEnd | None
    notes: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """The leaf in which the run stood last."""
        return self.steps[-1].target if self.steps else self.initial

    @property
    def last_s(self) -> float:
        """The last instant that the trace knows of, in seconds of the run's own clock."""
        if self.end is not None:
            return self.end.monotonic_s
        return self.steps[-1].monotonic_s if self.steps else self.began_s


def read_trace(path: Path) -> Trace:
    """Read a trace file.

    Args:
        path: the file; if it holds several runs, the last one is read.

    Raises:
        TraceError: it cannot be read, or is no trace.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TraceError(path, None, f"cannot be read: {error.strerror}") from error
    return parse_trace(data, path)


def parse_trace(data: bytes, path: Path) -> Trace:
    """Read a trace from its bytes; ``path`` is for errors.

    Raises:
        TraceError: it is no trace.
    """
    reader = _Reader(path)
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if line.strip():
            reader.take(number, line, last=number == len(lines))
    return reader.trace()


class _Reader:
    """Takes the lines of a trace in turn and checks each against what came before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin: dict[str, Any] | None = None
        self._begin_line = 0
        self._steps: list[TracedStep] = []
        self._end: TraceEnd | None = None
        self._now_s = 0.0
        self._notes: list[str] = []

    def take(self, number: int, line: bytes, *, last: bool) -> None:
        """Read one line; the last one may be torn."""
        try:
            record = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            # A complete line ends with a newline: only what follows the last one can be torn.
            if last and self._begin is not None:
                self._notes.append(f"line {number} is torn, as a killed process leaves it")
                return
            raise self._error(number, f"is no JSON: {_reason(error)}; give a trace file") from error
        if not isinstance(record, dict) or not isinstance(record.get("type"), str):
            raise self._error(number, "is no line of a trace: it has no 'type'; give a trace file")
        self._record(number, record)

    def _record(self, number: int, record: dict[str, Any]) -> None:
        kind = record["type"]
        if kind == "begin":
            self._take_begin(number, record)
        elif self._begin is None:
            raise self._error(
                number, f"a {_shown(kind)} before any 'begin'; the file's start is lost"
            )
        elif kind == "step":
            self._take_step(number, record)
        elif kind == "end":
            self._take_end(number, record)
        # Other types are a later version's additions.

    def _take_begin(self, number: int, record: dict[str, Any]) -> None:
        version = record.get("version")
        if version != VERSION:
            raise self._error(
                number, f"trace version {_shown(version)} is not known here; it must be {VERSION}"
            )
        if self._begin is not None:
            self._notes = [f"the file holds several runs; this is the one from line {number}"]
        self._now_s = -math.inf
        self._now_s = self._time(number, record)
        self._text(number, record, "initial")
        self._begin, self._begin_line = record, number
        self._steps, self._end = [], None

    def _take_step(self, number: int, record: dict[str, Any]) -> None:
        if self._end is not None:
            raise self._error(number, "a step after the run's end; the file is damaged from here")
        step = TracedStep(
            number,
            self._text(number, record, "trigger"),
            self._text(number, record, "source"),
            self._text(number, record, "target"),
            self._time(number, record),
        )
        assert self._begin is not None  # noqa: S101  the caller's promise
        state = self._steps[-1].target if self._steps else self._begin["initial"]
        if step.source != state:
            raise self._error(
                number,
                f"a step leaves {_shown(step.source)} while the run stands in {_shown(state)}; "
                "lines are missing or mixed",
            )
        self._steps.append(step)
        self._now_s = step.monotonic_s

    def _take_end(self, number: int, record: dict[str, Any]) -> None:
        code, error_code = record.get("exit_code"), record.get("error_code")
        if not isinstance(code, int) or isinstance(code, bool):
            raise self._error(number, f"'exit_code' must be a number, not {_shown(code)}")
        if error_code is not None and not isinstance(error_code, str):
            raise self._error(
                number, f"'error_code' must be text or null, not {_shown(error_code)}"
            )
        if self._end is not None:
            raise self._error(number, "a second end of the same run; the file is damaged from here")
        status = record.get("status")
        self._now_s = self._time(number, record)
        self._end = TraceEnd(
            code, error_code, status if isinstance(status, str) else "", self._now_s
        )

    def trace(self) -> Trace:
        """Return what was read."""
        if self._begin is None:
            raise self._error(None, "holds no line of a trace; give the trace file of a run")
        begin = self._begin
        return Trace(
            path=self._path,
            job_id=_optional(begin, "job_id"),
            agent=_optional(begin, "agent"),
            role=_optional(begin, "role"),
            initial=begin["initial"],
            began_at=_moment(begin.get("timestamp")),
            began_s=begin["monotonic_s"],
            steps=tuple(self._steps),
            end=self._end,
            notes=tuple(self._notes),
        )

    def _text(self, number: int, record: dict[str, Any], key: str) -> str:
        value = record.get(key)
        if not isinstance(value, str) or not value:
            raise self._error(number, f"{key!r} must be a text, not {_shown(value)}")
        return value

    def _time(self, number: int, record: dict[str, Any]) -> float:
        value: Any = record.get("monotonic_s")
        seconds = isinstance(value, int | float) and not isinstance(value, bool)
        if not seconds or not math.isfinite(value):
            raise self._error(number, f"'monotonic_s' must be seconds, not {_shown(value)}")
        if value < self._now_s:
            raise self._error(
                number,
                f"time runs backwards, from {self._now_s:g} s to {value:g} s; lines are mixed",
            )
        return float(value)

    def _error(self, line: int | None, problem: str) -> TraceError:
        return TraceError(self._path, line, problem)


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "it is nested too deep" if isinstance(error, RecursionError) else "it is not UTF-8"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _optional(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
