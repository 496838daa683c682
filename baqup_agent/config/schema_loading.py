"""The contract's other way: an environment against the JSON Schema that describes it (§2).

Agents that have an ``agent-schema.json`` instead of a declaration come this way, and controllers
that hold a configuration against an agent's schema. Any schema of draft 2020-12 will do; nothing
is fetched for its references.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from baqup_agent.config.blank import without_blanks
from baqup_agent.config.coercion import Uncoercible, coerce
from baqup_agent.config.findings import Finding, Loaded, in_order
from baqup_agent.config.reading import handed_on
from baqup_agent.config.schema import ROLE, SCHEMES
from baqup_agent.config.unknown import nearest, unknown_names
from baqup_agent.config.variables import SECRET_PREFIX
from baqup_agent.config.wording import expected, missing, shown
from baqup_agent.errors import ConfigError
from baqup_agent.security.secret import Secret

_Form = Mapping[str, Any]

#: What a form says of a variable, whichever of its rules is broken.
_OF_THE_WHOLE = frozenset({"format", "writeOnly", SCHEMES})

#: How deep forms are looked for behind references and conditions.
_DEPTH_MAX = 16


def load(schema: _Form, environ: Mapping[str, str], role: str | None = None) -> Loaded:
    """Coerce, default and validate ``environ`` against ``schema``.

    Args:
        schema: draft 2020-12, already found to be one.
        environ: the variables by name.
        role: what the agent shall do, for a schema that asks for more in some roles.

    Raises:
        ConfigError: the schema cannot be used, for example because a reference leads nowhere.
    """
    forms = {name: form for name, form in forms_of(schema).items() if name != ROLE}
    given = without_blanks(environ, forms.get)
    values: dict[str, Any] = {}
    findings: list[Finding] = []
    for name, form in forms.items():
        if name not in given:
            if "default" in form:
                values[name] = form["default"]
            continue
        try:
            values[name] = coerce(given[name], form)
        except Uncoercible as error:
            line = f"{shown(name, given[name], form)}: {error}"
            findings.append(Finding((name,), "type", line))
    judged = {**_secret_texts(given), **values, **({} if role is None else {ROLE: role})}
    uncoercible = {finding.variable for finding in findings}
    findings += _findings(schema, forms, judged, given, uncoercible, environ.keys() - given.keys())
    bad = {finding.variable for finding in findings}
    typed = {
        name: _typed(name, value, forms[name], given)
        for name, value in values.items()
        if name not in bad
    }
    return Loaded(
        {**typed, **handed_on(forms, given)},
        in_order(findings),
        tuple(unknown_names(forms, given)),
    )


def validate(schema: _Form, config: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Hold a configuration against a schema, as a controller does beforehand.

    Args:
        schema: draft 2020-12.
        config: variables by name, coerced; secrets may be `Secret`, paths ``Path``. The member
            ``role`` tells the role.

    Returns:
        All that is wrong, sorted by variable; each with the path, the broken keyword and a line
        that never repeats a secret.

    Raises:
        ConfigError: the schema cannot be used.
    """
    from baqup_agent.config.schema_file import fault_of

    why = fault_of(dict(schema))
    if why is not None:
        raise ConfigError(f"the schema cannot be used: {why}; give the agent's own schema")
    plain = {name: _plain(value) for name, value in config.items()}
    texts = {name: _text(value) for name, value in plain.items()}
    return in_order(_findings(schema, forms_of(schema), plain, texts, (), ()))


def forms_of(schema: _Form) -> dict[str, _Form]:
    """Return what a schema says of each variable, wherever in it that stands first."""
    forms: dict[str, _Form] = {}
    for part in _parts(schema, schema, _DEPTH_MAX):
        properties = part.get("properties", {})
        for name, form in properties.items():
            told = _resolved(form, schema) if isinstance(form, Mapping) else {}
            secret = {"writeOnly": True} if name.startswith(SECRET_PREFIX) else {}
            forms.setdefault(name, {**told, **secret})
    return forms


def _parts(part: Any, schema: _Form, depth: int) -> Iterator[_Form]:
    if not isinstance(part, Mapping) or depth == 0:
        return
    yield part
    if "$ref" in part:
        yield from _parts(_target(part["$ref"], schema), schema, depth - 1)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for each in part.get(keyword, ()):
            yield from _parts(each, schema, depth - 1)
    for keyword in ("then", "else"):
        yield from _parts(part.get(keyword), schema, depth - 1)
    for each in part.get("dependentSchemas", {}).values():
        yield from _parts(each, schema, depth - 1)


def _resolved(form: _Form, schema: _Form) -> _Form:
    for _ in range(_DEPTH_MAX):
        target = _target(form["$ref"], schema) if "$ref" in form else None
        if not isinstance(target, Mapping):
            break
        form = {**target, **{name: value for name, value in form.items() if name != "$ref"}}
    return form


def _target(reference: str, schema: _Form) -> Any:
    """What a reference into the schema itself leads to; None for any other."""
    place: Any = schema if reference.startswith("#/") else None
    for step in reference.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        place = place.get(key) if isinstance(place, Mapping) else None
    return place


def _findings(
    schema: _Form,
    forms: Mapping[str, _Form],
    values: Mapping[str, Any],
    environ: Mapping[str, str],
    uncoercible: Collection[str],
    blank: Collection[str],
) -> list[Finding]:
    told: dict[str, Finding] = {}
    try:
        for error in Draft202012Validator(schema, registry=Registry()).iter_errors(dict(values)):
            for leaf in _leaves(error):
                for finding in _told(leaf, forms, values, environ, blank):
                    if finding.variable not in uncoercible:
                        told.setdefault(finding.variable, finding)
    except Unresolvable as error:
        raise ConfigError(
            f"the schema cannot be used: its reference {error.ref!r} leads nowhere; "
            "refer to a part of the schema itself, for example #/$defs/name"
        ) from error
    except RecursionError as error:
        raise ConfigError("the schema cannot be used: it refers to itself without end") from error
    except re.error as error:
        raise ConfigError(
            f"the schema cannot be used: {error.pattern!r} is no regular expression"
        ) from error
    return list(told.values())


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The errors that a combined one is made of; itself where there is no single reason."""
    if error.validator in {"allOf", "if", "$ref", "dependentSchemas"} and error.context:
        for each in error.context:
            yield from _leaves(each)
    else:
        yield error


def _told(
    error: ValidationError,
    forms: Mapping[str, _Form],
    values: Mapping[str, Any],
    environ: Mapping[str, str],
    blank: Collection[str],
) -> Iterator[Finding]:
    path, keyword = tuple(error.absolute_path), str(error.validator)
    rule: Any = error.validator_value
    if path:
        secret = forms.get(str(path[0]), {}).get("writeOnly")  # what is inside it stays there
        line = _sentence(path[:1] if secret else path, error, forms, environ)
        yield Finding(path[:1] if secret else path, keyword, line)
    elif keyword == "required":
        for name in rule:
            if name not in values and name not in environ:
                yield _unset(name, keyword, "", forms, environ, blank)
    elif keyword == "dependentRequired":
        for asker, names in rule.items():
            for name in names:
                if asker in values and name not in values and name not in environ:
                    why = f"{asker}, which is set, needs it"
                    yield _unset(name, keyword, why, forms, environ, blank)
    else:
        line = f"the configuration breaks the schema's rule {keyword!r}; see its description"
        yield Finding((), keyword, line)


def _unset(
    name: str,
    keyword: str,
    why: str,
    forms: Mapping[str, _Form],
    environ: Mapping[str, str],
    blank: Collection[str],
) -> Finding:
    strays = [each for each in environ if each.upper().startswith("BAQUP_") and each not in forms]
    meant = nearest(name, strays)
    line = missing(name, forms.get(name, {}), why, meant, blank=name in blank)
    return Finding((name,), keyword, line)


def _sentence(
    path: tuple[str | int, ...],
    error: ValidationError,
    forms: Mapping[str, _Form],
    environ: Mapping[str, str],
) -> str:
    name, form = str(path[0]), forms.get(str(path[0]), {})
    rules = error.schema if isinstance(error.schema, Mapping) else {}
    rule = expected(
        str(error.validator),
        {**{k: v for k, v in form.items() if k in _OF_THE_WHOLE}, **rules},
        error.instance,
    )
    where = f" at {'/'.join(str(step) for step in path[1:])}" if len(path) > 1 else ""
    if name not in environ:
        return f"{name}: the schema's own default breaks its rule; {rule}"
    return f"{shown(name, environ[name], form)}{where}: {rule}"


def _secret_texts(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environ.items() if name.startswith(SECRET_PREFIX) and text}


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    return str(value) if isinstance(value, Path) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _typed(name: str, value: Any, form: _Form, environ: Mapping[str, str]) -> Any:
    if form.get("writeOnly"):
        return Secret(environ.get(name, str(value)))
    if form.get("format") == "path" and isinstance(value, str):
        return Path(value)
    return value
