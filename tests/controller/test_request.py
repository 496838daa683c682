"""The environment that follows from a request: its layers and what is read back from it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.config.coercion import coerce
from baqup_agent.controller.agents import AgentCommand
from baqup_agent.controller.request import JobPlan, JobRequest, make_plan
from baqup_agent.errors import ConfigError

AGENT = AgentCommand("fs", ("python", "-m", "agent"))
ID_1, ID_2, ID_3 = (f"{n}f2c8a4e-9d1b-4c77-8f0e-2b6a51d0c9e4" for n in range(3))


def plan(inherited: dict[str, str] | None = None, **members: Any) -> JobPlan:
    request = JobRequest(AGENT, "snapshot", **{"staging": Path("/out"), **members})
    return make_plan(request, bus_url="file:///bus", inherited=inherited or {})


def test_the_layers_win_in_their_order():
    """Defaults, env file, options, single variables."""
    name = "BAQUP_JOB_ID"
    file, single = {name: ID_1}, {name: ID_3}

    assert uuid.UUID(plan().job_id).version == 4
    assert plan(file_variables=file).job_id == ID_1
    assert plan(file_variables=file, job_id=ID_2).job_id == ID_2
    assert plan(file_variables=file, job_id=ID_2, variables=single).job_id == ID_3


def test_every_option_becomes_its_variable():
    """Paths absolute, patterns as a JSON array."""
    made = plan(
        source=Path("/src"),
        target=Path("/dst"),
        excludes=("*.tmp", "a,b|c"),
        timeout_s=60,
        log_level="debug",
        job_id=ID_1,
    )

    assert made.environment == {
        "BAQUP_AGENT_LOG_FORMAT": "json",
        "BAQUP_AGENT_LOG_LEVEL": "debug",
        "BAQUP_BUS_URL": "file:///bus",
        "BAQUP_JOB_ID": ID_1,
        "BAQUP_JOB_TIMEOUT": "60",
        "BAQUP_SOURCE_EXCLUDE": '["*.tmp", "a,b|c"]',
        "BAQUP_SOURCE_PATH": "/src",
        "BAQUP_STAGING_DIR": "/out",
        "BAQUP_TARGET_PATH": "/dst",
    }
    assert made.argv == ("python", "-m", "agent", "snapshot")
    assert made.directory == Path("/out") / ID_1


def test_patterns_survive_the_agents_own_reading():
    """Whatever separators they hold."""
    patterns = ["a,b", "c|d", "[e]", 'f"g']
    text = plan(excludes=tuple(patterns)).environment["BAQUP_SOURCE_EXCLUDE"]

    assert coerce(text, {"type": "array", "items": {"type": "string"}}) == patterns
    assert json.loads(text) == patterns


def test_only_named_variables_are_inherited():
    """Those that any process needs; the caller's own BAQUP_* are told by name."""
    kept = {"PATH": "/bin", "HOME": "/h", "LC_TIME": "C", "PYTHONPATH": "/p", "TZ": "UTC"}
    left = {"SHELL": "/bin/sh", "BAQUP_SECRET_X": "s", "BAQUP_JOB_ID": "x", "PATHS": "1"}
    made = plan({**kept, **left})

    assert {name for name in made.environment if not name.startswith("BAQUP_")} == set(kept)
    assert made.withheld == ("BAQUP_JOB_ID", "BAQUP_SECRET_X")


def test_a_variable_that_reaches_the_agent_anyway_is_not_called_withheld():
    """It was given once more, with the same value."""
    made = plan({"BAQUP_X": "1"}, variables={"BAQUP_X": "1"})

    assert made.withheld == ()


def test_a_published_directory_is_the_source_and_its_parent_the_staging(monkeypatch, tmp_path):
    """Which is what a restore nearly always wants."""
    monkeypatch.chdir(tmp_path)
    made = plan(staging=None, published=Path("out/job"))

    assert made.environment["BAQUP_SOURCE_PATH"] == str(tmp_path / "out/job")
    assert made.staging == tmp_path / "out"
    assert plan(published=Path("out/job")).staging == Path("/out")
    file = {"BAQUP_STAGING_DIR": "/other"}
    assert plan(staging=None, published=Path("x/y"), file_variables=file).staging == Path("/other")


def test_a_relative_staging_is_made_absolute_wherever_it_comes_from(monkeypatch, tmp_path):
    """The agent may change its working directory."""
    monkeypatch.chdir(tmp_path)

    assert plan(staging=Path("out")).environment["BAQUP_STAGING_DIR"] == str(tmp_path / "out")
    file = {"BAQUP_STAGING_DIR": "out"}
    assert plan(staging=None, file_variables=file).staging == tmp_path / "out"


@pytest.mark.parametrize(
    ("members", "choice"),
    [
        ({}, "file"),
        ({"file_variables": {"BAQUP_BUS_URL": "redis://a"}}, "redis://a"),
        ({"file_variables": {"BAQUP_BUS_URL": "redis://a"}, "bus": "embedded"}, "embedded"),
        ({"bus": "file", "variables": {"BAQUP_BUS_URL": "redis://b"}}, "redis://b"),
    ],
)
def test_the_bus_follows_the_layers_too(members, choice):
    """An option wins over the env file, a single variable over both."""
    assert JobRequest(AGENT, "snapshot", **members).bus_choice == choice


def test_the_key_prefix_is_read_back_from_the_environment():
    """The controller listens where the agent speaks."""
    assert plan().key_prefix == "baqup:"
    assert plan(variables={"BAQUP_BUS_KEY_PREFIX": "x:"}).key_prefix == "x:"


def test_no_secret_shows_in_the_text_form_of_request_and_plan():
    """Neither a variable nor a bus URL."""
    secrets = {"BAQUP_SECRET_DB_PASSWORD": "s3cret"}
    request = JobRequest(
        AGENT,
        "snapshot",
        Path("/o"),
        bus="redis://:s3cret@h",
        variables=secrets,
        file_variables=secrets,
    )
    made = make_plan(request, bus_url="redis://:s3cret@h", inherited={})

    assert "s3cret" not in repr(request) + repr(made)


def test_a_missing_staging_is_named():
    """With the option and the variable that give it."""
    with pytest.raises(ConfigError, match="--staging DIR or set BAQUP_STAGING_DIR"):
        plan(staging=None)
