"""All that one agent reads from its environment, proven to make sense when its class is created.

A declaration is the contract's table, what the author adds or narrows, and what each role needs.
Everything about an agent's environment is derived from it: the loader, the JSON Schema, the table
for people, the template and the words of ``--help``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from baqup_agent.config.checking import broken_rule
from baqup_agent.config.coercion import coerce
from baqup_agent.config.forms import anchored
from baqup_agent.config.variables import (
    OPEN_PREFIXES,
    PREFIXES,
    SECRET_PREFIX,
    VARIABLES,
    Kind,
    Variable,
)

_NAME = rf"(?:{'|'.join(PREFIXES)})[A-Z0-9_]+"


#: Of a secret with a default, which every description of the agent would show.
OPEN_SECRET = "a secret has no default, everybody could read it; leave it out, or give None"  # noqa: S105


_SECTIONS = ", ".join(
    prefix.split("_")[1].lower() for prefix in PREFIXES if prefix != SECRET_PREFIX
)
_BAD_NAME = (
    f"a variable's name begins with one of {', '.join(PREFIXES)}, in capitals; put the field into "
    f"a section named one of {_SECTIONS}, or give it such a name by name="
)


class DeclarationError(TypeError):
    """An author's declaration contradicts itself or the contract."""


class Declaration(NamedTuple):
    """What an agent reads.

    Attributes:
        variables: by name; the contract's in its order, then the author's.
        roles: the agent's roles.
        own: the names that the author declares.
    """

    variables: Mapping[str, Variable]
    roles: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()


def declare(
    own: Iterable[Variable] = (),
    *,
    roles: Collection[str] = (),
    requires: Mapping[str, Sequence[str]] | None = None,
) -> Declaration:
    """Put a declaration together and prove it.

    Args:
        own: the author's variables; one that the contract names too replaces the contract's row.
        roles: the agent's roles.
        requires: for each role, names of variables that it cannot do without.

    Raises:
        DeclarationError: it contradicts itself or the contract.
    """
    contract = {variable.name: variable for variable in VARIABLES}
    variables, names = dict(contract), dict[str, None]()  # in the author's order
    for variable in own:
        if variable.name in names:
            raise DeclarationError(f"{variable.name} is declared twice; declare it once")
        names[variable.name] = None
        variables[variable.name] = _narrowed(contract.get(variable.name), variable)
    for role, needed in (requires or {}).items():
        for name in needed:
            known = variables.get(name) or _undeclared(name, variables)
            variables[name] = _needed_by(known, role, roles)
    variables = _never_empty(variables)
    declaration = Declaration(variables, tuple(roles), frozenset(names))
    for name in names:
        _prove(variables[name], declaration)
    return declaration


def contract() -> Declaration:
    """Return the declaration of an agent that adds nothing to the contract."""
    return Declaration({variable.name: variable for variable in VARIABLES})


def default_of(variable: Variable) -> Any:
    """Return a variable's default as JSON has it; None where there is none."""
    default: Any = variable.default
    if variable.kind is not Kind.ARRAY or default is None:
        return default
    return coerce(default, {"type": "array"}) if isinstance(default, str) else list(default)


def _narrowed(theirs: Variable | None, ours: Variable) -> Variable:
    """What holds of a variable that the author declares, whom the contract leaves that much."""
    if theirs is None:
        return ours
    if theirs.kind is not ours.kind and not _may_become(theirs, ours):
        raise DeclarationError(
            f"{ours.name} is of the kind {theirs.kind} in the contract, not {ours.kind}; "
            "declare it alike or under another name"
        )
    if theirs.required and not ours.required:
        raise DeclarationError(f"{ours.name} is required by the contract; give it no default")
    return ours._replace(supported=ours.supported or theirs.supported, sdk=theirs.sdk)


def _never_empty(variables: Mapping[str, Variable]) -> dict[str, Variable]:
    """Texts that something asks for are not empty, unless their author says so by a length."""
    needed = {name for variable in variables.values() for name in variable.needs}
    return {
        name: variable._replace(min_length=1)
        if variable.kind is Kind.STRING
        and variable.min_length is None
        and variable.default is None
        and (_is_conditional(variable) or name in needed)
        else variable
        for name, variable in variables.items()
    }


def _may_become(theirs: Variable, ours: Variable) -> bool:
    """Whether a variable of the source or target is narrowed to the words it may have."""
    return (
        theirs.name.startswith(OPEN_PREFIXES)
        and theirs.kind in {Kind.STRING, Kind.HOSTNAME}
        and ours.kind in {Kind.STRING, Kind.HOSTNAME, Kind.ENUM}
    )


def _needed_by(variable: Variable, role: str, roles: Collection[str]) -> Variable:
    if role not in roles:
        hint = _hint(role, roles)
        raise DeclarationError(f"requires: this agent has no role {role!r}{hint}")
    if variable.default is not None:
        raise DeclarationError(f"requires: {variable.name} has a default, so it is never missing")
    if variable.required or role in variable.required_for:
        return variable
    return variable._replace(required_for=(*variable.required_for, role))


def _undeclared(name: str, known: Iterable[str]) -> Variable:
    if name.startswith(SECRET_PREFIX):
        return Variable(name, Kind.SECRET, "a secret that the job needs")
    if name.startswith(OPEN_PREFIXES):
        return Variable(name, Kind.STRING, "what the job needs")
    raise DeclarationError(f"{name} is required, but not declared{_hint(name, known)}")


def _prove(variable: Variable, declaration: Declaration) -> None:
    name = variable.name
    for wrong, message in (
        (
            not re.fullmatch(_NAME, name),
            _BAD_NAME,
        ),
        (
            name.startswith(SECRET_PREFIX) != (variable.kind is Kind.SECRET),
            f"secrets, and secrets alone, are named {SECRET_PREFIX}…",
        ),
        (
            variable.kind is Kind.SECRET and variable.default is not None,
            OPEN_SECRET,
        ),
        (
            variable.kind is Kind.ENUM and not variable.choices,
            "an enum needs its words",
        ),
        (
            variable.default is not None and _is_conditional(variable),
            "what has a default is never missing; leave out the default or the condition",
        ),
        (
            variable.default is not None and bool(variable.needs),
            "what has a default is always set, so what it needs would always be required",
        ),
    ):
        if wrong:
            raise DeclarationError(f"{name}: {message}")
    _prove_rules(variable)
    _prove_references(variable, declaration)


def _is_conditional(variable: Variable) -> bool:
    return bool(variable.required or variable.required_for or variable.required_if)


def _prove_rules(variable: Variable) -> None:
    if variable.pattern is not None:
        try:
            re.compile(anchored(variable.pattern))
        except re.error as error:
            raise DeclarationError(
                f"{variable.name}: its pattern is no regular expression: {error}"
            ) from None
    for what, least, most in (
        ("", variable.minimum, variable.maximum),
        ("length ", variable.min_length, variable.max_length),
        ("number of items ", variable.min_items, variable.max_items),
    ):
        if least is not None and most is not None and least > most:
            raise DeclarationError(
                f"{variable.name}: its least {what or 'value '}{least} is above its greatest, "
                f"{most}; no value would do, correct one of them"
            )
    default = default_of(variable)
    if default is not None and (broken := broken_rule(variable, default)) is not None:
        raise DeclarationError(
            f"{variable.name}: its default breaks its own rule {broken.keyword!r}"
        )


def _prove_references(variable: Variable, declaration: Declaration) -> None:
    for role in variable.required_for:
        if declaration.roles and role not in declaration.roles:
            hint = _hint(role, declaration.roles)
            raise DeclarationError(f"{variable.name}: this agent has no role {role!r}{hint}")
    for other in (*variable.needs, *(other for other, _ in variable.required_if)):
        if other not in declaration.variables:
            hint = _hint(other, declaration.variables)
            raise DeclarationError(f"{variable.name}: {other} is not declared{hint}")
    for other, value in variable.required_if:
        condition = declaration.variables[other]
        if condition.kind is Kind.SECRET or broken_rule(condition, value) is not None:
            raise DeclarationError(f"{variable.name}: {other} can never be {value!r}")


def _hint(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
