"""What a person calls an agent, and the command that it becomes."""

from __future__ import annotations

import sys

import pytest

from baqup_agent.controller.agents import built_in_agents, resolve_agent
from baqup_agent.errors import UsageError


def program(path, mode=0o755):
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_a_built_in_agent_is_run_as_a_module():
    """By the interpreter that runs the controller."""
    assert "fs" in built_in_agents()
    assert resolve_agent("fs").argv == (sys.executable, "-m", "baqup_agent.agents.fs")


def test_a_python_file_is_run_by_this_interpreter(tmp_path, monkeypatch):
    """It need not be executable, and may be named without a folder."""
    (tmp_path / "my_agent.py").write_text("")
    monkeypatch.chdir(tmp_path)

    for text in ("my_agent.py", "./my_agent.py", str(tmp_path / "my_agent.py")):
        assert resolve_agent(text).argv == (sys.executable, str(tmp_path / "my_agent.py"))
        assert resolve_agent(text).label == text


def test_an_executable_is_found_by_path_and_by_name(tmp_path, monkeypatch):
    """A name is looked up on the search path alone, as a shell does."""
    program(tmp_path / "my-agent")
    monkeypatch.chdir(tmp_path)

    assert resolve_agent("./my-agent").argv == (str(tmp_path / "my-agent"),)
    assert resolve_agent("my-agent", search_path=str(tmp_path)).argv == (
        str(tmp_path / "my-agent"),
    )
    with pytest.raises(UsageError, match=r"named with its folder: \./my-agent"):
        resolve_agent("my-agent", search_path="/nowhere")


def test_a_built_in_agent_wins_over_a_file_of_its_name(tmp_path, monkeypatch):
    """A file needs a slash."""
    program(tmp_path / "fs")
    monkeypatch.chdir(tmp_path)

    assert resolve_agent("fs", search_path=str(tmp_path)).argv[-1] == "baqup_agent.agents.fs"
    assert resolve_agent("./fs").argv == (str(tmp_path / "fs"),)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ff", "built in: .*fs"),
        ("fss", "did you mean 'fs'"),
        ("", "no agent ''"),
        ("./absent.py", "no such file"),
        ("absent.py", "no such file"),
        ("/absent/agent", "no such file"),
        ("./", "not a file"),
        ("./plain", r"chmod \+x ./plain"),
    ],
)
def test_an_agent_that_is_none_is_refused_with_a_remedy(text, word, tmp_path, monkeypatch):
    """In one line that names what was asked for."""
    program(tmp_path / "plain", mode=0o644)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=word) as caught:
        resolve_agent(text, search_path="/nowhere")

    assert "\n" not in caught.value.message
