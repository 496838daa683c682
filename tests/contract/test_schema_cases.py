"""The schemas of the spec hold what its cases say, and every rule of theirs has a case."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

Schema = dict[str, Any]
Steps = tuple[str, ...]
Judge = Callable[[str, Path], list[ValidationError]]

#: Keywords that annotate or hold further schemas, and constrain nothing by themselves.
_NOT_RULES = {"$schema", "$id", "$defs", "title", "description", "properties", "if", "not"}


def _validator(schema: Schema, schemas: dict[str, Schema]) -> Draft202012Validator:
    known = [(each["$id"], Resource.from_contents(each)) for each in schemas.values()]
    registry: Registry[Any] = Registry().with_resources(known)
    return Draft202012Validator(schema, registry=registry)


@pytest.fixture(scope="module")
def judge(schemas: dict[str, Schema]) -> Judge:
    """Return the errors that the named schema finds in a case."""
    validators = {name: _validator(schema, schemas) for name, schema in schemas.items()}

    def errors(name: str, case: Path) -> list[ValidationError]:
        return list(validators[name].iter_errors(json.loads(case.read_text(encoding="utf-8"))))

    return errors


def test_a_valid_case_is_accepted(valid_case: Path, judge: Judge) -> None:
    """What the spec gives as an example of the right form has no fault."""

    assert judge(valid_case.parts[-3], valid_case) == []


def test_an_invalid_case_breaks_one_rule(invalid_case: Path, judge: Judge) -> None:
    """What the spec gives as a wrong form is refused, and for one reason only."""

    assert len(judge(invalid_case.parts[-3], invalid_case)) == 1


def test_a_schema_is_valid_draft_2020_12(schema_name: str, schemas: dict[str, Schema]) -> None:
    """Each schema obeys the metaschema that it names."""
    schema = schemas[schema_name]

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


def test_a_schema_introduces_itself(schema_name: str, schemas: dict[str, Schema]) -> None:
    """Each schema carries its URN, a title and a description."""
    schema = schemas[schema_name]

    assert schema["$id"] == f"urn:baqup:agent:1.0:{schema_name}"
    assert schema["title"]
    assert schema["description"]


def test_every_property_is_described(schema_name: str, schemas: dict[str, Schema]) -> None:
    """A reader learns from the schema alone what each member means."""
    schema = schemas[schema_name]
    declared = [
        (".".join((*path, name)), member)
        for path, part in _subschemas(schema)
        if not {"then", "else"} & set(path)
        for name, member in part.get("properties", {}).items()
    ]

    assert [name for name, member in declared if "description" not in member] == []


def test_a_schema_has_cases_of_both_kinds(schema_name: str, spec: Path) -> None:
    """No schema goes without examples of right and of wrong."""
    counts = {
        kind: len(list((spec / "cases" / schema_name / kind).glob("*.json")))
        for kind in ("valid", "invalid")
    }

    assert counts["valid"] >= 5
    assert counts["invalid"] >= 8


def test_no_file_of_the_cases_is_stray(spec: Path, schemas: dict[str, Schema]) -> None:
    """Each file below cases/ belongs to a schema and a kind, and is seen by these tests."""
    belonging = {
        path
        for name in schemas
        for kind in ("valid", "invalid")
        for path in (spec / "cases" / name / kind).glob("*.json")
    }

    assert {path for path in (spec / "cases").rglob("*") if path.is_file()} == belonging


def test_no_two_cases_say_the_same(schema_name: str, spec: Path) -> None:
    """Each case of a schema is an instance of its own."""
    instances = [
        json.dumps(json.loads(path.read_text(encoding="utf-8")), sort_keys=True)
        for path in (spec / "cases" / schema_name).rglob("*.json")
    ]

    assert len(set(instances)) == len(instances)


def test_every_rule_has_a_case(schema_name: str, schemas: dict[str, Schema], spec: Path) -> None:
    """A schema that lacks one of its rules accepts what is wrong or refuses what is right."""
    cases = {
        kind: [
            json.loads(path.read_text(encoding="utf-8"))
            for path in (spec / "cases" / schema_name / kind).glob("*.json")
        ]
        for kind in ("valid", "invalid")
    }
    survivors = []
    for rule, mutant in _mutants(schemas[schema_name]):
        validator = _validator(mutant, schemas)
        loosened = any(validator.is_valid(case) for case in cases["invalid"])
        if not loosened and all(validator.is_valid(case) for case in cases["valid"]):
            survivors.append(rule)

    assert survivors == []


def _mutants(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield the schema once for each of its rules, without that rule or one entry of it."""
    for path, part in _subschemas(schema):
        for keyword in sorted(set(part) - _NOT_RULES):
            where = "/".join((*path, keyword))
            yield where, _without(schema, path, keyword)
            entries = part[keyword] if isinstance(part[keyword], list) else []
            for index, entry in enumerate(entries):
                yield f"{where}: {entry}", _without(schema, path, keyword, index)


def _without(schema: Schema, path: Steps, keyword: str, index: int | None = None) -> Schema:
    mutant = copy.deepcopy(schema)
    part: Any = mutant
    for step in path:
        part = part[int(step)] if isinstance(part, list) else part[step]
    if index is None or len(part[keyword]) == 1:
        del part[keyword]
    else:
        del part[keyword][index]
    return mutant


def _subschemas(schema: Any, path: Steps = ()) -> Iterator[tuple[Steps, Schema]]:
    """Yield the schema and all that it is made of; a condition (if, not) counts as one piece."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for keyword in ("properties", "$defs"):
        for name, part in schema.get(keyword, {}).items():
            yield from _subschemas(part, (*path, keyword, name))
    for keyword in ("items", "contains", "then", "else", "propertyNames", "additionalProperties"):
        yield from _subschemas(schema.get(keyword), (*path, keyword))
    for keyword in ("allOf", "anyOf"):
        for index, part in enumerate(schema.get(keyword, [])):
            yield from _subschemas(part, (*path, keyword, str(index)))
