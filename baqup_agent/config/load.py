"""Reads the environment against a schema and tells all that is wrong with it at once.

The only module of the package that reads the process's environment (Contract §2).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from baqup_agent.config.coercion import Uncoercible, coerce
from baqup_agent.config.variables import SECRET_PREFIX
from baqup_agent.errors import ConfigError
from baqup_agent.security.secret import Secret

#: Longest part of a value that an error message shows, characters.
_SHOWN = 60

#: Prefixes under which an agent's own, undeclared variables are handed on as they are.
_OPEN_PREFIXES = ("BAQUP_SOURCE_", "BAQUP_TARGET_")


@frozen
class Loaded:
    """What an environment holds.

    Attributes:
        values: the usable variables with their defaults; paths are ``Path``, secrets `Secret`.
        problems: one line for each thing that is wrong, sorted by variable.
    """

    values: dict[str, Any]
    problems: tuple[str, ...]

    def require(self) -> dict[str, Any]:
        """Return the values.

        Raises:
            ConfigError: there are problems; it lists them all.
        """
        if self.problems:
            raise ConfigError(*self.problems)
        return self.values


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


def load_config(schema_path: str | os.PathLike[str]) -> dict[str, Any]:
    """Load the process's environment against an ``agent-schema.json``.

    Args:
        schema_path: a JSON Schema (draft 2020-12) whose properties are variables' names.

    Returns:
        The variables by name, coerced, with the schema's defaults; secrets as `Secret`.

    Raises:
        ConfigError: the schema cannot be read, or the environment does not fit it.
    """
    return load(_read_schema(Path(schema_path)), environment()).require()


def _read_schema(path: Path) -> dict[str, Any]:
    from jsonschema import Draft202012Validator, SchemaError

    try:
        schema = json.loads(path.read_text("utf-8"))
        Draft202012Validator.check_schema(schema)
    except OSError as error:
        raise _unusable(path, error.strerror or "unreadable") from error
    except SchemaError as error:
        raise _unusable(path, f"it is no JSON Schema, {error.message}") from error
    except (ValueError, RecursionError) as error:
        raise _unusable(path, "it is not JSON") from error
    if not isinstance(schema, dict):
        raise _unusable(path, "it is not an object")
    return schema


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the schema {path} cannot be used: {why}; give the path of the agent's agent-schema.json"
    )


def load(schema: Mapping[str, Any], environ: Mapping[str, str]) -> Loaded:
    """Coerce, default and validate ``environ`` against ``schema``."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name in sorted(set(properties) | set(_open_names(environ))):
        form = _form(name, properties)
        if name not in environ:
            if "default" in form:
                values[name] = form["default"]
            continue
        try:
            values[name] = coerce(environ[name], form)
        except Uncoercible as error:
            problems[name] = f"{_shown(name, environ[name], form)}: {error}"
    _validate(schema, values, environ, problems)
    usable = {name: value for name, value in values.items() if name not in problems}
    return Loaded(
        {name: _typed(value, _form(name, properties)) for name, value in usable.items()},
        tuple(line for _, line in sorted(problems.items())),
    )


def _open_names(environ: Mapping[str, str]) -> list[str]:
    return [name for name in environ if name.startswith((SECRET_PREFIX, *_OPEN_PREFIXES))]


def _form(name: str, properties: Mapping[str, Any]) -> Mapping[str, Any]:
    declared: Mapping[str, Any] = properties.get(name, {"type": "string"})
    return {**declared, "writeOnly": True} if name.startswith(SECRET_PREFIX) else declared


def _validate(
    schema: Mapping[str, Any],
    values: Mapping[str, Any],
    environ: Mapping[str, str],
    problems: dict[str, str],
) -> None:
    from jsonschema import Draft202012Validator  # slow to import, and not needed before

    properties: Mapping[str, Any] = schema.get("properties", {})
    for error in Draft202012Validator(schema).iter_errors(values):
        if error.validator == "required":
            for name in error.validator_value:
                if name not in values and name not in problems:
                    purpose = properties.get(name, {}).get("description", "required here")
                    problems[name] = f"{name} is not set; set it: {purpose}"
        elif error.absolute_path:
            name = str(error.absolute_path[0])
            form = _form(name, properties)
            shown = _shown(name, environ.get(name, ""), form)
            problems.setdefault(name, f"{shown}: {_expected(error.validator, form)}")
        else:
            problems.setdefault("", f"the configuration breaks the schema's {error.validator!r}")


def _shown(name: str, text: str, form: Mapping[str, Any]) -> str:
    if form.get("writeOnly") or form.get("format") == "uri":
        return f"{name} (value not shown)"  # a URL may carry a password
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
    return f"{name}={short!r}"


def _expected(keyword: str, form: Mapping[str, Any]) -> str:
    if keyword == "enum":
        return f"expected one of {', '.join(map(str, form['enum']))}"
    if keyword == "minimum":
        return f"must be at least {form['minimum']}"
    if keyword == "maximum":
        return f"must be at most {form['maximum']}"
    if keyword == "minLength":
        return "must not be empty"
    if keyword in {"pattern", "maxLength"}:
        return _PATTERNS.get(form.get("format", ""), f"must match {form.get('pattern', '')}")
    return f"breaks the schema's rule {keyword!r}"


#: What the pattern of a format asks for, in words.
_PATTERNS = {
    "uuid": "expected a UUID such as 123e4567-e89b-12d3-a456-426614174000",
    "uri": "expected a URL such as redis://localhost:6379/0 or file:///var/lib/bus",
    "hostname": "expected a host name or address",
}


def _typed(value: Any, form: Mapping[str, Any]) -> Any:
    if form.get("writeOnly"):
        return Secret(str(value))
    if form.get("format") == "path":
        return Path(value)
    return value
