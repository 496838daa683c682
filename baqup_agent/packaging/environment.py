"""What stands in the environment of one job's container (Contract §2).

What was given is checked against the agent's schema here, not by a cluster later. What the role
needs and nobody gave is filled in where there is a sensible answer: the places of volumes, and the
bus. Secrets are named, and never shown.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from baqup_agent.config.declaration import contract
from baqup_agent.config.findings import Finding
from baqup_agent.config.schema import ROLE, schema_of
from baqup_agent.config.schema_loading import forms_of, load
from baqup_agent.config.variables import SECRET_PREFIX
from baqup_agent.contract import Role
from baqup_agent.errors import ConfigError

JOB_ID = "BAQUP_JOB_ID"
STAGING = "BAQUP_STAGING_DIR"
BUS_URL = "BAQUP_BUS_URL"
SOURCE = "BAQUP_SOURCE_PATH"
TARGET = "BAQUP_TARGET_PATH"

#: What stands for variables that a role needs and nobody gave.
FILLED: Mapping[str, str] = {
    STAGING: "/staging",
    SOURCE: "/source",
    TARGET: "/target",
    BUS_URL: "redis://redis:6379/0",
}

#: Rules whose findings are about what is not there.
_ABSENT = frozenset({"required", "dependentRequired"})

#: Stands for a secret that the container will have and nobody here shall see.
_UNSEEN = "-"


@frozen
class ContainerEnvironment:
    """The environment of one job, the job's id aside.

    Attributes:
        plain: the variables whose values may be shown, sorted.
        secrets: the variables that come from a secret, sorted; whether the job needs each.
        defaults: what the schema says of variables that nobody set.
        oddities: names that nothing declares, one line each.
    """

    plain: Mapping[str, str]
    secrets: Mapping[str, bool]
    defaults: Mapping[str, Any]
    oddities: tuple[str, ...]


def container_environment(
    schema: Mapping[str, Any] | None, role: str, given: Mapping[str, str]
) -> ContainerEnvironment:
    """Return the environment of ``role``.

    Args:
        schema: the agent's schema; None takes the contract's variables alone.
        role: what the agent shall do.
        given: the variables that were given, by name; may hold secrets.

    Raises:
        ConfigError: what was given breaks the schema, or what the role needs is not there and
            cannot be filled in; everything that is wrong is told.
    """
    declared = schema_of(contract()) if schema is None else schema
    forms = {name: form for name, form in forms_of(declared).items() if name != ROLE}
    whole = {JOB_ID: str(uuid.UUID(int=0)), **given}
    loaded = load(declared, whole, role)
    while added := _filling(loaded.findings, forms, role):  # it may need others again
        whole |= added
        loaded = load(declared, whole, role)
    if loaded.findings:
        raise ConfigError(*map(_with_remedy, loaded.findings))
    hidden = {name for name, text in whole.items() if _is_secret(name, forms) or _tells(text)}
    optional = {name for name in forms if _is_secret(name, forms)} - hidden
    return ContainerEnvironment(
        plain={name: whole[name] for name in sorted(whole) if name not in {*hidden, JOB_ID}},
        secrets={name: name in hidden for name in sorted(hidden | optional)},
        defaults={name: form["default"] for name, form in forms.items() if "default" in form},
        oddities=loaded.warnings,
    )


def _filling(
    findings: Iterable[Finding], forms: Mapping[str, Mapping[str, Any]], role: str
) -> dict[str, str]:
    """Values for what is missing, as far as they can be told."""
    missing = [finding.variable for finding in findings if finding.keyword in _ABSENT]
    known = dict(FILLED)
    if role == Role.RESTORE:
        del known[SOURCE]  # one published directory, which nobody can guess
    return {
        name: _UNSEEN if _is_secret(name, forms) else known[name]
        for name in missing
        if name in known or _is_secret(name, forms)
    }


def _with_remedy(finding: Finding) -> str:
    if finding.keyword not in _ABSENT:
        return finding.message
    example = f"{FILLED[STAGING]}/ID-OF-THE-JOB" if finding.variable == SOURCE else "VALUE"
    return f"{finding.message}; give --env {finding.variable}={example} or an --env-file"


def _is_secret(name: str, forms: Mapping[str, Mapping[str, Any]]) -> bool:
    return name.startswith(SECRET_PREFIX) or bool(forms.get(name, {}).get("writeOnly"))


def _tells(text: str) -> bool:
    """Whether a value is a URL that carries a password."""
    if "://" not in text:
        return False
    try:
        url = urlsplit(text)
    except ValueError:
        return True  # nobody can tell: better hidden than shown
    return url.password is not None or "password=" in url.query.lower()
