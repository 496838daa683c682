"""Makers of the fields in which an author declares what an agent reads (Contract §2).

An author's settings are a frozen attrs class. Each field is made by one of these functions, which
notes in the field's metadata what the variable is; its name follows from where the field stands::

    from attrs import frozen
    from baqup_agent import Secret, config

    @frozen
    class Source:
        host: str = config.hostname("server to read from")
        port: int = config.port("its port", default=5432)
        databases: tuple[str, ...] = config.array("databases to read", default=("all",))

    @frozen
    class Settings:
        source: Source = config.section(Source)  # BAQUP_SOURCE_HOST, BAQUP_SOURCE_PORT, …
        db_password: Secret = config.secret("of the backup user")  # BAQUP_SECRET_DB_PASSWORD

The makers are called by way of the package, because a field that is named like one of them would
hide it from the fields below.

Without a default a field is required. ``default=None`` makes it optional; so does a condition
(``required_for``, ``required_if``), and then its type must admit ``None``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict, TypeVar, Unpack

from attrs import field

from baqup_agent.config.declaration import OPEN_SECRET, DeclarationError
from baqup_agent.config.forms import SIZE
from baqup_agent.config.units import duration as duration_of
from baqup_agent.config.units import duration_text, size_bytes
from baqup_agent.config.variables import Kind, Variable

S = TypeVar("S")

#: Under which the metadata of a field holds its `Entry` or `Section`.
METADATA = "baqup_agent.config"

#: In place of a default: the variable is required.
REQUIRED: Any = ...

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"


class Rules(TypedDict, total=False):
    """What every maker takes besides its own arguments.

    Attributes:
        name: the variable's name, where it does not follow from the field's.
        required_for: the role or roles that need it; None in others.
        required_if: other fields (or variables) and a value of each; any of them that is set so
            makes this one required.
        needs: other fields (or variables) that are required once this one is set.
    """

    name: str
    required_for: str | Iterable[str]
    required_if: Mapping[str, Any]
    needs: str | Iterable[str]


class Entry(NamedTuple):
    """One field's variable.

    Attributes:
        variable: its row; its name is the one given, or empty, and other fields may be meant by
            their own names.
        convert: from the loaded value to the field's.
        types: the types of which the field's annotation must name one.
    """

    variable: Variable
    convert: Callable[[Any], Any]
    types: tuple[type, ...]


class Section(NamedTuple):
    """A field that holds further settings.

    Attributes:
        record: their class.
        prefix: what their variables begin with; None to derive it from the field's name.
    """

    record: type
    prefix: str | None


def section(record: type[S], *, prefix: str | None = None) -> S:
    """A group of settings, whose variables begin with the group's name.

    Args:
        record: a class of settings.
        prefix: what the variables' names begin with, for example ``BAQUP_SOURCE_``; by default it
            follows from the field's name.
    """
    made: S = field(kw_only=True, metadata={METADATA: Section(record, prefix)})
    return made


def text(
    description: str,
    *,
    default: str | None = REQUIRED,
    pattern: str | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    **rules: Unpack[Rules],
) -> Any:
    """A text; ``pattern`` is a regular expression that all of it must match."""
    variable = Variable(
        "",
        Kind.STRING,
        description,
        pattern=pattern,
        min_length=min_length,
        max_length=max_length,
    )
    return _made(variable, default, rules, types=(str,))


def integer(
    description: str,
    *,
    default: int | None = REQUIRED,
    minimum: int | None = None,
    maximum: int | None = None,
    unit: str = "",
    **rules: Unpack[Rules],
) -> Any:
    """A whole number; ``unit`` says what it counts, for example ``seconds``."""
    variable = Variable("", Kind.INT, description, minimum=minimum, maximum=maximum, unit=unit)
    return _made(variable, default, rules, types=(int,))


def number(
    description: str,
    *,
    default: float | None = REQUIRED,
    minimum: float | None = None,
    maximum: float | None = None,
    unit: str = "",
    **rules: Unpack[Rules],
) -> Any:
    """A number that may have a fraction."""
    variable = Variable("", Kind.FLOAT, description, minimum=minimum, maximum=maximum, unit=unit)
    return _made(variable, default, rules, convert=float, types=(float,))


def flag(description: str, *, default: bool | None = REQUIRED, **rules: Unpack[Rules]) -> Any:
    """``true`` or ``false``."""
    return _made(Variable("", Kind.BOOL, description), default, rules, types=(bool,))


def enum(
    description: str,
    choices: type[Enum] | Sequence[str],
    *,
    default: str | Enum | None = REQUIRED,
    **rules: Unpack[Rules],
) -> Any:
    """One of several words, given as texts or as an ``Enum`` whose values are the words."""
    if isinstance(choices, type):
        words, convert, kind = tuple(str(each.value) for each in choices), choices, choices
        variable = Variable("", Kind.ENUM, description, choices=words)
        return _made(variable, _word(default), rules, convert=convert, types=(kind,))
    variable = Variable("", Kind.ENUM, description, choices=tuple(choices))
    return _made(variable, default, rules, types=(str,))


def array(
    description: str,
    *,
    default: Sequence[str] | None = REQUIRED,
    choices: Sequence[str] = (),
    pattern: str | None = None,
    min_items: int | None = None,
    max_items: int | None = None,
    **rules: Unpack[Rules],
) -> Any:
    """Texts, in any of the contract's three forms; the rules on texts hold for each of them."""
    variable = Variable(
        "",
        Kind.ARRAY,
        description,
        choices=tuple(choices),
        pattern=pattern,
        min_items=min_items,
        max_items=max_items,
    )
    items = tuple(default) if isinstance(default, Iterable) else default
    return _made(variable, items, rules, convert=tuple, types=(tuple, Sequence, Iterable))


def size(description: str, *, default: str | None = REQUIRED, **rules: Unpack[Rules]) -> Any:
    """A size such as ``512M``, read as a number of bytes."""
    variable = Variable("", Kind.SIZE, description, pattern=SIZE)
    return _made(variable, default, rules, convert=size_bytes, types=(int,))


def duration(
    description: str, *, default: str | timedelta | None = REQUIRED, **rules: Unpack[Rules]
) -> Any:
    """A time such as ``90s`` or ``1h30m``, read as a ``timedelta``; a bare number is seconds."""
    variable = Variable("", Kind.DURATION, description)
    told = duration_text(default) if isinstance(default, timedelta) else default
    return _made(variable, told, rules, convert=duration_of, types=(timedelta,))


def port(description: str, *, default: int | None = REQUIRED, **rules: Unpack[Rules]) -> Any:
    """A port's number."""
    return integer(description, default=default, minimum=1, maximum=65535, **rules)


def path(
    description: str,
    *,
    default: str | Path | None = REQUIRED,
    must_exist: Literal["file", "directory", "any"] | None = None,
    **rules: Unpack[Rules],
) -> Any:
    """A path; ``must_exist`` says what it has to lead to when the environment is read."""
    variable = Variable("", Kind.PATH, description, exists=must_exist)
    told = str(default) if isinstance(default, Path) else default
    return _made(variable, told, rules, convert=Path, types=(Path,))


def hostname(description: str, *, default: str | None = REQUIRED, **rules: Unpack[Rules]) -> Any:
    """The name or address of a host, without a port."""
    return _made(Variable("", Kind.HOSTNAME, description), default, rules, types=(str,))


def uri(
    description: str,
    *,
    default: str | None = REQUIRED,
    schemes: Sequence[str] = (),
    **rules: Unpack[Rules],
) -> Any:
    """A URL; ``schemes`` are the ones it may have, as in ``("https",)``. Its value is not shown."""
    allowed = _words(schemes)
    for scheme in allowed:
        if not re.fullmatch(_SCHEME, scheme):
            raise DeclarationError(f"{scheme!r} is no scheme of URLs; write it as 'https'")
    bodies = "|".join(re.sub(r"([+.])", r"\\\1", scheme) for scheme in allowed)
    pattern = rf"(?:{bodies}):[^\s]+" if allowed else None
    variable = Variable("", Kind.URI, description, pattern=pattern, schemes=allowed)
    return _made(variable, default, rules, types=(str,))


def secret(description: str, *, default: None = REQUIRED, **rules: Unpack[Rules]) -> Any:
    """A secret; its variable is ``BAQUP_SECRET_`` and the field's name, wherever it stands."""
    from baqup_agent.security.secret import Secret

    if default is not None and default is not REQUIRED:
        raise DeclarationError(OPEN_SECRET)
    return _made(Variable("", Kind.SECRET, description), default, rules, types=(Secret,))


def _made(
    variable: Variable,
    default: Any,
    rules: Rules,
    *,
    convert: Callable[[Any], Any] = lambda value: value,
    types: tuple[type, ...],
) -> Any:
    unknown = set(rules) - Rules.__optional_keys__
    if unknown:
        raise DeclarationError(f"unknown rule {min(unknown)!r}")
    conditional = bool(rules.get("required_for") or rules.get("required_if"))
    row = variable._replace(
        name=rules.get("name", ""),
        default=None if default is REQUIRED else default,
        required=default is REQUIRED and not conditional,
        required_for=_words(rules.get("required_for", ())),
        required_if=tuple((k, _word(v)) for k, v in rules.get("required_if", {}).items()),
        needs=_words(rules.get("needs", ())),
    )
    return field(kw_only=True, metadata={METADATA: Entry(row, convert, types)})


def _words(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(str(each) for each in given)


def _word(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value
