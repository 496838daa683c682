"""The contract's variables as typed, frozen records; one record for each prefix (Contract §2)."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from baqup_agent.contract import LogLevel, PartialFailureMode
from baqup_agent.security.secret import Secret


@frozen
class JobSettings:
    """``BAQUP_JOB_*``: what is asked for.

    Attributes:
        id: the job's UUID in its canonical text form.
        timeout_s: longest stay in ``running``, seconds.
        retry_max: most attempts that `Job.retry` makes.
        retry_backoff: ``linear``, ``exponential``, ``fibonacci`` or ``constant``.
        trace_parent: W3C trace context of the caller.
    """

    id: str
    timeout_s: int = 3600
    retry_max: int = 3
    retry_backoff: str = "exponential"
    trace_parent: str | None = None


@frozen
class AgentSettings:
    """``BAQUP_AGENT_*``: how the agent behaves.

    Attributes:
        heartbeat_interval_s: seconds between beats.
        log_level: least severe level that is written.
        log_format: ``json``, ``text`` or ``logfmt``.
        log_sanitize: ``strict``, ``moderate`` or ``none``.
        partial_failure_mode: how a run ends of which some components failed.
        memory_limit: ``auto`` or a size such as ``512M``.
        parallelism: workers; 0 lets the agent choose.
        trace_file: where transitions are written as JSON Lines.
    """

    heartbeat_interval_s: int = 10
    log_level: LogLevel = LogLevel.INFO
    log_format: str = "json"
    log_sanitize: str = "moderate"
    partial_failure_mode: PartialFailureMode = PartialFailureMode.FAIL
    memory_limit: str = "auto"
    parallelism: int = 0
    trace_file: Path | None = None


@frozen
class ArtifactSettings:
    """``BAQUP_ARTIFACT_*``: the form of artifacts.

    Attributes:
        compression: ``zstd``, ``gzip``, ``lz4`` or ``none``.
        compression_level: level of that algorithm.
        checksum_algorithm: ``sha256``, ``sha512`` or ``blake3``.
        retain_on_failure: keep ``.staging`` when the job fails.
    """

    compression: str = "zstd"
    compression_level: int = 3
    checksum_algorithm: str = "sha256"
    retain_on_failure: bool = True


@frozen
class BusSettings:
    """``BAQUP_BUS_*``: where reports go.

    Attributes:
        url: ``redis://…`` or ``file:///dir``; a secret, because it may carry a password.
        key_prefix: what every key begins with.
        fallback_dir: where messages are kept while the bus is away.
        reconnect_max_attempts: connection attempts in one outage.
        reconnect_backoff: ``linear``, ``exponential`` or ``constant``.
        grace_period_s: seconds to wait for the bus at the end of a run.
    """

    url: Secret
    key_prefix: str = "baqup:"
    fallback_dir: Path = Path("/tmp/baqup-buffer")  # noqa: S108  the contract's default
    reconnect_max_attempts: int = 10
    reconnect_backoff: str = "exponential"
    grace_period_s: int = 30


@frozen
class Settings:
    """All of a job's settings."""

    job: JobSettings
    agent: AgentSettings
    artifact: ArtifactSettings
    bus: BusSettings
    staging_dir: Path
