"""What agents say of themselves."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from baqup_agent.packaging.description import Description, describe

INFO = {
    "agent": "agent-x",
    "version": "1.2.3",
    "roles": ["snapshot", "restore"],
    "requirements": {"min_memory": "64M", "recommended_memory": "1G"},
    "stop_grace_seconds": 67,
}


@cache
def agent_fs() -> Description:
    """The built-in agent, asked."""
    return describe([sys.executable, "-m", "baqup_agent.agents.fs"])


def described(schema: dict[str, Any] | None = None, **info: Any) -> Description:
    """An agent that says this."""
    return Description({**INFO, **info}, schema)


def schema_with(*required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    """A schema of some variables, beside the three that every job has."""
    names = ("BAQUP_JOB_ID", "BAQUP_STAGING_DIR", "BAQUP_BUS_URL")
    always = {name: {"type": "string"} for name in names}
    return {
        "type": "object",
        "properties": {**always, **properties},
        "required": [*always, *required],
    }
