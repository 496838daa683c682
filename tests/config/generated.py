"""Declarations and environments that hypothesis makes up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from baqup_agent.config.declaration import Declaration, DeclarationError, declare
from baqup_agent.config.variables import Kind, Variable

ROLES = ("snapshot", "restore")

NAMES = [f"BAQUP_SOURCE_{letter}" for letter in "ABCDE"]
SECRETS = ["BAQUP_SECRET_X", "BAQUP_SECRET_Y"]

#: Texts that hit the edges of one kind or another.
TEXTS = [
    "", " ", "a", "b", "ab", "abc", "true", "false", "True", "0", "1", "-1", "5", "+7", "1.5",
    "-0.0", "1e400", "NaN", "Infinity", "9" * 30, "a,b", "a|b", "a,,b", "a|b,c", "[", "[]",
    '["a"]', "[1]",
    '["a", null]', "[NaN]", '[["a"]]', "{}", "512M", "0", "8X", "auto", "512M\n", "1h30m", "90s",
    "90", "1h30", "m1", "redis://h", "file:///x", "nothing", "db.example.org", "db:5432",
    "::1", "::1\n",
    "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000\n", "é", "\u2028",
    "a\n", "a\nb", "\udcff", "\u0661", "x" * 300,
]  # fmt: skip

texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=8))

_BODIES = ["a+", "[a-c]{1,2}", "a|ab", "(?i:x.*)", "[^,]*", r"\w+", "a$", ""]
_NUMBERS = {Kind.INT: st.integers(-5, 5), Kind.FLOAT: st.sampled_from([-1.5, 0.0, 0.5, 3.0])}
_DEFAULTS: Mapping[Kind, st.SearchStrategy[Any]] = {
    Kind.STRING: st.sampled_from(["", "a", "abc"]),
    Kind.BOOL: st.booleans(),
    Kind.ENUM: st.sampled_from(["a", "b"]),
    Kind.ARRAY: st.sampled_from([(), ("a",), ("a", "abc")]),
    Kind.PATH: st.just("/x"),
    Kind.URI: st.just("a:b"),
    Kind.HOSTNAME: st.just("h"),
    Kind.SIZE: st.just("1K"),
    Kind.DURATION: st.just("1s"),
    Kind.UUID: st.just("123e4567-e89b-12d3-a456-426614174000"),
    **_NUMBERS,
}
_CONDITIONS: Mapping[Kind, st.SearchStrategy[Any]] = {
    **_DEFAULTS,
    Kind.ARRAY: st.sampled_from([[], ["a"]]),
}


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def _variables(draw: st.DrawFn, name: str) -> Variable:
    if name in SECRETS:
        kind = Kind.SECRET
    else:
        kind = draw(st.sampled_from([kind for kind in Kind if kind is not Kind.SECRET]))
    textual = kind in {Kind.STRING, Kind.ARRAY}
    bounds = sorted([draw(_NUMBERS[kind]), draw(_NUMBERS[kind])]) if kind in _NUMBERS else [0, 0]
    items = sorted([draw(st.integers(0, 2)), draw(st.integers(1, 3))])
    return Variable(
        name,
        kind,
        "something",
        default=draw(_maybe(_DEFAULTS[kind])) if kind in _DEFAULTS else None,
        choices=("a", "b", "abc") if kind is Kind.ENUM or (textual and draw(st.booleans())) else (),
        minimum=draw(_maybe(st.just(bounds[0]))) if kind in _NUMBERS else None,
        maximum=draw(_maybe(st.just(bounds[1]))) if kind in _NUMBERS else None,
        pattern=draw(_maybe(st.sampled_from(_BODIES))) if textual else None,
        min_length=draw(_maybe(st.just(items[0]))) if kind is Kind.STRING else None,
        max_length=draw(_maybe(st.just(items[1]))) if kind is Kind.STRING else None,
        min_items=draw(_maybe(st.just(items[0]))) if kind is Kind.ARRAY else None,
        max_items=draw(_maybe(st.just(items[1]))) if kind is Kind.ARRAY else None,
    )


@st.composite
def _needed(draw: st.DrawFn, variable: Variable, others: list[Variable]) -> Variable:
    """The variable, made conditional in one way or another where that makes sense."""
    if variable.default is not None:
        return variable
    public = [each for each in others if each.kind is not Kind.SECRET and each is not variable]
    how = draw(st.sampled_from(["never", "always", "role", "value", "needs"]))
    if how == "always":
        return variable._replace(required=True)
    if how == "role":
        return variable._replace(required_for=(draw(st.sampled_from(ROLES)),))
    if how == "value" and public:
        other = draw(st.sampled_from(public))
        return variable._replace(required_if=((other.name, draw(_CONDITIONS[other.kind])),))
    if how == "needs":
        return variable._replace(needs=(draw(st.sampled_from(others)).name,))
    return variable


@st.composite
def declarations(draw: st.DrawFn) -> Declaration:
    """Declarations that make sense; what does not is made up again without its rules."""
    names = draw(st.lists(st.sampled_from(NAMES + SECRETS), unique=True, min_size=1))
    plain = [draw(_variables(name)) for name in names]
    plain = [each if _sound([each]) else each._replace(default=None) for each in plain]
    conditional = [draw(_needed(each, plain)) for each in plain]
    own = conditional if _sound(conditional) else plain
    return declare(own, roles=ROLES)


def _sound(own: list[Variable]) -> bool:
    try:
        declare(own, roles=ROLES)
    except DeclarationError:
        return False
    return True


#: What the contract itself requires.
BASE = {
    "BAQUP_JOB_ID": "123e4567-e89b-12d3-a456-426614174000",
    "BAQUP_STAGING_DIR": "/staging",
    "BAQUP_BUS_URL": "file:///bus",
}

environments = st.builds(
    lambda base, own: {**base, **own},
    st.sampled_from([BASE, BASE, BASE, {}]),
    st.dictionaries(st.sampled_from(NAMES + SECRETS), texts),
)
