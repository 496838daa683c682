"""The contract's variables as typed, frozen records; one record for each prefix (Contract §2).

Each field names its variable in its metadata; `baqup_agent.config.structure` fills them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import NOTHING, field, frozen

from baqup_agent.config.units import size_bytes
from baqup_agent.contract import LogLevel, PartialFailureMode
from baqup_agent.security.secret import Secret


def _from(variable: str, default: Any = NOTHING) -> Any:
    """A field that is filled from ``variable``."""
    return field(default=default, metadata={"variable": variable})


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

    id: str = _from("BAQUP_JOB_ID")
    timeout_s: int = _from("BAQUP_JOB_TIMEOUT", 3600)
    retry_max: int = _from("BAQUP_JOB_RETRY_MAX", 3)
    retry_backoff: str = _from("BAQUP_JOB_RETRY_BACKOFF", "exponential")
    trace_parent: str | None = _from("BAQUP_JOB_TRACE_PARENT", None)


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
        tracing_enabled: whether spans are sent, if there is an endpoint.
        tracing_endpoint: an OTLP receiver's URL.
        trace_file: where transitions are written as JSON Lines.
    """

    heartbeat_interval_s: int = _from("BAQUP_AGENT_HEARTBEAT_INTERVAL", 10)
    log_level: LogLevel = _from("BAQUP_AGENT_LOG_LEVEL", LogLevel.INFO)
    log_format: str = _from("BAQUP_AGENT_LOG_FORMAT", "json")
    log_sanitize: str = _from("BAQUP_AGENT_LOG_SANITIZE", "moderate")
    partial_failure_mode: PartialFailureMode = _from(
        "BAQUP_AGENT_PARTIAL_FAILURE_MODE", PartialFailureMode.FAIL
    )
    memory_limit: str = _from("BAQUP_AGENT_MEMORY_LIMIT", "auto")
    parallelism: int = _from("BAQUP_AGENT_PARALLELISM", 0)
    tracing_enabled: bool = _from("BAQUP_AGENT_TRACING_ENABLED", default=False)
    tracing_endpoint: str | None = _from("BAQUP_AGENT_TRACING_ENDPOINT", None)
    trace_file: Path | None = _from("BAQUP_AGENT_TRACE_FILE", None)


@frozen
class ArtifactSettings:
    """``BAQUP_ARTIFACT_*``: the form of artifacts.

    Attributes:
        compression: ``zstd``, ``gzip``, ``lz4`` or ``none``.
        compression_level: level of that algorithm.
        checksum_algorithm: ``sha256``, ``sha512`` or ``blake3``.
        retain_on_failure: keep ``.staging`` when the job fails.
        encrypt: whether artifacts are encrypted.
        encryption: ``aes-256-gcm`` or ``chacha20-poly1305``.
        key_id: which key it is, for whoever decrypts.
        key: the key itself, or a passphrase.
        split_size: the largest file that is stored, a size such as ``1G``; 0 for any size.
    """

    compression: str = _from("BAQUP_ARTIFACT_COMPRESS_ALGORITHM", "zstd")
    compression_level: int = _from("BAQUP_ARTIFACT_COMPRESS_LEVEL", 3)
    checksum_algorithm: str = _from("BAQUP_ARTIFACT_CHECKSUM_ALGORITHM", "sha256")
    retain_on_failure: bool = _from("BAQUP_ARTIFACT_RETAIN_ON_FAILURE", default=True)
    encrypt: bool = _from("BAQUP_ARTIFACT_ENCRYPT", default=False)
    encryption: str = _from("BAQUP_ARTIFACT_ENCRYPT_ALGORITHM", "aes-256-gcm")
    key_id: str | None = _from("BAQUP_ARTIFACT_ENCRYPT_KEY_ID", None)
    key: Secret | None = _from("BAQUP_SECRET_ARTIFACT_KEY", None)
    split_size: str = _from("BAQUP_ARTIFACT_SPLIT_SIZE", "0")

    @property
    def split_bytes(self) -> int:
        """`split_size` as a number of bytes."""
        return size_bytes(self.split_size)


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
        password: the password where the URL names none.
    """

    url: Secret = _from("BAQUP_BUS_URL")
    key_prefix: str = _from("BAQUP_BUS_KEY_PREFIX", "baqup:")
    fallback_dir: Path = _from(
        "BAQUP_BUS_FALLBACK_DIR",
        Path("/tmp/baqup-buffer"),  # noqa: S108  the contract's default
    )
    reconnect_max_attempts: int = _from("BAQUP_BUS_RECONNECT_MAX_ATTEMPTS", 10)
    reconnect_backoff: str = _from("BAQUP_BUS_RECONNECT_BACKOFF", "exponential")
    grace_period_s: int = _from("BAQUP_BUS_GRACE_PERIOD", 30)
    password: Secret | None = _from("BAQUP_SECRET_BUS_PASSWORD", None)


@frozen
class Settings:
    """All of a job's settings."""

    job: JobSettings
    agent: AgentSettings
    artifact: ArtifactSettings
    bus: BusSettings
    staging_dir: Path = _from("BAQUP_STAGING_DIR")
