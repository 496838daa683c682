"""What the configuration makes of the bus: its settings, whose messages they are, the way to it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baqup_agent.bus.transport import Transport
from baqup_agent.bus.url import FileUrl, parse_bus_url
from baqup_agent.config.settings import BusSettings
from baqup_agent.errors import BusRefused, ConfigError
from baqup_agent.observability.sink import LogSink
from baqup_agent.security.secret import Secret

_VARIABLES = {
    "key_prefix": "BAQUP_BUS_KEY_PREFIX",
    "fallback_dir": "BAQUP_BUS_FALLBACK_DIR",
    "reconnect_max_attempts": "BAQUP_BUS_RECONNECT_MAX_ATTEMPTS",
    "reconnect_backoff": "BAQUP_BUS_RECONNECT_BACKOFF",
    "grace_period_s": "BAQUP_BUS_GRACE_PERIOD",
}


def open_transport(settings: BusSettings, job_id: str) -> Transport:
    """Return the transport that the URL's scheme asks for; nothing is connected yet.

    Raises:
        BusRefused: the URL is malformed.
    """
    url = parse_bus_url(settings.url, settings.password)
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
    password = config.get("BAQUP_SECRET_BUS_PASSWORD")
    return BusSettings(
        url=_secret(url), password=None if password is None else _secret(password), **given
    )


def _secret(value: object) -> Secret:
    return value if isinstance(value, Secret) else Secret(str(value))


def new_agent_id(agent: str = "agent") -> str:
    """Return a fresh id for this process, for instance ``agent-fs-7f8a9b``."""
    return f"{agent}-{secrets.token_hex(3)}"


def job_id_of(config: Mapping[str, Any] | BusSettings, logger: LogSink) -> str:
    """Return ``BAQUP_JOB_ID`` of the mapping, or the logger's job.

    Raises:
        ConfigError: neither names one.
    """
    named = None if isinstance(config, BusSettings) else config.get("BAQUP_JOB_ID")
    job_id = named or known_to(logger, "job_id")
    if not job_id:
        raise ConfigError("BAQUP_JOB_ID is not set; every message names its job, so set a UUID")
    return str(job_id)


def known_to(logger: LogSink, name: str) -> str | None:
    """Return what a logger knows of whose records it writes; None if it does not."""
    # The package's own logger knows whose records it writes; others need not.
    value = getattr(logger, name, None)
    return value if isinstance(value, str) else None
