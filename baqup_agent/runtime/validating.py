"""The answer to ``--validate``: whether the environment would do, or all that is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from baqup_agent.agent import Agent
from baqup_agent.config.findings import Finding, Loaded, in_order
from baqup_agent.config.variables import SECRET_PREFIX
from baqup_agent.config.wording import shortened
from baqup_agent.contract import ExitCode, Role
from baqup_agent.runtime.configuring import read

_ENABLED = "BAQUP_AGENT_TRACING_ENABLED"
_ENDPOINT = "BAQUP_AGENT_TRACING_ENDPOINT"
_TRACE_PARENT = "BAQUP_JOB_TRACE_PARENT"

#: Endpoints of which nothing can be wrong; what judges all others takes long to import.
_PLAIN_ENDPOINT = r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(?::[1-9][0-9]{0,3})?(?:/[A-Za-z0-9._-]+)*/?"


def validity(
    agent_class: type[Agent],
    role: Role | None,
    environ: Mapping[str, str],
    *,
    as_json: bool = False,
    strict: bool = False,
) -> tuple[str, ExitCode]:
    """Check an environment without running anything.

    Args:
        agent_class: who would run.
        role: in which role; None checks what every role needs.
        environ: the variables by name.
        as_json: answer as one document instead of lines.
        strict: take unknown names for mistakes.

    Returns:
        The answer without a line break at its end, and 0 or 64.
    """
    loaded = read(agent_class, role, environ)
    if strict:
        loaded = loaded.strict()
    told = in_order((*loaded.oddities, *_vain(loaded.values, environ)))
    loaded = loaded._replace(oddities=told)
    code = ExitCode.USAGE_CONFIG_ERROR if loaded.findings else ExitCode.SUCCESS
    text = _document(agent_class, role, loaded) if as_json else "\n".join(_lines(loaded))
    return text, code


def _vain(values: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[Finding]:
    """What is wrong with tracing: a run does without it, and says so only in its log."""
    endpoint, parent = values.get(_ENDPOINT), values.get(_TRACE_PARENT)
    if values.get(_ENABLED) and not endpoint and not environ.get(_ENDPOINT):
        message = f"{_ENABLED}=true, but there is no endpoint; set {_ENDPOINT}"
        yield Finding((_ENABLED,), "rule", message)
    if endpoint and not re.fullmatch(_PLAIN_ENDPOINT, endpoint):
        yield from _vain_endpoint(endpoint)
    if parent:
        yield from _vain_parent(parent, environ)


def _vain_endpoint(endpoint: str) -> Iterator[Finding]:
    from baqup_agent.observability.otlp import UnusableEndpoint, traces_url

    try:
        traces_url(endpoint)
    except UnusableEndpoint:  # its own words repeat the URL, which may hold a password
        message = (
            f"{_ENDPOINT} (value not shown) is no http or https URL; "
            "give an OTLP/HTTP receiver such as http://collector:4318"
        )
        yield Finding((_ENDPOINT,), "rule", message)


def _vain_parent(parent: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    from baqup_agent.observability.tracing import parse_trace_parent

    if parse_trace_parent(parent) is None:
        from baqup_agent.observability.redaction import Redactor
        from baqup_agent.security.secret import Secret

        secrets = [Secret(text) for name, text in environ.items() if name.startswith(SECRET_PREFIX)]
        message = (
            f"{_TRACE_PARENT}={shortened(Redactor(secrets).text(parent))} is no W3C traceparent; "
            "give one such as 00-<32 hex digits>-<16>-<2>, or the run begins a trace of its own"
        )
        yield Finding((_TRACE_PARENT,), "rule", message)


def _lines(loaded: Loaded) -> list[str]:
    verdict = loaded.problems or ("the configuration is valid",)
    return [*verdict, *(f"warning: {line}" for line in loaded.warnings)]


def _document(agent_class: type[Agent], role: Role | None, loaded: Loaded) -> str:
    document = {
        "agent": agent_class.name,
        "version": agent_class.version,
        "role": None if role is None else role.value,
        "valid": not loaded.findings,
        "problems": _members(loaded.findings),
        "warnings": _members(loaded.oddities),
    }
    return json.dumps(document, indent=2)


def _members(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "variable": finding.variable or None,
            "path": list(finding.path),
            "keyword": finding.keyword,
            "message": finding.message,
        }
        for finding in findings
    ]
