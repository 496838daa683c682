"""``baqup-agent lifecycle convert``: a lifecycle in another form, or one line that says why not."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from baqup_agent.cli.lifecycle.group import lifecycle_group
from baqup_agent.errors import OutputError, UsageError
from baqup_agent.lifecycle.formats import from_json, load_file, to_json
from tests.lifecycle.formats_optional import pyyaml

__all__ = ["pyyaml"]

_AGENT = """
from baqup_agent import CONTRACT, Agent, State, Transition, refine

def ready(*, go=True):
    return go

class Dump(Agent):
    name = "agent-dump"
    version = "1.0.0"
    lifecycle = refine(
        CONTRACT, "running", initial="dumping",
        states=[State("dumping", timeout_s=60), State("compressing")],
        transitions=[Transition("dumped", "dumping", "compressing", guard=GUARD)],
    )

    def snapshot(self, job):
        pass
"""


def convert(*arguments: object) -> Result:
    """Call the command in this process."""
    return CliRunner().invoke(lifecycle_group, ["convert", *map(str, arguments)])


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A file of a lifecycle with two leaves."""
    row = {"trigger": "dumped", "source": "dumping", "target": "compressing", "guard": "m:ready"}
    states = {"dumping": {"timeout_s": 60}, "compressing": {}}
    phase = {"initial": "dumping", "states": states, "transitions": [row]}
    path = tmp_path / "stored.json"
    path.write_text(json.dumps({"version": 1, "states": {"running": phase}}))
    return path


def test_an_agents_lifecycle_is_stored_and_found_again(tmp_path: Path) -> None:
    """What convert writes is a target itself, and the same lifecycle."""
    source = tmp_path / "dump_agent.py"
    source.write_text(_AGENT.replace("GUARD", "ready"))
    output = tmp_path / "lifecycle.json"

    first = convert(f"{source}:Dump", "--to", "json", "--output", output)
    assert (first.exit_code, first.output) == (0, "")
    second = convert(output, "--to", "json")
    assert second.output == output.read_text()
    edge = load_file(output).edges("running.dumping")[-1]
    assert str(edge.guard) == "dump_agent:ready"


def test_every_form_is_written(pyyaml: None, stored: Path) -> None:
    """Each form is what its tool takes: JSON, YAML, XML."""
    written = {
        form: convert(stored, "--to", form).output
        for form in ("json", "yaml", "scxml", "transitions", "xstate")
    }

    assert from_json(json.loads(written["json"])) == load_file(stored)
    assert written["yaml"].startswith("version: 1\nstates:\n  running:\n    initial: dumping\n")
    assert ET.fromstring(written["scxml"]).tag == "{http://www.w3.org/2005/07/scxml}scxml"
    assert json.loads(written["transitions"])["initial"] == "initializing"
    assert json.loads(written["xstate"])["states"]["running"]["initial"] == "dumping"


def test_yaml_is_a_target_too(pyyaml: None, stored: Path, tmp_path: Path) -> None:
    """From JSON to YAML and back nothing is lost."""
    output = tmp_path / "lifecycle.yaml"
    assert convert(stored, "--to", "yaml", "--output", output).exit_code == 0

    back = convert(output, "--to", "json")
    assert json.loads(back.output) == to_json(load_file(stored))


def test_the_contract_is_converted_by_its_name() -> None:
    """There is nothing to store of it but its version."""
    assert json.loads(convert("contract", "--to", "json").output) == {"version": 1, "states": {}}


@pytest.mark.parametrize("form", ["json", "yaml", "scxml", "transitions", "xstate"])
def test_a_lambda_is_an_error_that_names_the_edge(pyyaml: None, form: str, tmp_path: Path) -> None:
    """What has no name cannot leave the program, and the remedy is told."""
    source = tmp_path / "lambda_agent.py"
    source.write_text(_AGENT.replace("GUARD", "lambda go: go"))

    error = convert(f"{source}:Dump", "--to", form).exception
    assert isinstance(error, UsageError)
    assert "the callable 'Dump.<lambda>' cannot be stored" in error.message
    assert "define it with 'def' at the top of a module" in error.message


def test_a_malformed_file_is_wrong_usage(tmp_path: Path) -> None:
    """File, line and column stand in one line."""
    path = tmp_path / "bad.json"
    path.write_text("{\n")

    error = convert(path, "--to", "json").exception
    assert isinstance(error, UsageError)
    assert error.message.startswith(f"{path}: line 2, column 1: no JSON")


def test_an_output_that_cannot_be_written_is_told(stored: Path, tmp_path: Path) -> None:
    """A folder that does not exist is no place for a file."""
    error = convert(stored, "--to", "json", "--output", tmp_path / "no" / "a.json").exception

    assert isinstance(error, OutputError)
    assert "cannot be written: No such file or directory" in error.message


def test_the_form_is_asked_for(stored: Path) -> None:
    """Without one, the forms are listed."""
    result = convert(stored)

    assert result.exit_code == 2
    assert "json, yaml, scxml, transitions, xstate" in " ".join(result.output.split())
