"""Labels held against their agent: every difference, and nothing else."""

from __future__ import annotations

import json

import pytest

from baqup_agent.packaging.comparison import compare
from tests.packaging.descriptions import described, schema_with

SCHEMA = schema_with(BAQUP_SOURCE_PATH={"type": "string", "default": "a"})
EXPECTED = described(SCHEMA).labels()


def changed(**labels: str | None) -> dict[str, str]:
    """The labels as they should be, but for these; None takes one away."""
    wanted = {**EXPECTED, **{f"io.baqup.{name}": text for name, text in labels.items()}}
    return {name: text for name, text in wanted.items() if text is not None}


def lines(found: dict[str, str]) -> list[str]:
    return [str(difference) for difference in compare(found, EXPECTED)]


def test_the_agents_own_labels_differ_in_nothing() -> None:
    """Nor do labels of others, the order of roles, or the schema's layout."""
    found = changed(roles="restore,snapshot", schema=json.dumps(SCHEMA, indent=2, sort_keys=True))

    assert lines({**found, "maintainer": "x", "org.opencontainers.image.version": "9"}) == []


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_label_that_is_missing_is_told(name: str) -> None:
    """With what to add."""
    found = {key: text for key, text in EXPECTED.items() if key != name}

    (line,) = lines(found)
    assert line.startswith(f"{name}: is missing; add {name}")


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"io.baqup.schema"}))
def test_each_label_that_is_different_is_told(name: str) -> None:
    """With both values and what to set."""
    (line,) = lines({**EXPECTED, name: "other"})

    assert "the image says 'other'" in line
    assert f"set {name}={EXPECTED[name]!r}" in line


def test_differences_in_the_schema_are_told_by_their_place() -> None:
    """Innermost: a person finds the variable and the keyword."""
    image = json.loads(json.dumps(SCHEMA))
    image["properties"]["BAQUP_SOURCE_PATH"]["default"] = "b"
    image["properties"]["BAQUP_SOURCE_OLD"] = {"type": "string"}
    del image["properties"]["BAQUP_BUS_URL"]
    image["required"] = []

    found = {
        difference.place.removeprefix("io.baqup.schema"): difference.problem
        for difference in compare(changed(schema=json.dumps(image)), EXPECTED)
    }

    assert set(found) == {
        "/properties/BAQUP_SOURCE_PATH/default",
        "/properties/BAQUP_SOURCE_OLD",
        "/properties/BAQUP_BUS_URL",
        "/required",
    }
    assert found["/properties/BAQUP_SOURCE_OLD"] == "only the image has it"
    assert found["/properties/BAQUP_BUS_URL"] == "only the agent has it"
    assert found["/properties/BAQUP_SOURCE_PATH/default"] == (
        "the image says '\"b\"', the agent '\"a\"'"
    )


@pytest.mark.parametrize(("theirs", "ours"), [(True, 1), ("1", 1), (None, False), ([], {})])
def test_values_of_different_types_differ(theirs: object, ours: object) -> None:
    """Python takes some of them for equal; JSON does not."""
    expected = described({"x": ours}).labels()
    found = {**expected, "io.baqup.schema": json.dumps({"x": theirs})}

    assert [each.place for each in compare(found, expected)] == ["io.baqup.schema/x"]


def test_a_schema_that_is_no_json_is_told() -> None:
    """One line, shortened."""
    (line,) = lines(changed(schema="{" * 500))

    assert line.startswith("io.baqup.schema: is no JSON")
    assert len(line) < 200


def test_a_label_that_no_agent_has_is_told() -> None:
    """A misspelt one would otherwise be taken for nothing."""
    assert lines(changed(role="snapshot")) == ["io.baqup.role: is no label of an agent; remove it"]


def test_a_schema_of_an_agent_that_tells_none_is_told() -> None:
    """Then nobody can say whether it is right."""
    silent = described().labels()

    (difference,) = compare(EXPECTED, silent)
    assert str(difference).startswith("io.baqup.schema: is there, but the agent tells no schema")
