"""Reads a job's environment for one agent and role."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from baqup_agent.agent import Agent
from baqup_agent.config.findings import Finding, Loaded, in_order
from baqup_agent.config.reading import read_environment
from baqup_agent.contract import Role
from baqup_agent.errors import BusRefused, ConfigError
from baqup_agent.security.secret import Secret

_WORD = r"[A-Za-z0-9._~-]"

#: URLs of which nothing can be wrong. Parsing one takes longer to import than all the rest of
#: ``--validate``, so these plain ones, which are nearly all, are let pass.
PLAIN_URL = (
    rf"rediss?://(?:{_WORD}*:{_WORD}+@)?[A-Za-z0-9][A-Za-z0-9.-]*(?::[1-9][0-9]{{0,3}})?(?:/[0-9])?"
    rf"|file://(?:/{_WORD}+)+"
)


_LEVEL = "BAQUP_ARTIFACT_COMPRESS_LEVEL"

#: A level that every algorithm knows; nothing is imported to find that out.
_COMMON_LEVEL = 3


def read(agent_class: type[Agent], role: Role | None, environ: Mapping[str, str]) -> Loaded:
    """Load ``environ`` against what the agent declares and the role requires."""
    word = None if role is None else role.value
    loaded = read_environment(agent_class.declaration(), environ, word)
    further = [
        *_refused_bus(loaded.values),
        *_refused_level(loaded.values),
        *_refused_key(loaded.values),
    ]
    if not (loaded.findings or further):
        further += _refused_settings(agent_class, role, loaded.values)
    return loaded._replace(findings=in_order((*loaded.findings, *further)))


def _refused_bus(values: Mapping[str, Any]) -> Iterator[Finding]:
    """What a schema cannot say of the bus's URL."""
    url, password = values.get("BAQUP_BUS_URL"), values.get("BAQUP_SECRET_BUS_PASSWORD")
    if url is None or (password is None and re.fullmatch(PLAIN_URL, url)):
        return
    if password is not None and not _is_utf8(password):  # what a Redis server is sent
        message = "BAQUP_SECRET_BUS_PASSWORD (value not shown): expected text in UTF-8"
        yield Finding(("BAQUP_SECRET_BUS_PASSWORD",), "format", message)
        return
    from baqup_agent.bus.url import parse_bus_url

    try:
        parse_bus_url(url, password)
    except BusRefused as error:
        for problem in error.problems:
            yield Finding(("BAQUP_BUS_URL",), "format", problem)


def _refused_key(values: Mapping[str, Any]) -> Iterator[Finding]:
    """A key that is missing, or has not the form that its cipher asks for."""
    if not values.get("BAQUP_ARTIFACT_ENCRYPT"):
        return
    from baqup_agent.config.settings import ArtifactSettings
    from baqup_agent.staging.cipher import check_encryption

    algorithm = values.get("BAQUP_ARTIFACT_ENCRYPT_ALGORITHM", "aes-256-gcm")
    key = values.get("BAQUP_SECRET_ARTIFACT_KEY")
    try:
        check_encryption(ArtifactSettings(encrypt=True, encryption=algorithm, key=key))
    except ConfigError as error:
        for problem in error.problems:
            yield Finding(("BAQUP_SECRET_ARTIFACT_KEY",), "rule", problem)


def _refused_level(values: Mapping[str, Any]) -> Iterator[Finding]:
    """A level that the algorithm does not know; each has levels of its own."""
    level, compress = values.get(_LEVEL, _COMMON_LEVEL), values.get("BAQUP_ARTIFACT_COMPRESS", True)
    algorithm = values.get("BAQUP_ARTIFACT_COMPRESS_ALGORITHM")
    if level == _COMMON_LEVEL or algorithm is None or not compress:
        return
    from baqup_agent.config.settings import ArtifactSettings
    from baqup_agent.staging.codec import check_level

    try:
        check_level(ArtifactSettings(compression=algorithm, compression_level=level))
    except ConfigError as error:
        for problem in error.problems:
            yield Finding((_LEVEL,), "rule", problem)


def _is_utf8(secret: Secret) -> bool:
    try:
        secret.reveal().encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused_settings(
    agent_class: type[Agent], role: Role | None, values: Mapping[str, Any]
) -> Iterator[Finding]:
    """What the author's own class of settings objects to."""
    settings = agent_class.settings
    if isinstance(settings, Mapping):
        settings = None if role is None else settings.get(role.value)
    if settings is None:
        return
    from baqup_agent.config.records import record_of

    try:
        record_of(settings, values)
    except ConfigError as error:
        for problem in error.problems:
            yield Finding((), "rule", problem)
