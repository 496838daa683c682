"""The bus as the rest of the package sees it: a method for each message (Contract §3)."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from baqup_agent.bus.backoff import Backoff
from baqup_agent.bus.messages import Event, Heartbeat, Intent, Message, Progress, Stamper, Status
from baqup_agent.bus.publisher import Publisher
from baqup_agent.bus.transport import Transport
from baqup_agent.bus.url import FileUrl, parse_bus_url
from baqup_agent.clock import Clock, SystemClock
from baqup_agent.config.settings import BusSettings
from baqup_agent.contract import AgentState, ExitCode, Role, RunStatus
from baqup_agent.errors import BusRefused, ConfigError
from baqup_agent.observability.sink import LogSink
from baqup_agent.security.secret import Secret

M = TypeVar("M", bound=Message)


class BusClient:
    """Reports to the controller. No method but `connect`, `flush` and `close` ever waits.

    Args:
        config: the settings of the bus, or the mapping that ``load_config`` returns.
        logger: told of outages.
        job_id: the job; by default ``BAQUP_JOB_ID`` of the mapping, or the logger's.
        agent_id: this process; by default the logger's, or a new one.
        clock: tells and measures time.
        transport: the way to the bus, instead of the one that the URL names.

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
    ) -> None:
        settings = config if isinstance(config, BusSettings) else settings_from(config)
        clock = clock or SystemClock()
        self._stamper = Stamper(
            job_id or _job_id(config, logger),
            agent_id or _known(logger, "agent_id") or new_agent_id(),
            clock,
        )
        self._clock = clock
        self._publisher = Publisher(
            transport or open_transport(settings, self._stamper.job_id),
            Backoff(settings.reconnect_backoff, settings.reconnect_max_attempts),
            logger.bind("bus"),
            clock=clock,
        )
        # Held while a message is stamped and queued, so that numbers go out in order.
        self._order = threading.Lock()

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
        """How many messages were given up."""
        return self._publisher.dropped

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
        if agent_id is not None:
            self._stamper.agent_id = agent_id
        return self._publish(
            lambda: Heartbeat(self._stamper.next(), state, substate, intent, last_progress_at)
        )

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
        return self._publish(
            lambda: Progress(
                self._stamper.next(),
                percent_complete=percent_complete,
                bytes_processed=bytes_processed,
                files_processed=files_processed,
                current_file=current_file,
                estimated_remaining_seconds=estimated_remaining_seconds,
            )
        )

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
    ) -> Event:
        """Publish one event as it is; `EventLog` coalesces. See `Event` for the arguments."""
        now = self._clock.now()
        return self._publish(
            lambda: Event(
                self._stamper.next(),
                code=code,
                severity=severity,
                message=message,
                first_occurrence=first_occurrence or now,
                last_occurrence=last_occurrence or now,
                count=count,
                sample_paths=sample_paths,
            )
        )

    def status(self, **members: Any) -> Status:
        """Publish how the job ended and return the message; see `make_status`."""
        return self._publish(lambda: self.make_status(**members))

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

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything published so far has arrived; see `Publisher.flush`."""
        return self._publisher.flush(timeout_s)

    def close(self) -> None:
        """Send nothing any more and let go of the connection; harmless when repeated."""
        self._publisher.close()

    def _publish(self, make: Callable[[], M]) -> M:
        with self._order:
            message = make()
            self._publisher.publish(message)
        return message


def open_transport(settings: BusSettings, job_id: str) -> Transport:
    """Return the transport that the URL's scheme asks for; nothing is connected yet.

    Raises:
        BusRefused: the URL is malformed.
    """
    url = parse_bus_url(settings.url)
    if isinstance(url, FileUrl):
        from baqup_agent.bus.file_transport import FileTransport

        return FileTransport(url, job_id)
    from baqup_agent.bus.redis_transport import RedisTransport

    return RedisTransport(url, settings.key_prefix)


def settings_from(config: Mapping[str, Any]) -> BusSettings:
    """Return the bus's settings from coerced variables, with the contract's defaults.

    Raises:
        BusRefused: ``BAQUP_BUS_URL`` is missing.
    """
    url = config.get("BAQUP_BUS_URL")
    if url is None:
        raise BusRefused("BAQUP_BUS_URL is not set; set it to redis://host:6379/0 or file:///dir")
    given: dict[str, Any] = {
        name: config[variable]
        for name, variable in _VARIABLES.items()
        if config.get(variable) is not None
    }
    if "fallback_dir" in given:
        given["fallback_dir"] = Path(given["fallback_dir"])
    return BusSettings(url=url if isinstance(url, Secret) else Secret(str(url)), **given)


_VARIABLES = {
    "key_prefix": "BAQUP_BUS_KEY_PREFIX",
    "fallback_dir": "BAQUP_BUS_FALLBACK_DIR",
    "reconnect_max_attempts": "BAQUP_BUS_RECONNECT_MAX_ATTEMPTS",
    "reconnect_backoff": "BAQUP_BUS_RECONNECT_BACKOFF",
    "grace_period_s": "BAQUP_BUS_GRACE_PERIOD",
}


def new_agent_id(agent: str = "agent") -> str:
    """Return a fresh id for this process, for instance ``agent-fs-7f8a9b``."""
    return f"{agent}-{secrets.token_hex(3)}"


def _job_id(config: Mapping[str, Any] | BusSettings, logger: LogSink) -> str:
    named = None if isinstance(config, BusSettings) else config.get("BAQUP_JOB_ID")
    job_id = named or _known(logger, "job_id")
    if not job_id:
        raise ConfigError("BAQUP_JOB_ID is not set; every message names its job, so set a UUID")
    return str(job_id)


def _known(logger: LogSink, name: str) -> str | None:
    # The package's own logger knows whose records it writes; others need not.
    value = getattr(logger, name, None)
    return value if isinstance(value, str) else None
