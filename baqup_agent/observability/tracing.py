"""Spans of a run, sent by OpenTelemetry's protocol without ever holding up the job (Contract §6).

A span is recorded here, as plain data, in a few microseconds; nothing slow is imported for it. What
has ended goes to a thread of its own (`baqup_agent.observability.otlp`), which alone meets the
endpoint, so that one which is absent, slow or broken costs the job nothing. At the end
`Tracing.close` waits for that thread, within a bound.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol

from attrs import define, field, frozen

from baqup_agent.clock import Clock, SystemClock
from baqup_agent.contract import LAST_SPANS_S
from baqup_agent.errors import BaqupError, JobCancelled, describe
from baqup_agent.observability.sink import LogSink

#: Most attributes of a span and most events, of which the latest are kept.
ATTRIBUTES_MAX, EVENTS_MAX = 64, 128

#: Most characters of a text.
TEXT_MAX = 4096

_TRACE_PARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)


@frozen
class Remote:
    """The caller's span, which a run continues.

    Attributes:
        trace_id: 128 bits, not 0.
        span_id: 64 bits, not 0.
        sampled: whether the caller records the trace.
    """

    trace_id: int
    span_id: int
    sampled: bool


def parse_trace_parent(text: str) -> Remote | None:
    """Read a W3C ``traceparent``; None if it is malformed."""
    match = _TRACE_PARENT.fullmatch(text.strip())
    if match is None or match["version"] == "ff" or (match["version"] == "00" and match["more"]):
        return None
    remote = Remote(
        int(match["trace"], 16), int(match["span"], 16), int(match["flags"], 16) & 1 == 1
    )
    return remote if remote.trace_id and remote.span_id else None


def _random(size_bytes: int) -> int:
    return int.from_bytes(os.urandom(size_bytes)) or 1  # 0 means that there is no id


@define(eq=False)
class Span:
    """One stretch of a run; it is sent when it has ended.

    Attributes:
        name: what is done.
        trace_id: of all spans of the run.
        parent: the span around it; of the outermost one the caller's.
        start_ns: since the epoch.
        attributes: what is known of it.
        span_id: its own.
        events: what happened in it: time, name, attributes.
        end_ns: since the epoch; None while it lasts.
        fault: what it failed of.
    """

    name: str
    trace_id: int
    parent: Span | Remote | None
    start_ns: int
    _now_ns: Callable[[], int] = field(alias="now_ns", repr=False)
    attributes: dict[str, Any] = field(factory=dict, init=False)
    # The operating system's random numbers: an author may have seeded Python's.
    span_id: int = field(factory=lambda: _random(8), init=False)
    events: deque[tuple[int, str, dict[str, Any]]] = field(
        factory=lambda: deque(maxlen=EVENTS_MAX), init=False
    )
    end_ns: int | None = field(default=None, init=False)
    fault: str | None = field(default=None, init=False)

    @property
    def traceparent(self) -> str | None:
        """The span as a W3C ``traceparent``, for a peer that is to continue it; None if off."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"

    def set(self, /, **attributes: Any) -> None:
        """Add attributes: numbers, booleans, texts, lists of these; of anything else its text."""
        for name, value in attributes.items():
            known = name in self.attributes
            if value is not None and (known or len(self.attributes) < ATTRIBUTES_MAX):
                self.attributes[name] = _plain(value)

    def event(self, name: str, /, **attributes: Any) -> None:
        """Note that something happens now; attributes as in `set`."""
        plain = {key: _plain(value) for key, value in attributes.items() if value is not None}
        self.events.append((self._now_ns(), name, plain))

    def fail(self, error: BaseException) -> None:
        """Note what it fails of; only an unforeseen error is worth its stack."""
        if isinstance(error, JobCancelled):
            self.fault = "the job must stop"
            return
        kind, text = type(error).__name__, _plain(error)
        foreseen = isinstance(error, BaqupError)
        self.fault = text if foreseen else f"{kind}: {text}"
        stack = None if foreseen else "".join(traceback.format_exception(error))
        details = {"type": kind, "message": text, "stacktrace": stack}
        code = error.code if isinstance(error, BaqupError) else kind
        self.set(**{"error.type": code})
        self.event("exception", **{f"exception.{name}": text for name, text in details.items()})


class Sender(Protocol):
    """Takes spans that have ended, and sends them."""

    @property
    def dropped(self) -> int:
        """How many were given up."""
        ...

    def put(self, span: Span) -> None:
        """Take one, and return at once."""

    def close(self, within_s: float) -> None:
        """Send what waits, for so many seconds at most, and take no more."""


class _Unrecorded(Span):
    """What authors are handed while tracing is off."""

    @property
    def traceparent(self) -> str | None:
        return None

    def set(self, /, **attributes: Any) -> None:
        pass

    def event(self, name: str, /, **attributes: Any) -> None:
        pass

    def fail(self, error: BaseException) -> None:
        pass


_UNRECORDED = _Unrecorded("", 0, None, 0, lambda: 0)

_current: ContextVar[Span | None] = ContextVar("baqup_agent_span", default=None)


class Tracing:
    """The spans of one run; all methods may be called from any thread, and none raises.

    A run has one span around everything, ``agent.run``. Below it stages follow one another, the
    first of them ``agent.init``; what is begun by `span` lies below the span it is called in, or
    else below the stage.

    Args:
        sender: sends what has ended; None records nothing.
        remote: the span of the caller that the run continues.
        started_at: when the run began.
        clock: measures time from now on.
    """

    def __init__(
        self,
        sender: Sender | None = None,
        remote: Remote | None = None,
        started_at: datetime | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._sender = sender
        self._clock = clock or SystemClock()
        # One look at the wall clock, so that its jumps turn no span around.
        self._monotonic_s, now = self._clock.monotonic(), self._clock.now()
        self._epoch_ns = round(now.timestamp() * 1e9)
        self._lock = threading.Lock()
        self._open: set[Span] = set()
        self._closed = False
        self._trace_id = remote.trace_id if remote is not None else _random(16)
        begun_ns = round((started_at or now).timestamp() * 1e9)
        self._root = self._begin("agent.run", remote, begun_ns)
        self._stage: Span | None = self._begin("agent.init", self._root, begun_ns)

    @property
    def recording(self) -> bool:
        """Whether spans are recorded."""
        return self._sender is not None and not self._closed

    @contextlib.contextmanager
    def span(self, name: str, /, **attributes: Any) -> Iterator[Span]:
        """Record what the ``with`` block does, and the error that leaves it.

        Args:
            name: what it does, the same for all of a kind, for example ``agent.connect_source``.
            **attributes: see `Span.set`.
        """
        if not self.recording:
            yield _UNRECORDED
            return
        around = _current.get()
        span = self.begin(name, around, **attributes)
        _current.set(span)
        try:
            yield span
        except GeneratorExit:  # somebody stopped iterating; that is no fault
            raise
        except BaseException as error:
            self.end(span, error)
            raise
        finally:
            if _current.get() is span:  # elsewhere, if a generator moved to another thread
                _current.set(around)
            self.end(span)

    def begin(self, name: str, around: Span | None = None, /, **attributes: Any) -> Span:
        """Begin a span that no block encloses; nothing lies below it unless it is named.

        Args:
            name: what is done.
            around: the span that it lies below; by default the stage.
            **attributes: see `Span.set`.
        """
        if not self.recording:
            return _UNRECORDED
        span = self._begin(name, around or self._stage or self._root, self._now_ns())
        span.set(**attributes)
        return span

    def end(self, span: Span, error: BaseException | None = None) -> None:
        """End a span, with ``error`` if it failed; harmless when repeated."""
        with self._lock:
            lasted = span in self._open
            self._open.discard(span)
        if lasted:  # otherwise the run was closed meanwhile, and the span with it
            if error is not None:
                span.fail(error)
            self._finish(span)

    def stage(self, name: str | None, error: BaseException | None = None) -> None:
        """End the stage that lasts, with ``error`` if it failed, and begin the next, if any."""
        ended, self._stage = self._stage, None
        if ended is not None:
            self.end(ended, error)
        if name is not None:
            self._stage = self._begin(name, self._root, self._now_ns())

    def event(self, name: str, /, **attributes: Any) -> None:
        """Note on the outermost span that something happens now; see `Span.event`."""
        if self.recording:
            self._root.event(name, **attributes)

    def close(
        self,
        error: BaseException | None = None,
        *,
        within_s: float = LAST_SPANS_S,
        **attributes: Any,
    ) -> None:
        """End every span and have all of them sent; harmless when repeated.

        Args:
            error: what the run failed of.
            within_s: longest wait, seconds; what has not been sent by then is given up.
            **attributes: of the outermost span.
        """
        sender = self._sender
        with self._lock:
            closed, self._closed = self._closed, True
        if sender is None or closed:
            return
        self.stage(None, error)
        with self._lock:
            unfinished, self._open = self._open - {self._root}, set()
        for span in unfinished:
            span.set(**{"baqup.unfinished": True})
            self._finish(span)
        self._root.set(**attributes, **{"baqup.dropped_spans": sender.dropped or None})
        if error is not None:
            self._root.fail(error)
        self._finish(self._root)
        sender.close(within_s)

    def _begin(self, name: str, parent: Span | Remote | None, start_ns: int) -> Span:
        span = Span(name, self._trace_id, parent, start_ns, self._now_ns)
        if self._sender is not None:
            with self._lock:
                self._open.add(span)
        return span

    def _finish(self, span: Span) -> None:
        span.end_ns = max(span.start_ns, self._now_ns())
        if self._sender is not None:
            self._sender.put(span)

    def _now_ns(self) -> int:
        return self._epoch_ns + int((self._clock.monotonic() - self._monotonic_s) * 1e9)


def start_tracing(
    *,
    enabled: bool,
    endpoint: str | None,
    trace_parent: str | None,
    resource: Mapping[str, str],
    log: LogSink,
    clean: Callable[[str], str],
    started_at: datetime | None = None,
    clock: Clock | None = None,
) -> Tracing:
    """Begin to record a run, if that is wanted and possible; what is in the way costs a log line.

    Args:
        enabled: ``BAQUP_AGENT_TRACING_ENABLED``.
        endpoint: ``BAQUP_AGENT_TRACING_ENDPOINT``, the base URL of an OTLP receiver.
        trace_parent: ``BAQUP_JOB_TRACE_PARENT``; one that is malformed begins a new trace, and one
            whose caller does not record the trace keeps this run from recording too.
        resource: what all spans are about: the agent, the job.
        log: told of trouble.
        clean: takes the secrets out of a text.
        started_at: when the run began.
        clock: measures time from now on.
    """
    if not enabled:
        return Tracing()
    if not endpoint:
        log.warn("tracing is enabled, but has no endpoint; set BAQUP_AGENT_TRACING_ENDPOINT")
        return Tracing()
    remote = parse_trace_parent(trace_parent) if trace_parent else None
    if remote is not None and not remote.sampled:
        log.debug("the caller does not record this trace; neither does the agent")
        return Tracing()
    if trace_parent and remote is None:
        log.warn(
            f"BAQUP_JOB_TRACE_PARENT={clean(trace_parent[:80])!r} is no W3C traceparent "
            "(00-<32 hex digits>-<16>-<2>); a new trace is begun"
        )
    from baqup_agent.observability.otlp import SpanSender, UnusableEndpoint

    try:
        sender = SpanSender(endpoint, resource, log, clean)
        sender.start()
    except (UnusableEndpoint, RuntimeError) as error:
        log.warn(f"tracing is off: {error}")
        return Tracing()
    return Tracing(sender, remote, started_at, clock)


def _plain(value: Any) -> Any:
    """What OTLP can carry of a value; turned into a text here, while the value is as it was."""
    if isinstance(value, bool | float | str):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else str(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value[:ATTRIBUTES_MAX] if item is not None]
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001  an author's object must not fail the job here
        return describe(error)
