"""Where the environment comes in.

The only module of the package that reads the process's environment (Contract §2).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from baqup_agent.config.variables import SECRET_PREFIX


def environment() -> Mapping[str, str]:
    """Return the process's environment."""
    return os.environ


def mark_environment(name: str, value: str) -> None:
    """Set a variable that every child process inherits."""
    os.environ[name] = value


def environment_for_children() -> dict[str, str]:
    """Return the process's environment without secrets and without the bus's URL."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(SECRET_PREFIX) and name != "BAQUP_BUS_URL"
    }


def load_config(schema_path: str | os.PathLike[str], role: str | None = None) -> dict[str, Any]:
    """Load the process's environment against an ``agent-schema.json``.

    Args:
        schema_path: a JSON Schema (draft 2020-12) whose properties are variables' names.
        role: the job's role, for a schema that asks for more in some roles.

    Returns:
        The variables by name, coerced, with the schema's defaults; secrets as `Secret`.

    Raises:
        ConfigError: the schema cannot be read, or the environment does not fit it.
    """
    from baqup_agent.config.schema_file import read_schema
    from baqup_agent.config.schema_loading import load

    return load(read_schema(schema_path), environment(), role).require()
