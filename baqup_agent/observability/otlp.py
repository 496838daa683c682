"""The thread that sends spans to an OTLP receiver over HTTP (Contract §6).

OpenTelemetry's own exporter and span processor stay out: they retry and shut down without a bound
in time, and obey ``OTEL_*`` variables, which count for nothing here. OpenTelemetry's records and
encoder are used, and `requests`, with the network's own variables such as ``HTTPS_PROXY`` and
``REQUESTS_CA_BUNDLE``. Credentials may be part of the endpoint's URL.

What could not be sent is kept, up to `WAITING_MAX` spans, and tried again. The log hears of it
once.
"""

from __future__ import annotations

import gzip
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from baqup_agent.errors import describe
from baqup_agent.observability.sink import LogSink
from baqup_agent.observability.tracing import TEXT_MAX, Remote, Span

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

#: Most ended spans that wait to be sent; the oldest are given up for newer ones.
WAITING_MAX = 2048

#: Spans in one request at most; that many waiting are sent at once.
BATCH = 512

#: Seconds between two requests while the run goes on, and the longest that one of them may take.
SEND_EVERY_S, ANSWER_S = 5.0, 5.0

#: Answers after which the same spans may be sent again, by OTLP's rules.
_TRY_AGAIN = frozenset({429, 502, 503, 504})

_PATH = "/v1/traces"
_SCOPE = "baqup_agent"
_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "gzip",
    "User-Agent": "baqup-agent",
    "Connection": "close",  # the next request is seconds away; an old connection may have gone
}


class UnusableEndpoint(ValueError):
    """The URL names no OTLP receiver that can be reached over HTTP."""


class SendError(Exception):
    """A request failed.

    Attributes:
        again: whether the same spans may be sent again.
    """

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class SpanSender:
    """Sends spans from its own thread; nothing is imported and nobody called before `start`.

    Args:
        endpoint: the receiver's base URL, or the whole URL with ``/v1/traces``.
        resource: attributes of what all spans are about.
        log: told once that spans cannot be sent.
        clean: takes the secrets out of a text.

    Raises:
        UnusableEndpoint: the endpoint is no http or https URL.
    """

    def __init__(
        self,
        endpoint: str,
        resource: Mapping[str, str],
        log: LogSink,
        clean: Callable[[str], str],
    ) -> None:
        self._url, self._display = traces_url(endpoint)
        self._resource = resource
        self._log = log
        self._clean = clean
        self._thread = threading.Thread(target=self._run, name="tracing", daemon=True)
        self._changed = threading.Condition()
        self._waiting: deque[Span] = deque()
        self._closing = False
        self._told = False
        self._failing = False
        self.dropped = 0

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: the system has no thread left.
        """
        self._thread.start()

    def put(self, span: Span) -> None:
        """Take a span that has ended, and return at once."""
        with self._changed:
            self._waiting.append(span)
            self._shed()
            if len(self._waiting) >= BATCH:
                self._changed.notify()

    def close(self, within_s: float) -> None:
        """Send what waits, for ``within_s`` seconds at most; what is left then is given up."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(within_s)
        if self._thread.is_alive():
            self._tell(f"no answer within {within_s:g} s at the end of the run")

    # From here on: the thread, except `_shed` and `_tell`.

    def _run(self) -> None:
        try:
            wire = _Wire(self._url, self._resource, self._clean)
        except ImportError:
            self._tell('OpenTelemetry is not installed: pip install "baqup-agent[tracing]"')
            return
        except Exception as error:  # noqa: BLE001  whatever a foreign library finds wrong
            self._tell(describe(error))
            return
        closing = False
        while not closing:
            closing = self._pause()
            self._send_waiting(wire)

    def _pause(self) -> bool:
        """Wait until it is time to send; return whether it is for the last time."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or (len(self._waiting) >= BATCH and not self._failing),
                SEND_EVERY_S,
            )
            return self._closing

    def _send_waiting(self, wire: _Wire) -> None:
        while batch := self._take():
            try:
                wire.send(batch)
            except SendError as error:
                self._failing = True
                self._tell(str(error))
                if error.again:
                    self._put_back(batch)
                    return
                self.dropped += len(batch)
            else:
                self._failing = False

    def _take(self) -> list[Span]:
        with self._changed:
            return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]

    def _put_back(self, batch: Sequence[Span]) -> None:
        with self._changed:
            self._waiting.extendleft(reversed(batch))
            self._shed()

    def _shed(self) -> None:
        while len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1

    def _tell(self, reason: str) -> None:
        if not self._told:
            self._told = True
            self._log.warn(
                "spans cannot be sent; the job goes on without them",
                endpoint=self._display,
                reason=self._clean(reason),
            )


class _Wire:
    """Spans as OTLP; making one imports OpenTelemetry."""

    def __init__(self, url: str, resource: Mapping[str, str], clean: Callable[[str], str]) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.common import trace_encoder
        from opentelemetry.sdk import resources
        from opentelemetry.sdk import trace as sdk
        from opentelemetry.sdk.util import instrumentation
        from opentelemetry.sdk.version import __version__
        from requests import Session

        self._url, self._clean = url, clean
        self._trace, self._sdk = trace, sdk
        self._encode = trace_encoder.encode_spans
        self._session = Session()
        self._resource_of = resources.Resource
        self._about = {
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": __version__,
            **resource,
        }
        self._scope = instrumentation.InstrumentationScope(_SCOPE)

    def send(self, spans: Sequence[Span]) -> None:
        """Post spans, and wait for the receiver's verdict.

        Raises:
            SendError: it did not take them.
        """
        try:
            resource = self._resource_of(self._attributes(self._about))
            readable = [self._readable(span, resource) for span in spans]
            body = self._encode(readable).SerializeToString()
        except Exception as error:
            raise SendError(describe(error), again=False) from error
        try:
            with self._session.post(
                self._url,
                data=gzip.compress(body),
                headers=_HEADERS,
                timeout=ANSWER_S,
                allow_redirects=False,
                stream=True,  # the answer's body says nothing that is needed
            ) as response:
                status = response.status_code
        except Exception as error:
            raise SendError(describe(_origin(error)), again=True) from error
        if not 200 <= status < 300:  # noqa: PLR2004  success, as HTTP counts
            raise SendError(f"the receiver answered with HTTP {status}", again=status in _TRY_AGAIN)

    def _readable(self, span: Span, resource: Resource) -> ReadableSpan:
        codes = self._trace.StatusCode
        fault = None if span.fault is None else self._text(span.fault)
        return self._sdk.ReadableSpan(
            name=self._text(span.name),
            context=self._context(span.trace_id, span.span_id, remote=False),
            parent=None
            if span.parent is None
            else self._context(
                span.trace_id, span.parent.span_id, remote=isinstance(span.parent, Remote)
            ),
            resource=resource,
            attributes=self._attributes(span.attributes),
            events=[
                self._sdk.Event(self._text(name), self._attributes(attributes), at_ns)
                for at_ns, name, attributes in tuple(span.events)
            ],
            status=self._trace.Status(codes.UNSET if fault is None else codes.ERROR, fault),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )

    def _context(self, trace_id: int, span_id: int, *, remote: bool) -> Any:
        flags = self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED)
        return self._trace.SpanContext(trace_id, span_id, is_remote=remote, trace_flags=flags)

    def _attributes(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        return {self._text(name): self._value(value) for name, value in dict(attributes).items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(item) for item in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        # Cleaned before it is cut, so that no half of a secret is left; UTF-8 has no surrogates.
        return self._clean(text)[:TEXT_MAX].encode("utf-8", "backslashreplace").decode()


def traces_url(endpoint: str) -> tuple[str, str]:
    """Return the URL to post spans to, and that URL without credentials, for people.

    Raises:
        UnusableEndpoint: it is no http or https URL.
    """
    parts = _parts(endpoint)
    if parts is None:
        raise UnusableEndpoint(
            f"BAQUP_AGENT_TRACING_ENDPOINT={_shown(endpoint)!r} is no http or https URL; "
            "give an OTLP/HTTP receiver such as http://collector:4318"
        )
    path = parts.path.rstrip("/")
    parts = parts._replace(path=path if path.endswith(_PATH) else path + _PATH, fragment="")
    return urlunsplit(parts), urlunsplit(
        parts._replace(netloc=parts.netloc.rpartition("@")[2], query="")
    )


def _origin(error: BaseException) -> BaseException:
    """The error that all others were made of; they only repeat it at length."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _parts(endpoint: str) -> SplitResult | None:
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, say
        return None
    return parts if usable else None


def _shown(endpoint: str) -> str:
    """An endpoint with anything that may be a credential left out."""
    scheme, separator, rest = endpoint.partition("://")
    return (scheme + separator + rest.rpartition("@")[2])[:100] if separator else endpoint[:100]
