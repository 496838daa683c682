"""A declaration and the JSON Schema that is made of it mean the same (Contract §2)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from baqup_agent.config.declaration import Declaration
from baqup_agent.config.reading import read_environment
from baqup_agent.config.schema import schema_of
from baqup_agent.config.schema_loading import load, validate
from tests.config.generated import ROLES, declarations, environments

roles = st.sampled_from([None, *ROLES])


def _check(declaration: Declaration, environ: dict[str, str], role: str | None) -> bool:
    ours = read_environment(declaration, environ, role)
    theirs = load(schema_of(declaration), environ, role)

    assert bool(ours.findings) == bool(theirs.findings), (ours.problems, theirs.problems)
    assert ours.values == theirs.values
    assert ours.warnings == theirs.warnings
    return not ours.findings


@settings(max_examples=120)
@given(declarations(), environments, roles)
def test_both_ways_give_the_same_verdict_and_the_same_values(
    declaration: Declaration, environ: dict[str, str], role: str | None
) -> None:
    """Whatever is declared and set, the own checks say what the JSON Schema says."""
    _check(declaration, environ, role)


@pytest.mark.timeout(600)
def test_both_ways_agree_at_length(long: bool) -> None:
    """The same over many more examples; both verdicts occur often enough to mean something."""
    if not long:
        pytest.skip("a sweep; --long runs it")
    verdicts: list[bool] = []

    @settings(max_examples=5_000)
    @given(declarations(), environments, roles)
    def sweep(declaration: Declaration, environ: dict[str, str], role: str | None) -> None:
        verdicts.append(_check(declaration, environ, role))

    sweep()
    print(f"{len(verdicts)} cases, {sum(verdicts)} valid")
    assert 0.1 < sum(verdicts) / len(verdicts) < 0.9


@settings(max_examples=40)
@given(declarations())
def test_every_declaration_makes_a_schema(declaration: Declaration) -> None:
    """It is of draft 2020-12, and it survives JSON."""
    schema = schema_of(declaration, "Environment of agent-x")

    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


@settings(max_examples=40)
@given(declarations(), environments, roles)
def test_what_was_loaded_is_valid(
    declaration: Declaration, environ: dict[str, str], role: str | None
) -> None:
    """`validate` accepts the values of a good environment, with and without their defaults."""
    loaded = read_environment(declaration, environ, role)
    if loaded.findings:
        return
    config: dict[str, Any] = dict(loaded.values)
    if role is not None:
        config["role"] = role
    given_only = {name: value for name, value in config.items() if name in {*environ, "role"}}

    assert validate(schema_of(declaration), config) == ()
    assert validate(schema_of(declaration), given_only) == ()
