"""The bus as the rest of the package sees it: a method for each message (Contract §3)."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from baqup_agent.bus.backoff import Backoff
from baqup_agent.bus.configured import (
    job_id_of,
    known_to,
    new_agent_id,
    open_transport,
    settings_from,
)
from baqup_agent.bus.encoding import to_json
from baqup_agent.bus.event_text import Saying, event_head, event_json, event_saying
from baqup_agent.bus.messages import (
    Heartbeat,
    Intent,
    Progress,
    Stamper,
    Status,
)
from baqup_agent.bus.outage import MessageRejected
from baqup_agent.bus.outbox import Outbox, adopt, open_outbox
from baqup_agent.bus.publisher import Publisher
from baqup_agent.bus.topology import Wire
from baqup_agent.bus.transport import Transport
from baqup_agent.clock import Clock, SystemClock, timestamp
from baqup_agent.config.settings import BusSettings
from baqup_agent.contract import EVENTS_DROPPED, AgentState, ExitCode, Role, RunStatus
from baqup_agent.observability.sink import LogSink

__all__ = ["BusClient", "Cleaner", "new_agent_id", "open_transport", "settings_from"]

#: Longest time that a beat waits for its turn among the numbers, seconds.
_ORDER_S = 0.2


class Cleaner(Protocol):
    """Takes secrets out of messages before they leave the process (Contract §7)."""

    def contains(self, text: str) -> bool:
        """Whether there is anything to take out of a text."""
        ...

    def message(self, wire: Wire) -> dict[str, Any]:
        """Return a message without what must not leave."""
        ...


class BusClient:
    """Reports to the controller. No method but `connect`, `flush`, `stop` and `close` ever waits.

    Args:
        config: the settings of the bus, or the mapping that ``load_config`` returns.
        logger: told of outages.
        job_id: the job; by default ``BAQUP_JOB_ID`` of the mapping, or the logger's.
        agent_id: this process; by default the logger's, or a new one.
        clock: tells and measures time.
        transport: the way to the bus, instead of the one that the URL names.
        cleaner: takes secrets out of messages.

    Raises:
        BusRefused: the URL is malformed.
        ConfigError: a setting or the job's id is missing or invalid.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | BusSettings,
        logger: LogSink,
        *,
        job_id: str | None = None,
        agent_id: str | None = None,
        clock: Clock | None = None,
        transport: Transport | None = None,
        cleaner: Cleaner | None = None,
    ) -> None:
        settings = config if isinstance(config, BusSettings) else settings_from(config)
        clock = clock or SystemClock()
        self._stamper = Stamper(
            job_id or job_id_of(config, logger),
            agent_id or known_to(logger, "agent_id") or new_agent_id(),
            clock,
        )
        self._log = logger.bind("bus")
        self._cleaner = cleaner
        transport = transport or open_transport(settings, self._stamper.job_id)
        self._outbox = self._open_outbox(settings, clock)
        self._publisher = Publisher(
            transport,
            Backoff(settings.reconnect_backoff, settings.reconnect_max_attempts),
            self._log,
            outbox=self._outbox,
            orphans=lambda: adopt(settings.fallback_dir, self.job_id, self.agent_id),
            on_connect=self._follow,
            clock=clock,
        )
        self._publisher.on_tick(self._watch_outbox)
        # Held while a message is stamped and queued, so that numbers go out in order.
        self._order = threading.Lock()
        self._head = event_head(self.job_id, self.agent_id)
        self._closed = False
        self._unkept = 0
        self._told_degraded: str | None = None
        self._told_dropped = 0

    @property
    def job_id(self) -> str:
        """The job that this client reports on."""
        return self._stamper.job_id

    @property
    def agent_id(self) -> str:
        """The agent process that this client reports for."""
        return self._stamper.agent_id

    @property
    def sent(self) -> int:
        """How many messages the bus confirmed."""
        return self._publisher.sent

    @property
    def dropped(self) -> int:
        """How many messages were given up: no room, not acceptable to the bus, or too late."""
        return self.dropped_events + self._publisher.rejected + self._unkept

    @property
    def dropped_events(self) -> int:
        """How many events were given up because too many waited for the bus."""
        return sum(self._outbox.dropped.values())

    def start(self) -> None:
        """Begin to connect in the background; the first message does so by itself."""
        self._publisher.start()

    def connect(self, timeout_s: float = 5.0) -> bool:
        """Begin to connect and wait for the outcome of the first attempt.

        Args:
            timeout_s: longest wait, seconds.

        Returns:
            Whether the bus was reached. If not, it is tried again in the background.

        Raises:
            BusRefused: the bus refused the credentials, or cannot be used as configured.
        """
        return self._publisher.wait_connected(timeout_s)

    def heartbeat(
        self,
        state: AgentState | str,
        *,
        substate: str | None = None,
        intent: Intent | None = None,
        last_progress_at: str | None = None,
        agent_id: str | None = None,
    ) -> Heartbeat:
        """Publish a heartbeat.

        Args:
            state: the phase of the lifecycle.
            substate: the leaf below it.
            intent: a long operation that is under way.
            last_progress_at: when the work itself last moved on, as a timestamp.
            agent_id: from here on the sender of every message.
        """
        if agent_id is not None and agent_id != self.agent_id:
            self._stamper.agent_id = agent_id
            self._head = event_head(self.job_id, agent_id)
        with self._in_order():
            made = Heartbeat(self._stamper.next(), state, substate, intent, last_progress_at)
            self._publisher.put(self._clean(made.to_wire()))
        return made

    def progress(
        self,
        *,
        percent_complete: float | None = None,
        bytes_processed: int = 0,
        files_processed: int = 0,
        current_file: str | None = None,
        estimated_remaining_seconds: float | None = None,
    ) -> Progress:
        """Publish how far the work has come; see `Progress` for the arguments."""
        with self._in_order():
            made = Progress(
                self._stamper.next(),
                percent_complete=percent_complete,
                bytes_processed=bytes_processed,
                files_processed=files_processed,
                current_file=current_file,
                estimated_remaining_seconds=estimated_remaining_seconds,
            )
            self._publisher.put(self._clean(made.to_wire()))
        return made

    def event(
        self,
        code: str,
        *,
        severity: str,
        message: str,
        first_occurrence: datetime | None = None,
        last_occurrence: datetime | None = None,
        count: int = 1,
        sample_paths: Sequence[str] = (),
    ) -> None:
        """Publish one event as it is; `EventLog` coalesces. See `Event` for the arguments.

        It is on disk when this returns, and takes some microseconds.

        Raises:
            InternalError: the code or the severity is malformed.
        """
        saying = event_saying(severity, code, message, count, sample_paths)
        first = timestamp(first_occurrence) if first_occurrence else ""
        last = timestamp(last_occurrence) if last_occurrence else ""
        self._keep_event(severity, saying, first, last)

    def status(self, **members: Any) -> Status:
        """Publish how the job ended and return the message; see `make_status`."""
        with self._order:
            made = self.make_status(**members)
            self._keep("status", "fatal", to_json(made.to_wire()))
        return made

    def make_status(  # noqa: PLR0913  an argument for each member of the message
        self,
        *,
        agent: str,
        role: Role | str,
        status: RunStatus | str,
        started_at: datetime,
        completed_at: datetime,
        exit_code: ExitCode | int,
        agent_version: str | None = None,
        files: Sequence[Mapping[str, Any]] = (),
        metrics: Mapping[str, Any] | None = None,
        warnings_summary: Mapping[str, int] | None = None,
        error: Mapping[str, Any] | None = None,
        summary: Mapping[str, int] | None = None,
        components: Sequence[Mapping[str, Any]] | None = None,
    ) -> Status:
        """Return a status without publishing it; see `Status` for the arguments."""
        return Status(
            self._stamper.next(),
            agent=agent,
            role=role,
            status=status,
            started_at=started_at,
            completed_at=completed_at,
            exit_code=exit_code,
            agent_version=agent_version,
            files=files,
            metrics=metrics or {},
            warnings_summary=warnings_summary or {},
            error=error,
            summary=summary,
            components=components,
        )

    def on_tick(self, tick: Callable[[], None]) -> None:
        """Have ``tick`` called about once a second in the publisher's thread."""
        self._publisher.on_tick(tick)

    def on_reconnect(self, act: Callable[[], None]) -> None:
        """Have ``act`` make a fresh heartbeat after an outage; see `Publisher.on_reconnect`."""
        self._publisher.on_reconnect(act)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything published so far has arrived; see `Publisher.flush`."""
        return self._publisher.flush(timeout_s)

    def stop(self) -> None:
        """Send nothing any more; what is published afterwards is kept in the outbox alone."""
        self._publisher.close()

    def close(self) -> None:
        """Send nothing any more and let go of everything; harmless when repeated.

        What the bus has not confirmed stays in the outbox, from where it can be replayed.
        """
        self.stop()
        with self._order:
            if not self._closed:
                self._closed = True
                self._outbox.close()

    def _keep_event(self, severity: str, saying: Saying, first: str = "", last: str = "") -> bool:
        with self._order:
            moment, seq = self._stamper.next_text()
            return self._keep(
                "event", severity, event_json(self._head, moment, seq, saying, first, last)
            )

    def _keep(self, kind: str, severity: str, text: str) -> bool:
        """Append a record to the outbox; the caller holds the order."""
        if self._closed:
            self._unkept += 1
            return False
        if self._cleaner is not None and self._cleaner.contains(text):
            text = to_json(self._cleaner.message(json.loads(text)))
        kept = self._outbox.append(kind, severity, text) > 0
        self._publisher.wake()
        return kept

    def _clean(self, wire: Wire) -> Wire:
        return wire if self._cleaner is None else self._cleaner.message(wire)

    def _open_outbox(self, settings: BusSettings, clock: Clock) -> Outbox:
        return open_outbox(
            settings.fallback_dir,
            job_id=self.job_id,
            agent_id=self.agent_id,
            key_prefix=settings.key_prefix,
            clock=clock,
        )

    def _follow(self, transport: Transport) -> None:
        """Stamp later than what is on the bus, or it would hide what this process reports."""
        with contextlib.suppress(MessageRejected):  # something odd lies in that place
            self._stamper.follow(transport.newest(self.job_id))

    @contextmanager
    def _in_order(self) -> Iterator[None]:
        """Keep numbers in order, but not at the cost of a beat: the disk may be slow."""
        held = self._order.acquire(timeout=_ORDER_S)
        try:
            yield
        finally:
            if held:
                self._order.release()

    def _watch_outbox(self) -> None:
        """Tell of what the outbox cannot do: in the log at once, on the bus when it is back."""
        if self._outbox.degraded != self._told_degraded:
            self._told_degraded = self._outbox.degraded
            if self._told_degraded is not None:
                self._log.error(
                    "what the bus has not taken may be lost with this process",
                    reason=self._told_degraded,
                )
        if self._publisher.caught_up:
            self.tell_dropped()

    def tell_dropped(self) -> None:
        """Publish one event on the events that were given up, if there are more than before."""
        dropped = self._outbox.dropped
        total = sum(dropped.values())
        if total <= self._told_dropped:
            return
        detail = ", ".join(f"{count} {severity}" for severity, count in dropped.items() if count)
        message = f"too many events waited for the bus and were given up: {detail}"
        # As grave as can be, so that it is not given up for the very reason that it tells of.
        if self._keep_event("fatal", event_saying("warn", EVENTS_DROPPED, message, total, ())):
            self._told_dropped = total
