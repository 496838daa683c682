"""Authors' classes of settings: the variables that they declare, and objects made of values."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs

from baqup_agent.config.declaration import DeclarationError
from baqup_agent.config.fields import METADATA, Entry, Section
from baqup_agent.config.schema import property_of
from baqup_agent.config.variables import SECRET_PREFIX, Kind, Variable
from baqup_agent.config.wording import missing
from baqup_agent.errors import ConfigError

S = TypeVar("S")

#: What the names of all variables begin with.
PREFIX = "BAQUP_"


def variables_of(record: type, prefix: str = PREFIX) -> Iterator[Variable]:
    """Yield the variables that a class of settings declares, section by section.

    Raises:
        DeclarationError: the class is no record of settings, or contradicts itself.
    """
    if not attrs.has(record):
        raise DeclarationError(f"{record!r} is no attrs class; decorate it with attrs.frozen")
    hints = _hints(record)
    for attribute in attrs.fields(record):
        told = attribute.metadata.get(METADATA)
        if isinstance(told, Section):
            yield from variables_of(told.record, _prefix(attribute.name, told, prefix))
        elif isinstance(told, Entry):
            variable = _bound(record, attribute.name, told, prefix)
            _check_type(record, attribute.name, told, hints)
            yield variable
        elif attribute.init:
            raise DeclarationError(
                f"{record.__name__}.{attribute.name} is no variable, so nothing can set it; make "
                "it by a maker such as config.text(…), or keep it out with field(init=False)"
            )


def variables_by_role(records: Mapping[str, type]) -> Iterator[Variable]:
    """Yield the variables of classes that each hold for one role.

    What a class requires is required for its role alone; what several declare must be alike.

    Raises:
        DeclarationError: two classes contradict each other.
    """
    merged: dict[str, Variable] = {}
    for role, record in records.items():
        for variable in variables_of(record):
            mine = _for_role(variable, role)
            known = merged.get(mine.name, mine)
            if known._replace(required_for=()) != mine._replace(required_for=()):
                raise DeclarationError(
                    f"{mine.name} is declared differently by {record.__name__} and for other "
                    "roles; declare it alike"
                )
            roles = dict.fromkeys((*known.required_for, *mine.required_for))
            merged[mine.name] = mine._replace(required_for=tuple(roles))
    yield from merged.values()


def _for_role(variable: Variable, role: str) -> Variable:
    if not variable.required:
        return variable
    return variable._replace(required=False, required_for=(role,))


def record_of(record: type[S], values: Mapping[str, Any], prefix: str = PREFIX) -> S:
    """Make an object of a class of settings from loaded values.

    Args:
        record: the author's class.
        values: loaded and checked, by variable.
        prefix: what its variables begin with.

    Raises:
        ConfigError: a variable that the class requires is not among them, or the class itself
            refuses them (its validators raise ``ValueError`` or ``TypeError``).
    """
    arguments: dict[str, Any] = {}
    for attribute in attrs.fields(record):  # type: ignore[arg-type]  # any attrs class is one
        told = attribute.metadata.get(METADATA)
        if isinstance(told, Section):
            inner = _prefix(attribute.name, told, prefix)
            arguments[attribute.alias] = record_of(told.record, values, inner)
        elif isinstance(told, Entry):
            name = _name(attribute.name, told.variable, prefix)
            arguments[attribute.alias] = _converted(name, told, values)
    try:
        return record(**arguments)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{record.__name__}: {' '.join(str(error).split())}") from error


def _converted(name: str, told: Entry, values: Mapping[str, Any]) -> Any:
    if name in values:
        return told.convert(values[name])
    if told.variable.required:
        raise ConfigError(missing(name, property_of(told.variable)))
    return None


def _prefix(field: str, told: Section, prefix: str) -> str:
    return told.prefix or f"{prefix}{field.strip('_').upper()}_"


def _name(field: str, variable: Variable, prefix: str) -> str:
    begin = SECRET_PREFIX if variable.kind is Kind.SECRET else prefix
    return variable.name or f"{begin}{field.strip('_').upper()}"


def _bound(record: type, field: str, told: Entry, prefix: str) -> Variable:
    """The row with its name, and with the names of the fields that it refers to."""
    variable = told.variable
    return variable._replace(
        name=_name(field, variable, prefix),
        needs=tuple(_meant(record, field, other, prefix) for other in variable.needs),
        required_if=tuple(
            (_meant(record, field, other, prefix), value) for other, value in variable.required_if
        ),
    )


def _meant(record: type, field: str, other: str, prefix: str) -> str:
    if other.startswith(PREFIX):
        return other
    for attribute in attrs.fields(record):
        told = attribute.metadata.get(METADATA)
        if attribute.name == other and isinstance(told, Entry):
            return _name(other, told.variable, prefix)
    raise DeclarationError(
        f"{record.__name__}.{field} refers to {other!r}, which is no variable of this class; "
        "name a field of it, or a variable in full"
    )


def _hints(record: type) -> dict[str, Any]:
    try:
        return get_type_hints(record)
    except NameError:  # a class made inside a function names things that cannot be found again
        return {}


def _check_type(record: type, field: str, told: Entry, hints: Mapping[str, Any]) -> None:
    """Hold a field's annotation against what it will be given; a type checker cannot."""
    hint = hints.get(field, Any)
    members = get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)
    if Any in members:
        return
    where = f"{record.__name__}.{field}"
    kinds = {get_origin(member) or member for member in members}
    if not kinds & set(told.types):
        raise DeclarationError(f"{where} must be annotated with {told.types[0].__name__}")
    if not told.variable.required and told.variable.default is None and type(None) not in kinds:
        raise DeclarationError(
            f"{where} is not always set, so its type must admit None: "
            f"{told.types[0].__name__} | None"
        )
