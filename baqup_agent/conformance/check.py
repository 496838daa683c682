"""A check is data and a function; the table of all checks is made by a decorator.

An id is ``section/number/slug``. The number is the rule's in the list of 48; several checks may
share one, if a rule has to be looked at from several sides.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from attrs import field, frozen

from baqup_agent.errors import UsageError

if TYPE_CHECKING:
    from baqup_agent.conformance.lab import Lab

#: What a check does; it returns if the rule holds.
Body = Callable[["Lab"], None]

#: The sections, in order, and the first and last number of each.
SECTIONS: dict[str, tuple[int, int]] = {
    "contract": (1, 8),
    "lifecycle": (9, 13),
    "signals": (14, 23),
    "heartbeat": (24, 28),
    "outage": (29, 35),
    "storage": (36, 42),
    "secrets": (43, 44),
    "logs": (45, 48),
}

#: Seconds that one check may take, unless it says otherwise.
LIMIT_S = 120.0

_ID = re.compile(r"(?P<section>[a-z]+)/(?P<number>[1-9]\d?)/(?P<slug>[a-z0-9]+(-[a-z0-9]+)*)")
_RANGE = re.compile(r"(?P<first>\d+)-(?P<last>\d+)")


class Level(StrEnum):
    """How binding a rule is: a broken SHOULD fails an agent under ``--strict`` alone."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Tier(StrEnum):
    """A: any agent can be held against it. B: takes an agent that can be told to misbehave."""

    A = "A"
    B = "B"


@frozen
class Check:
    """One rule and how it is checked.

    Attributes:
        section: one of `SECTIONS`.
        number: of the rule, 1 to 48.
        slug: tells apart what shares a number.
        rule: the rule, one sentence.
        source: where the contract says so, ``Contract §N``.
        how: how it is checked, a sentence or two.
        remedy: what an author does whose agent fails it.
        level: how binding it is.
        tier: whom it can be held against.
        exclusive: measures times and therefore runs alone.
        limit_s: seconds that it may take at most; the suite breaks it off then.
        body: the function.
    """

    section: str
    number: int
    slug: str
    rule: str
    source: str
    how: str
    remedy: str
    level: Level
    tier: Tier
    exclusive: bool
    limit_s: float
    body: Body = field(repr=False, eq=False)

    @property
    def id(self) -> str:
        """The stable name, ``section/number/slug``."""
        return f"{self.section}/{self.number}/{self.slug}"


_REGISTRY: dict[str, Check] = {}


def check(  # noqa: PLR0913  a check is data, and all of it is said here
    name: str,
    *,
    rule: str,
    source: str,
    how: str,
    remedy: str,
    level: Level = Level.MUST,
    tier: Tier = Tier.A,
    exclusive: bool = False,
    limit_s: float = LIMIT_S,
) -> Callable[[Body], Body]:
    """Put a function into the table of checks; see `Check` for the arguments.

    Raises:
        ValueError: the id is malformed, outside its section's numbers, or taken.
    """
    match = _ID.fullmatch(name)
    if match is None or match["section"] not in SECTIONS:
        raise ValueError(f"{name!r} is no id section/number/slug of {', '.join(SECTIONS)}")
    first, last = SECTIONS[match["section"]]
    number = int(match["number"])
    if not first <= number <= last:
        raise ValueError(f"{name!r}: the numbers of {match['section']} are {first} to {last}")

    def register(body: Body) -> Body:
        if name in _REGISTRY:
            raise ValueError(f"there are two checks {name!r}")
        _REGISTRY[name] = Check(
            match["section"],
            number,
            match["slug"],
            rule,
            source,
            how,
            remedy,
            level,
            tier,
            exclusive,
            limit_s,
            body,
        )
        return body

    return register


def all_checks() -> list[Check]:
    """Return every check, by number and slug."""
    package = importlib.import_module("baqup_agent.conformance.checks")
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
    return sorted(_REGISTRY.values(), key=lambda one: (one.number, one.slug))


def select(
    checks: Sequence[Check], patterns: Iterable[str] = (), tier: Tier | None = None
) -> list[Check]:
    """Return the checks that any pattern names, and that belong to a tier.

    A pattern is a section, a number, a range of numbers such as ``14-18``, an id, or an id with
    ``*`` and ``?`` in it.

    Raises:
        UsageError: a pattern names no check.
    """
    chosen = list(checks)
    wanted = list(patterns)
    if wanted:
        for pattern in wanted:
            if not any(matches(one, pattern) for one in checks):
                raise UsageError(
                    f"no check {pattern!r}; name a section, a number, a range or an id "
                    "as 'conform --list' shows them"
                )
        chosen = [one for one in chosen if any(matches(one, pattern) for pattern in wanted)]
    return [one for one in chosen if tier is None or one.tier is tier]


def matches(one: Check, pattern: str) -> bool:
    """Tell whether a pattern names a check; see `select`."""
    if numbers := _RANGE.fullmatch(pattern):
        return int(numbers["first"]) <= one.number <= int(numbers["last"])
    if pattern.isdecimal():
        return one.number == int(pattern)
    prefix = f"{one.section}/{one.number}"
    return pattern in (one.section, prefix) or fnmatchcase(one.id, pattern)
