"""Reads an environment against a declaration and tells all that is wrong with it at once.

This is what an agent does when it starts (Contract §2). It needs no JSON Schema; what the schema of
the same declaration would say of the same environment is the same, and tests see to that.
"""

from __future__ import annotations

import os.path
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from baqup_agent.config.blank import without_blanks
from baqup_agent.config.checking import Broken, broken_rule
from baqup_agent.config.coercion import Uncoercible, coerce
from baqup_agent.config.declaration import Declaration, default_of
from baqup_agent.config.findings import Finding, Loaded, in_order
from baqup_agent.config.forms import FORMS
from baqup_agent.config.unknown import nearest, unknown_names
from baqup_agent.config.variables import OPEN_PREFIXES, SECRET_PREFIX, Kind, Variable
from baqup_agent.config.wording import expected, missing, shortened, shown
from baqup_agent.security.secret import Secret


def read_environment(
    declaration: Declaration, environ: Mapping[str, str], role: str | None = None
) -> Loaded:
    """Coerce, default and check ``environ``.

    Args:
        declaration: what the agent reads.
        environ: the variables by name.
        role: what the agent shall do; None checks what every role needs.
    """
    given = without_blanks(environ, partial(_form_of, declaration))
    values: dict[str, Any] = {}
    findings: list[Finding] = []
    for name, variable in declaration.variables.items():
        if name not in given:
            if (default := default_of(variable)) is not None:
                values[name] = default
            continue
        found = _value(variable, given)
        if isinstance(found, Finding):
            findings.append(found)
        else:
            values[name] = found[0]
    findings += _missing(declaration, values, environ, given, role)
    findings += _dead_ends(declaration, values)
    bad = {finding.variable for finding in findings}
    typed = {
        name: _typed(declaration.variables[name], value)
        for name, value in values.items()
        if name not in bad
    }
    return Loaded(
        {**typed, **handed_on(declaration.variables, given)},
        in_order(findings),
        tuple(unknown_names(declaration.variables, given)),
    )


def handed_on(declared: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what nothing declares and an agent may read all the same: texts and secrets."""
    undeclared = {name: text for name, text in environ.items() if name not in declared}
    secrets = {
        name: Secret(text)
        for name, text in undeclared.items()
        if name.startswith(SECRET_PREFIX) and text  # an empty one is none
    }
    return secrets | {
        name: text for name, text in undeclared.items() if name.startswith(OPEN_PREFIXES)
    }


def _form_of(declaration: Declaration, name: str) -> Mapping[str, Any] | None:
    variable = declaration.variables.get(name)
    if variable is None:
        return None
    from baqup_agent.config.schema import property_of  # only an empty text needs it

    return property_of(variable)


def _value(variable: Variable, environ: Mapping[str, str]) -> tuple[Any] | Finding:
    text = environ[variable.name]
    try:
        value = coerce(text, FORMS[variable.kind])
    except Uncoercible as error:
        return Finding((variable.name,), "type", f"{_shown(variable, environ)}: {error}")
    broken = broken_rule(variable, value)
    return (value,) if broken is None else _finding(variable, environ, broken, value)


def _finding(variable: Variable, environ: Mapping[str, str], broken: Broken, value: Any) -> Finding:
    from baqup_agent.config.schema import property_of  # its words, where they are needed

    form = property_of(variable)
    if broken.item is not None:
        form, value = form["items"], value[broken.item]
    rule = expected(broken.keyword, form, value)
    if broken.item is None:
        return Finding((variable.name,), broken.keyword, f"{_shown(variable, environ)}: {rule}")
    message = f"{_shown(variable, environ)}: item {broken.item + 1} {_of_item(rule)}"
    return Finding((variable.name, broken.item), broken.keyword, message)


def _of_item(rule: str) -> str:
    return f"is wrong, {rule}" if rule.startswith("expected") else rule


def _shown(variable: Variable, environ: Mapping[str, str]) -> str:
    """Show what was given; secrets go before it is shortened, or half of one would be left."""
    from baqup_agent.observability.redaction import Redactor  # only where something is wrong

    secrets = [Secret(text) for name, text in environ.items() if name.startswith(SECRET_PREFIX)]
    text = Redactor(secrets).text(environ[variable.name])
    return shown(variable.name, text, FORMS[variable.kind])


def _missing(
    declaration: Declaration,
    values: Mapping[str, Any],
    environ: Mapping[str, str],
    given: Mapping[str, str],
    role: str | None,
) -> Iterator[Finding]:
    present = values.keys() | given.keys()
    for variable in declaration.variables.values():
        if variable.name not in present:
            asked = _asked_for(variable, declaration, values, present, role)
            if asked is not None:
                keyword, why = asked
                yield Finding(
                    (variable.name,), keyword, _unset(variable, why, declaration, environ)
                )


def _asked_for(
    variable: Variable,
    declaration: Declaration,
    values: Mapping[str, Any],
    present: Collection[str],
    role: str | None,
) -> tuple[str, str] | None:
    """Which rule asks for a variable that is not set, and on what grounds."""
    if variable.required:
        return "required", ""
    if role is not None and role in variable.required_for:
        return "required", f"the role {role} needs it"
    for other, value in variable.required_if:
        if other in values and values[other] == value:
            return "required", f"{_told(declaration.variables[other], value)} needs it"
    for asker in declaration.variables.values():
        if variable.name in asker.needs and asker.name in present:
            return "dependentRequired", f"{asker.name}, which is set, needs it"
    return None


def _told(variable: Variable, value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return shown(variable.name, text, FORMS[variable.kind])


def _unset(
    variable: Variable, why: str, declaration: Declaration, environ: Mapping[str, str]
) -> str:
    strays = [
        name
        for name in environ
        if name.upper().startswith("BAQUP_") and name not in declaration.variables
    ]
    from baqup_agent.config.schema import property_of  # its words, where they are needed

    meant = nearest(variable.name, strays)
    blank = variable.name in environ
    return missing(variable.name, property_of(variable), why, meant, blank=blank)


def _dead_ends(declaration: Declaration, values: Mapping[str, Any]) -> Iterator[Finding]:
    """What no schema can say of paths: whether they lead where they must."""
    for name, value in values.items():
        wanted = declaration.variables[name].exists
        if wanted is not None and not _EXISTS[wanted](value):
            message = f"{name}={shortened(value)}: {_dead_end(wanted, value)}"
            yield Finding((name,), "exists", message)


def _dead_end(wanted: str, value: str) -> str:
    if _EXISTS["any"](value):
        found = [f"a {kind}" for kind in ("file", "directory") if _EXISTS[kind](value)]
        return f"it is {found[0] if found else 'something else'}, not a {wanted}; name a {wanted}"
    kind = "file or directory" if wanted == "any" else wanted
    return f"there is no such {kind}; make it or name another"


_EXISTS = {"any": os.path.exists, "file": os.path.isfile, "directory": os.path.isdir}


def _typed(variable: Variable, value: Any) -> Any:
    if variable.kind is Kind.SECRET:
        return Secret(value)
    return Path(value) if variable.kind is Kind.PATH else value
