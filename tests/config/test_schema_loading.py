"""Schemas that somebody wrote by hand: the contract's own way (Contract §2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from baqup_agent import Secret
from baqup_agent.config import load_config, validate
from baqup_agent.config.schema_loading import load
from baqup_agent.errors import ConfigError
from tests.config.shop import ShopAgent

#: One of everything that the contract asks of a schema.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "$defs": {"words": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2}},
    "properties": {
        "BAQUP_SOURCE_HOST": {"type": "string", "description": "the server"},
        "BAQUP_SOURCE_PORT": {"type": "integer", "minimum": 1, "description": "its port"},
        "BAQUP_SOURCE_WORDS": {"$ref": "#/$defs/words"},
        "BAQUP_SOURCE_LIMIT": {"type": ["integer", "string"], "default": "none"},
        "BAQUP_SOURCE_SHARE": {"type": "number", "exclusiveMaximum": 1, "default": 0.5},
        "BAQUP_SOURCE_STEP": {"type": "integer", "multipleOf": 5},
        "BAQUP_SOURCE_MODE": {"enum": [1, 2]},
        "BAQUP_SOURCE_MAP": {"type": "object"},
        "BAQUP_SOURCE_ANY": True,
        "BAQUP_SECRET_PIN": {"type": "integer", "minimum": 1000},
        "BAQUP_TARGET_TLS": {"type": "boolean", "default": False},
        "BAQUP_TARGET_CODE": {"anyOf": [{"const": "x"}, {"const": "y"}]},
    },
    "dependentRequired": {"BAQUP_SOURCE_HOST": ["BAQUP_SOURCE_PORT"]},
    "if": {"properties": {"BAQUP_TARGET_TLS": {"const": True}}},
    "then": {
        "required": ["BAQUP_TARGET_CA"],
        "properties": {"BAQUP_TARGET_CA": {"type": "string", "format": "path", "minLength": 1}},
    },
}


def test_values_get_the_types_that_the_schema_names_anywhere() -> None:
    """In properties, behind references, in several types, in enums, and under conditions."""
    loaded = load(
        SCHEMA,
        {
            "BAQUP_SOURCE_WORDS": "a|b",
            "BAQUP_SOURCE_LIMIT": "5",
            "BAQUP_SOURCE_MODE": "2",
            "BAQUP_SOURCE_MAP": '{"a": 1}',
            "BAQUP_SOURCE_ANY": "5",
            "BAQUP_SECRET_PIN": "1234",
            "BAQUP_TARGET_TLS": "true",
            "BAQUP_TARGET_CA": "/ca",
        },
    )

    assert loaded.problems == ()
    assert loaded.values == {
        "BAQUP_SOURCE_WORDS": ["a", "b"],
        "BAQUP_SOURCE_LIMIT": 5,
        "BAQUP_SOURCE_SHARE": 0.5,
        "BAQUP_SOURCE_MODE": 2,
        "BAQUP_SOURCE_MAP": {"a": 1},
        "BAQUP_SOURCE_ANY": "5",
        "BAQUP_SECRET_PIN": Secret("1234"),
        "BAQUP_TARGET_TLS": True,
        "BAQUP_TARGET_CA": Path("/ca"),
    }


@pytest.mark.parametrize(
    ("environ", "path", "keyword", "message"),
    [
        ({"SOURCE_HOST": "h"}, ("BAQUP_SOURCE_PORT",), "dependentRequired",
         "BAQUP_SOURCE_PORT is not set, and BAQUP_SOURCE_HOST, which is set, needs it; set it"),
        ({"TARGET_TLS": "true"}, ("BAQUP_TARGET_CA",), "required", "BAQUP_TARGET_CA is not set"),
        ({"SOURCE_WORDS": "a,c"}, ("BAQUP_SOURCE_WORDS", 1), "enum",
         "BAQUP_SOURCE_WORDS='a,c' at 1: expected one of a, b"),
        ({"SOURCE_WORDS": "a,b,a"}, ("BAQUP_SOURCE_WORDS",), "maxItems", "at most 2 items"),
        ({"SOURCE_SHARE": "1"}, ("BAQUP_SOURCE_SHARE",), "exclusiveMaximum", "less than 1"),
        ({"SOURCE_STEP": "7"}, ("BAQUP_SOURCE_STEP",), "multipleOf", "a multiple of 5"),
        ({"SOURCE_MODE": "3"}, ("BAQUP_SOURCE_MODE",), "enum", "expected one of 1, 2"),
        ({"SOURCE_MAP": "[1]"}, ("BAQUP_SOURCE_MAP",), "type", "expected a JSON object"),
        ({"TARGET_CODE": "z"}, ("BAQUP_TARGET_CODE",), "anyOf", "keep the schema's rule 'anyOf'"),
        ({"SECRET_PIN": "777"}, ("BAQUP_SECRET_PIN",), "minimum",
         "BAQUP_SECRET_PIN (value not shown): must be at least 1000"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_told_with_path_keyword_and_our_words(
    environ: dict[str, str], path: tuple[str | int, ...], keyword: str, message: str
) -> None:
    """Every keyword has a sentence of its own, and no sentence shows a secret."""
    (finding,) = load(SCHEMA, {f"BAQUP_{name}": text for name, text in environ.items()}).findings

    assert (finding.path, finding.keyword) == (path, keyword)
    assert message in finding.message
    assert "777" not in finding.message


def test_validate_judges_a_configuration_without_an_environment() -> None:
    """A controller holds resolved values against an agent's schema, for a role."""
    config = {
        "BAQUP_JOB_ID": "not one", "BAQUP_STAGING_DIR": Path("/s"), "BAQUP_BUS_URL": "redis://h",
        "BAQUP_SECRET_DB_PASSWORD": Secret("hunter2"), "BAQUP_SOURCE_MODE": 3, "role": "restore",
    }  # fmt: skip

    found = validate(ShopAgent.schema(), config)

    assert [(finding.path, finding.keyword) for finding in found] == [
        (("BAQUP_JOB_ID",), "pattern"),
        (("BAQUP_SOURCE_MODE",), "type"),
        (("BAQUP_TARGET_PATH",), "required"),
    ]
    assert "hunter2" not in str(found)


def test_no_value_of_a_secret_is_repeated_whatever_rule_it_breaks() -> None:
    """Neither in messages nor in paths, for each rule that texts can break."""
    rules: dict[str, Any] = {
        "minLength": 99, "maxLength": 1, "pattern": "^x$", "enum": ["x"], "const": "x",
        "type": "integer", "not": {"const": "hunter2"},
    }  # fmt: skip
    for keyword, argument in rules.items():
        schema = {"properties": {"BAQUP_SECRET_X": {keyword: argument}}}
        (finding,) = validate(schema, {"BAQUP_SECRET_X": Secret("hunter2")})

        assert finding.keyword == keyword
        assert "hunter2" not in str(finding)


def test_what_is_inside_a_secret_stays_there() -> None:
    """A path that leads into a secret ends at its name."""
    schema = {"properties": {"BAQUP_SECRET_X": {"additionalProperties": {"type": "integer"}}}}

    (finding,) = validate(schema, {"BAQUP_SECRET_X": {"hunter2": "x"}})
    assert finding.path == ("BAQUP_SECRET_X",)
    assert "hunter2" not in finding.message


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"properties": {"BAQUP_SOURCE_A": {"$ref": "#/$defs/none"}}}, "leads nowhere"),
        ({"properties": {"BAQUP_SOURCE_A": {"$ref": "http://127.0.0.1:9/x"}}}, "leads nowhere"),
        ({"$ref": "#"}, "refers to itself without end"),
        ({"properties": {"BAQUP_SOURCE_A": {"minimum": "1"}}}, "see properties/BAQUP_SOURCE_A"),
        ({"properties": {"BAQUP_SOURCE_A": {"pattern": "("}}}, "properties/BAQUP_SOURCE_A/pattern"),
    ],
)
def test_a_schema_that_cannot_be_used_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: dict[str, Any], why: str
) -> None:
    """One line about the schema and not about the environment; nothing is fetched."""
    path = tmp_path / "agent-schema.json"
    path.write_text(json.dumps(schema))
    monkeypatch.setenv("BAQUP_SOURCE_A", "1")

    for judge in (lambda: load_config(path), lambda: validate(schema, {"BAQUP_SOURCE_A": "1"})):
        with pytest.raises(ConfigError, match=r"schema .*cannot be used") as caught:
            judge()
        assert why in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_default_that_breaks_its_own_rule_is_the_schemas_fault() -> None:
    """The line does not pretend that somebody set it."""
    schema = {"properties": {"BAQUP_SOURCE_PORT": {"type": "integer", "default": "x"}}}

    (problem,) = load(schema, {}).problems
    assert problem.startswith(
        "BAQUP_SOURCE_PORT: the schema's own default breaks its rule; expected"
    )


def test_the_schema_of_an_agent_loads_like_the_agent_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--schema` written to a file and `load_config` give what the agent reads, for its role."""
    path = tmp_path / "agent-schema.json"
    path.write_text(json.dumps(ShopAgent.schema()))
    environ = {
        "BAQUP_JOB_ID": "123e4567-e89b-12d3-a456-426614174000",
        "BAQUP_STAGING_DIR": "/s",
        "BAQUP_BUS_URL": "file:///b",
        "BAQUP_SECRET_DB_PASSWORD": "p",
    }
    for name, text in environ.items():
        monkeypatch.setenv(name, text)

    assert load_config(path)["BAQUP_TARGET_WORKERS"] == 2
    with pytest.raises(ConfigError, match="BAQUP_TARGET_PATH is not set"):
        load_config(path, role="restore")


def test_what_is_wrong_as_a_whole_is_told_without_a_variable() -> None:
    """A rule on the object itself has an empty path."""
    (finding,) = validate({"maxProperties": 1}, {"BAQUP_A": 1, "BAQUP_B": 2})

    assert (finding.path, finding.variable, finding.keyword) == ((), "", "maxProperties")
    assert "breaks the schema's rule 'maxProperties'" in finding.message
