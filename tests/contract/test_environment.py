"""The table of variables against environment.json, both ways (Contract §2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from baqup_agent.config.variables import SECRET_PREFIX, VARIABLES, Kind, Variable

Load = Callable[[str], Any]
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def rows(load: Load) -> list[Facts]:
    """Every entry of the spec."""
    loaded: list[Facts] = load("environment.json")
    return loaded


@pytest.fixture(scope="module")
def told(rows: list[Facts]) -> dict[str, Facts]:
    """The facts of every variable that has a name of its own, as the spec has them."""
    return {row["name"]: _from_spec(row) for row in rows if "pattern" not in row}


@pytest.fixture(scope="module")
def declared() -> dict[str, Facts]:
    """The facts of every variable, as the code has them."""
    return {variable.name: _from_code(variable) for variable in VARIABLES}


def _from_spec(row: Facts) -> Facts:
    return {
        "type": row["type"],
        "required": row["required"],
        "default": row["default"],
        "enum": row.get("enum", []),
        "minimum": row.get("minimum"),
        "maximum": row.get("maximum"),
        "secret": row["secret"],
        "sdk": row["sdk"],
    }


def _from_code(variable: Variable) -> Facts:
    default: Any = variable.default
    if variable.kind is Kind.ARRAY and isinstance(default, str):
        default = default.split(",")  # an array's default stands there as a text to be split
    return {
        "type": variable.kind,
        "required": variable.required,
        "default": default,
        "enum": list(variable.choices),
        "minimum": variable.minimum,
        "maximum": variable.maximum,
        "secret": variable.kind is Kind.SECRET,
        "sdk": variable.sdk,
    }


def _sorted_enums(facts: dict[str, Facts]) -> dict[str, Facts]:
    return {name: {**each, "enum": sorted(each["enum"])} for name, each in facts.items()}


def test_each_variable_of_the_spec_is_in_the_code(
    told: dict[str, Facts], declared: dict[str, Facts]
) -> None:
    """No variable of the contract is missing from the table."""

    assert set(told) - set(declared) == set()


def test_each_variable_of_the_code_is_in_the_spec(
    told: dict[str, Facts], declared: dict[str, Facts]
) -> None:
    """No variable is in the table that the spec does not tell of."""

    assert set(declared) - set(told) == set()


def test_a_variable_has_the_same_facts_on_both_sides(
    told: dict[str, Facts], declared: dict[str, Facts]
) -> None:
    """Type, default, allowed words, bounds and origin are equal."""
    common = set(told) & set(declared)
    ours = {name: facts for name, facts in declared.items() if name in common}
    theirs = {name: facts for name, facts in told.items() if name in common}

    assert _sorted_enums(ours) == _sorted_enums(theirs)


def test_a_variable_is_declared_once() -> None:
    """No name has two rows in the table."""
    names = [variable.name for variable in VARIABLES]

    assert len(set(names)) == len(names)


def test_secrets_are_known_by_the_same_prefix(rows: list[Facts]) -> None:
    """What the spec calls a secret, the code does, and what it does not, neither does the code."""
    (secrets,) = (row for row in rows if "pattern" in row)

    assert secrets["secret"]
    assert secrets["name"] == f"{SECRET_PREFIX}*"
    assert re.match(secrets["pattern"], f"{SECRET_PREFIX}DB_PASSWORD")
    named = {row["name"] for row in rows if row.get("secret") and "pattern" not in row}
    assert {v.name for v in VARIABLES if re.match(secrets["pattern"], v.name)} == named
    assert {v.name for v in VARIABLES if v.kind is Kind.SECRET} == named
