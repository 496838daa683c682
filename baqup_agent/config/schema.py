"""A declaration as JSON Schema, draft 2020-12: the form in which agents publish it (§2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from baqup_agent.config.declaration import Declaration, default_of
from baqup_agent.config.forms import FORMS, PATTERNS, anchored
from baqup_agent.config.variables import SECRET_PREFIX, Kind, Variable

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: The member in which a validator tells the role; it is no variable, an agent gets it as its
#: command. Without it, what only some roles need is not asked for.
ROLE = "role"

#: The member in which the property of a URL names the schemes that it may have.
SCHEMES = "x-schemes"


def schema_of(declaration: Declaration, title: str = "") -> dict[str, Any]:
    """Return the schema of an agent's environment.

    Its instances are the variables by name, coerced, with or without defaults, and the role.

    Args:
        declaration: what the agent reads.
        title: what the schema is called, for example ``Environment of agent-fs``.
    """
    variables = declaration.variables.values()
    schema: dict[str, Any] = {"$schema": DIALECT}
    if title:
        schema["title"] = title
    schema["type"] = "object"
    schema["properties"] = {each.name: property_of(each) for each in variables}
    if declaration.roles:
        schema["properties"][ROLE] = {
            "enum": list(declaration.roles),
            "description": "the role, which is given as the command and not as a variable",
        }
    schema["patternProperties"] = {f"^{SECRET_PREFIX}[A-Z0-9_]+$": dict(FORMS[Kind.SECRET])}
    schema["required"] = sorted(each.name for each in variables if each.required)
    needs = {each.name: _missable(each.needs, declaration) for each in variables}
    if any(needs.values()):
        schema["dependentRequired"] = {name: names for name, names in needs.items() if names}
    conditions = [*_roles(declaration), *_conditions(declaration)]
    if conditions:
        schema["allOf"] = conditions
    return schema


def _missable(names: Iterable[str], declaration: Declaration) -> list[str]:
    """Those of the names that have no default; the others are there without being set."""
    return [name for name in names if default_of(declaration.variables[name]) is None]


def property_of(variable: Variable) -> dict[str, Any]:
    """Return the schema of one variable."""
    form = dict(FORMS[variable.kind])
    form["description"] = described(variable)
    default = default_of(variable)
    if default is not None:
        form["default"] = default
    items = form.setdefault("items", {"type": "string"}) if variable.kind is Kind.ARRAY else form
    items.update(_rules(variable))
    if variable.kind is Kind.ARRAY:
        form.update(_set(minItems=variable.min_items, maxItems=variable.max_items))
    if variable.exists:
        form["x-exists"] = variable.exists
    if variable.schemes:
        form[SCHEMES] = list(variable.schemes)
    return form


def described(variable: Variable) -> str:
    """Return what a variable is for, with its unit."""
    return f"{variable.description}, {variable.unit}" if variable.unit else variable.description


def _rules(variable: Variable) -> dict[str, Any]:
    body = variable.pattern or PATTERNS.get(variable.kind)
    least = max(variable.min_length or 0, FORMS[variable.kind].get("minLength", 0))
    return _set(
        enum=list(variable.supported or variable.choices) or None,
        minimum=variable.minimum,
        maximum=variable.maximum,
        minLength=least or None,
        maxLength=variable.max_length,
        pattern=None if body is None else anchored(body),
    ) | ({"x-unsupported": True} if variable.supported else {})


def _set(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _roles(declaration: Declaration) -> Iterator[dict[str, Any]]:
    for role in declaration.roles:
        needed = [each.name for each in declaration.variables.values() if role in each.required_for]
        if needed:
            yield {
                "if": {"properties": {ROLE: {"const": role}}, "required": [ROLE]},
                "then": {"required": sorted(needed)},
            }


def _conditions(declaration: Declaration) -> Iterator[dict[str, Any]]:
    for variable in declaration.variables.values():
        for other, value in variable.required_if:
            condition: dict[str, Any] = {"properties": {other: {"const": value}}}
            if default_of(declaration.variables[other]) != value:  # else unset means that value
                condition["required"] = [other]
            yield {"if": condition, "then": {"required": [variable.name]}}
