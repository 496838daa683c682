"""Agents are asked what they are, and a bad answer is told in one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from baqup_agent.errors import UsageError
from baqup_agent.packaging.description import describe
from tests.packaging.descriptions import INFO, agent_fs


def stand_in(folder: Path, code: str) -> list[str]:
    """A program that answers by this code; `question` is what it is asked."""
    script = folder / "agent.py"
    script.write_text(f"import json, os, sys\nquestion = sys.argv[1]\n{code}\n")
    return [sys.executable, str(script)]


def answering(info: object, schema: str = "sys.exit(64)") -> str:
    told = json.dumps(info)
    return f"if question == '--info': print({told!r})\nelse: {schema}"


def test_the_built_in_agent_describes_itself() -> None:
    """Name, roles, grace and schema, as --info and --schema print them."""
    told = agent_fs()

    assert told.name == "agent-fs"
    assert told.roles == ("snapshot", "restore")
    assert told.schema is not None
    assert "BAQUP_SOURCE_PATH" in told.schema["properties"]
    assert told.labels()["io.baqup.type"] == "fs"


def test_an_agent_need_not_know_the_flag_for_its_schema(tmp_path: Path) -> None:
    """The contract asks for a label, not for a flag: 64 is an answer."""
    told = describe(stand_in(tmp_path, answering(INFO)))

    assert told.schema is None
    assert told.info == INFO


def test_an_agent_sees_nothing_of_the_callers_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A description needs no environment, and a secret of ours is not its business."""
    monkeypatch.setenv("BAQUP_SECRET_X", "hunter2")
    told = stand_in(
        tmp_path,
        "seen = str(sorted(os.environ))\n"
        "print(json.dumps({'agent': 'a', 'version': seen, 'roles': ['snapshot']}))",
    )

    assert "BAQUP" not in describe(told).version


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('hello')", "--info printed no JSON object"),
        ("print('[1]')", "--info printed no JSON object"),
        ("sys.exit('cannot')", "--info ended with 1: cannot"),
        ("sys.exit(3)", "--info ended with 3: it said nothing"),
        ("print('{}')", "--info has no agent, version, roles as the contract wants it"),
        (answering({**INFO, "roles": "snapshot"}), "--info has no roles as"),
        (answering({**INFO, "stop_grace_seconds": "soon"}), "--info has no stop_grace_seconds as"),
        (answering({**INFO, "requirements": []}), "--info has no requirements as"),
        (answering(INFO, "sys.exit(1)"), "--schema ended with 1"),
        (answering(INFO, "print('no')"), "--schema printed no JSON object"),
        (answering(INFO, """print('{"properties": []}')"""), "--schema printed no schema"),
    ],
)
def test_a_bad_answer_is_told_in_one_line(tmp_path: Path, code: str, message: str) -> None:
    """It names the agent, the question and what was wrong."""
    with pytest.raises(UsageError, match=message) as caught:
        describe(stand_in(tmp_path, code))

    assert "\n" not in str(caught.value)
    assert "agent.py" in str(caught.value)


def test_a_program_that_is_none_is_told() -> None:
    """Not a traceback."""
    with pytest.raises(UsageError, match="cannot be started: No such file"):
        describe(["./there-is-no-such-program"])


def test_an_agent_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever."""
    monkeypatch.setattr("baqup_agent.packaging.description._PATIENCE_S", 0.2)

    with pytest.raises(UsageError, match=r"did not answer --info within 0\.2 s"):
        describe(stand_in(tmp_path, "import threading; threading.Event().wait(60)"))
