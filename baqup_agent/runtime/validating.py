"""The answer to ``--validate``: whether the environment would do, or all that is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from baqup_agent.agent import Agent
from baqup_agent.config.findings import Finding, Loaded
from baqup_agent.contract import ExitCode, Role
from baqup_agent.runtime.configuring import read


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
    code = ExitCode.USAGE_CONFIG_ERROR if loaded.findings else ExitCode.SUCCESS
    text = _document(agent_class, role, loaded) if as_json else "\n".join(_lines(loaded))
    return text, code


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
