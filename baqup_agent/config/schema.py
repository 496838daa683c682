"""Variables as JSON Schema, draft 2020-12, the form in which agents publish them (Contract §2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from baqup_agent.config.variables import SECRET_PREFIX, Kind, Variable

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: What each kind of variable is in JSON Schema.
_FORMS: Mapping[Kind, dict[str, Any]] = {
    Kind.STRING: {"type": "string"},
    Kind.INT: {"type": "integer"},
    Kind.FLOAT: {"type": "number"},
    Kind.BOOL: {"type": "boolean"},
    Kind.ENUM: {"type": "string"},
    Kind.ARRAY: {"type": "array", "items": {"type": "string"}},
    Kind.PATH: {"type": "string", "format": "path", "minLength": 1},
    Kind.URI: {"type": "string", "format": "uri", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:.+"},
    Kind.HOSTNAME: {"type": "string", "format": "hostname", "pattern": r"^[^\s/@]+$"},
    Kind.SIZE: {"type": "string", "pattern": r"^(auto|[0-9]+([KMGT]i?B?|B)?)$"},
    Kind.UUID: {
        "type": "string",
        "format": "uuid",
        "maxLength": 36,  # Python's $ admits a line break behind it
        "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    },
    Kind.SECRET: {"type": "string", "writeOnly": True},
}


def schema_of(variables: Iterable[Variable], required: Iterable[str] = ()) -> dict[str, Any]:
    """Return the schema of an environment made of ``variables``.

    Args:
        variables: the declared ones.
        required: names that are required beyond those declared so, for example by a role.
    """
    known = tuple(variables)
    always = {variable.name for variable in known if variable.required}
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": {variable.name: _property(variable) for variable in known},
        "patternProperties": {f"^{SECRET_PREFIX}[A-Z0-9_]+$": _FORMS[Kind.SECRET]},
        "required": sorted(always | set(required)),
    }


def _property(variable: Variable) -> dict[str, Any]:
    form = {**_FORMS[variable.kind], "description": variable.description}
    if variable.default is not None:
        default = variable.default
        form["default"] = [default] if variable.kind is Kind.ARRAY else default
    if variable.choices:
        form["enum"] = list(variable.choices)
    if variable.minimum is not None:
        form["minimum"] = variable.minimum
    if variable.maximum is not None:
        form["maximum"] = variable.maximum
    return form
