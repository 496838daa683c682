"""Reads an ``agent-schema.json``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from baqup_agent.errors import ConfigError


def read_schema(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the schema in a file.

    Raises:
        ConfigError: it cannot be read, or is no JSON Schema of an object.
    """
    place = Path(path)
    try:
        schema = json.loads(place.read_text("utf-8"))
    except OSError as error:
        raise _unusable(place, error.strerror or "unreadable") from error
    except (ValueError, RecursionError) as error:
        raise _unusable(place, "it is not JSON") from error
    if not isinstance(schema, dict):
        raise _unusable(place, "it is not an object")
    why = fault_of(schema)
    if why is not None:
        raise _unusable(place, why)
    return schema


def fault_of(schema: dict[str, Any]) -> str | None:
    """Return why a schema is none, if it is none."""
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "/".join(map(str, error.absolute_path))
        return f"it is no JSON Schema, see {where or 'its top'} (rule {error.validator!r})"
    except RecursionError:
        return "it is nested too deeply"
    return None


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the schema {path} cannot be used: {why}; give the path of the agent's agent-schema.json"
    )
