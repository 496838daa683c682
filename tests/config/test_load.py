"""The environment against its schema: types, defaults, and every problem at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from baqup_agent.config import load_config
from baqup_agent.config.coercion import Uncoercible, coerce
from baqup_agent.config.declaration import contract
from baqup_agent.config.findings import Loaded
from baqup_agent.config.reading import read_environment
from baqup_agent.config.schema import schema_of
from baqup_agent.config.schema_loading import load
from baqup_agent.config.structure import settings_of
from baqup_agent.contract import LogLevel, PartialFailureMode
from baqup_agent.errors import ConfigError
from baqup_agent.security.secret import Secret

SCHEMA = schema_of(contract())
JOB_ID = "123e4567-e89b-12d3-a456-426614174000"
VALID = {
    "BAQUP_JOB_ID": JOB_ID,
    "BAQUP_STAGING_DIR": "/var/lib/staging",
    "BAQUP_BUS_URL": "file:///var/lib/bus",
}

Read = Callable[[dict[str, str]], Loaded]


@pytest.fixture(params=["declaration", "schema"])
def read(request: pytest.FixtureRequest) -> Read:
    """Each of the two ways in: against the declaration, and against its JSON Schema."""
    if request.param == "declaration":
        return partial(read_environment, contract())
    return partial(load, SCHEMA)


def test_defaults_apply_when_a_variable_is_unset(read: Read) -> None:
    """A minimal environment gives every default of the table."""
    settings = settings_of(read(VALID).require())

    assert settings.job.id == JOB_ID
    assert settings.job.timeout_s == 3600
    assert settings.agent.heartbeat_interval_s == 10
    assert settings.agent.log_level is LogLevel.INFO
    assert settings.agent.partial_failure_mode is PartialFailureMode.FAIL
    assert settings.artifact.compression == "zstd"
    assert settings.bus.url.reveal() == "file:///var/lib/bus"
    assert settings.staging_dir == Path("/var/lib/staging")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("BAQUP_JOB_TIMEOUT", "60", 60),
        ("BAQUP_ARTIFACT_COMPRESS", "false", False),
        ("BAQUP_AGENT_LOG_FORMAT", "logfmt", "logfmt"),
        ("BAQUP_SOURCE_PATH", "/data", Path("/data")),
        ("BAQUP_SOURCE_EXCLUDE", '["*.tmp", "a,b"]', ["*.tmp", "a,b"]),
        ("BAQUP_SOURCE_EXCLUDE", "*.tmp|*.log", ["*.tmp", "*.log"]),
        ("BAQUP_SOURCE_EXCLUDE", "*.tmp,a|b", ["*.tmp", "a|b"]),
        ("BAQUP_SOURCE_EXCLUDE", "*.tmp", ["*.tmp"]),
        ("BAQUP_ARTIFACT_COMPRESS_LEVEL", "-3", -3),
        ("BAQUP_SOURCE_COLOUR", "blue", "blue"),
        ("BAQUP_SOURCE_HOST", "db.example.org.", "db.example.org."),
        ("BAQUP_SOURCE_HOST", "fe80::1%eth0", "fe80::1%eth0"),
        ("BAQUP_AGENT_MEMORY_LIMIT", "2GiB", "2GiB"),
    ],
)
def test_a_value_gets_its_type(read: Read, name: str, text: str, value: object) -> None:
    """Text becomes the type that the table declares; undeclared source variables stay text."""
    assert read({**VALID, name: text}).require()[name] == value


def test_the_compress_switch_turns_compression_off(read: Read) -> None:
    """`BAQUP_ARTIFACT_COMPRESS=false` wins over the algorithm."""
    values = read({**VALID, "BAQUP_ARTIFACT_COMPRESS": "false"}).require()

    assert settings_of(values).artifact.compression == "none"


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("BAQUP_JOB_ID", "../../etc", "expected a UUID"),
        ("BAQUP_JOB_ID", JOB_ID + "\n", "expected a UUID"),
        ("BAQUP_JOB_TIMEOUT", "three", "expected a whole number"),
        ("BAQUP_JOB_TIMEOUT", "9" * 5000, "expected a whole number"),
        ("BAQUP_JOB_TIMEOUT", "0", "must be at least 1"),
        ("BAQUP_AGENT_HEARTBEAT_INTERVAL", "601", "must be at most 600"),
        ("BAQUP_ARTIFACT_COMPRESS", "yes", "expected true or false"),
        ("BAQUP_AGENT_LOG_LEVEL", "loud", "expected one of trace, debug"),
        ("BAQUP_SOURCE_EXCLUDE", '["a', "expected a JSON array"),
        ("BAQUP_SOURCE_EXCLUDE", "[" * 100_000, "expected a JSON array"),
        ("BAQUP_SOURCE_PORT", "70000", "must be at most 65535"),
        ("BAQUP_AGENT_MEMORY_LIMIT", "much", "expected a size"),
        ("BAQUP_AGENT_MEMORY_LIMIT", "512M\n", "expected a size"),
        ("BAQUP_SOURCE_HOST", "db:5432", "expected a host name or address without a port"),
        ("BAQUP_ARTIFACT_ENCRYPT", "perhaps", "expected true or false"),
        ("BAQUP_ARTIFACT_SPLIT_SIZE", "1 dozen", "expected a size"),
    ],
)
def test_a_bad_value_is_one_line_with_variable_and_rule(
    read: Read, name: str, text: str, rule: str
) -> None:
    """The problem names the variable and what would be valid, and is short."""
    (problem,) = read({**VALID, name: text}).problems

    assert problem.startswith(f"{name}=")
    assert rule in problem
    assert "\n" not in problem
    assert len(problem) < 300


def test_all_problems_are_told_at_once_in_order(read: Read) -> None:
    """Missing and malformed variables stand in one error, sorted by name."""
    with pytest.raises(ConfigError) as caught:
        read({"BAQUP_JOB_TIMEOUT": "soon", "BAQUP_AGENT_LOG_LEVEL": "x"}).require()

    named = [problem.split("=")[0].split(" ")[0] for problem in caught.value.problems]
    assert named == [
        "BAQUP_AGENT_LOG_LEVEL",
        "BAQUP_BUS_URL",
        "BAQUP_JOB_ID",
        "BAQUP_JOB_TIMEOUT",
        "BAQUP_STAGING_DIR",
    ]


def test_secrets_are_wrapped_and_never_shown() -> None:
    """A secret becomes a `Secret`; a URL, which may hold a password, is not echoed either."""
    schema = {
        "properties": {
            "BAQUP_SECRET_PIN": {"type": "integer"},
            "BAQUP_BUS_URL": {"format": "uri", "type": "string", "pattern": "^redis:"},
        },
    }
    loaded = load(
        schema,
        {
            "BAQUP_SECRET_PIN": "hunter2",
            "BAQUP_BUS_URL": "http://me:hunter2@h",
            "BAQUP_SECRET_OTHER": "swordfish",
        },
    )

    assert loaded.values["BAQUP_SECRET_OTHER"] == Secret("swordfish")
    assert len(loaded.problems) == 2
    assert "hunter2" not in " ".join(loaded.problems)


def test_load_config_reads_the_agents_schema_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preview API: a schema file and the process's environment give a dict."""
    path = tmp_path / "agent-schema.json"
    path.write_text(
        json.dumps(
            {
                "type": "object",
                "properties": {
                    "BAQUP_SOURCE_PORT": {"type": "integer", "default": 5432},
                    "BAQUP_SOURCE_RATE": {"type": "number"},
                    "BAQUP_SECRET_KEY": {"type": "string", "writeOnly": True},
                },
                "required": ["BAQUP_SOURCE_RATE"],
            }
        )
    )
    monkeypatch.setenv("BAQUP_SOURCE_RATE", "3.14")
    monkeypatch.setenv("BAQUP_SECRET_KEY", "k")

    config = load_config(path)

    assert config["BAQUP_SOURCE_PORT"] == 5432
    assert config["BAQUP_SOURCE_RATE"] == 3.14
    assert config["BAQUP_SECRET_KEY"].reveal() == "k"


@pytest.mark.parametrize("content", [None, "{", "[1]", "true", '{"type": 3}'])
def test_an_unusable_schema_is_a_configuration_error(tmp_path: Path, content: str | None) -> None:
    """A schema that is absent, no JSON or no object is refused by name."""
    path = tmp_path / "agent-schema.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigError, match=r"agent-schema\.json"):
        load_config(path)


def test_the_schema_of_the_variables_is_valid() -> None:
    """What is derived from the table is itself a draft 2020-12 schema."""
    Draft202012Validator.check_schema(SCHEMA)

    assert set(SCHEMA["required"]) == {"BAQUP_BUS_URL", "BAQUP_JOB_ID", "BAQUP_STAGING_DIR"}


@given(st.dictionaries(st.sampled_from(sorted(contract().variables)), st.text()))
def test_any_environment_is_answered_by_values_or_problems(environ: dict[str, str]) -> None:
    """No text makes a loader raise; a variable is either usable or named in a problem."""
    for loaded in (read_environment(contract(), environ), load(SCHEMA, environ)):
        for name, text in environ.items():
            named = any(finding.variable == name for finding in loaded.findings)
            assert named != (name in loaded.values) or not text


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]))))
def test_a_json_array_round_trips(items: list[str]) -> None:
    """Whatever the items hold, the JSON form gives them back."""
    assert coerce(json.dumps(items), {"type": "array"}) == items


@given(st.text())
def test_only_whole_numbers_become_integers(text: str) -> None:
    """Coercion to integer accepts what is written with ASCII digits and nothing else."""
    digits = text.lstrip("+-") if text[:1] in {"+", "-"} and text[1:2].isdigit() else text
    wanted = digits.isascii() and digits.isdigit() and len(digits) <= 18

    try:
        assert coerce(text, {"type": "integer"}) == int(text)
        assert wanted
    except Uncoercible:
        assert not wanted


@pytest.mark.parametrize("text", ["1e999", "-1e999", "inf", "NaN", "1,5", "", "0x1"])
def test_what_json_has_no_number_for_is_no_number(text: str) -> None:
    """Infinity cannot be written down again."""
    with pytest.raises(Uncoercible):
        coerce(text, {"type": "number"})
