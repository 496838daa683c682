"""An agent's command line: questions answered on stdout, mistakes in one line with 64."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from baqup_agent import Agent, Job
from baqup_agent.contract import (
    CANCEL_GRACE_S,
    FAILURE_REPORT_S,
    LAST_SPANS_S,
    STOP_GRACE_S,
)
from baqup_agent.lifecycle.declaration import CONTRACT
from tests.agent_process import ACTOR
from tests.spec import assert_keeps

ENVIRON = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "BAQUP_JOB_ID": "123e4567-e89b-12d3-a456-426614174000",
    "BAQUP_STAGING_DIR": "/nowhere/staging",
    "BAQUP_BUS_URL": "file:///nowhere/bus",
}


def call(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ACTOR), *arguments],
        env=ENVIRON if environ is None else environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_info_is_one_document_and_needs_no_environment() -> None:
    """It validates against the contract's schema and names the roles of the class."""
    done = call("--info", environ={"PYTHONPATH": ENVIRON["PYTHONPATH"]})

    info = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stderr == ""
    assert_keeps("info", info)
    assert info["agent"] == "agent-actor"
    assert info["roles"] == ["snapshot", "restore"]


@pytest.mark.parametrize("question", ["--info", "--validate"])
def test_an_answer_that_nobody_reads_is_no_traceback(question: str) -> None:
    """The reader has closed the pipe: an I/O error by its code, and not a word on stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, str(ACTOR), question],
        env=ENVIRON, stdout=writer, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writer)

    assert (done.returncode, done.stderr) == (74, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("question", ["--help", "--version"])
def test_help_that_cannot_be_written_is_told_in_one_line(question: str) -> None:
    """A full disk is an I/O error; nobody is told that all is well."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, str(ACTOR), question],
            env=ENVIRON, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip

    assert done.returncode == 74
    (line,) = done.stderr.splitlines()
    assert line.startswith("agent-actor: the answer cannot be written: No space left")


@pytest.mark.parametrize("arguments", [[], ["snapshot"], ["--info"], ["--validate"]])
def test_a_class_without_a_role_says_what_it_lacks(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever it is asked; a name that is nearly a role's is pointed at."""

    class Typo(Agent):
        name = "agent-typo"
        version = "1"

        def snapshott(self, job: Job) -> None:
            """Do nothing."""

    with pytest.raises(SystemExit) as left:
        Typo.main(arguments)

    out, err = capsys.readouterr()
    message = json.loads(err)["message"]
    assert (left.value.code, out) == (64, "")
    assert message.startswith("Typo defines no role; define snapshot(self, job), or one of restore")
    assert message.endswith("; did you mean snapshot by snapshott?")


def test_the_stop_grace_is_what_the_lifecycle_needs() -> None:
    """The longest live state that a stop signal lets finish, its overrun, and the last report."""
    completing = CONTRACT.state("completing").deadline
    assert completing is not None
    last_words_s = CANCEL_GRACE_S + FAILURE_REPORT_S + LAST_SPANS_S
    assert completing.seconds + last_words_s == STOP_GRACE_S
    assert call("--info").stdout.find(f'"stop_grace_seconds": {STOP_GRACE_S}') > 0


def test_info_can_be_combined_and_version_is_told() -> None:
    """A role beside `--info` is allowed; `--version` names agent and version."""
    assert json.loads(call("snapshot", "--info").stdout)["version"] == "1.2.3"
    assert call("--version").stdout == "agent-actor 1.2.3\n"


def test_help_names_roles_variables_and_codes() -> None:
    """A newcomer learns from `--help` what to pass and what comes back."""
    text = " ".join(call("--help").stdout.split())

    assert "snapshot, restore" in text
    assert "BAQUP_JOB_ID" in text
    assert "75 completed, but unreported" in text


def test_a_valid_environment_is_said_to_be_one() -> None:
    """`--validate` makes nothing, touches no bus, and exits with 0."""
    done = call("--validate")

    assert (done.returncode, done.stdout) == (0, "the configuration is valid\n")
    assert not Path("/nowhere").exists()


def test_an_invalid_environment_is_listed_with_every_problem() -> None:
    """One line for each variable, exit code 64, no value of a secret."""
    environ = {
        **ENVIRON,
        "BAQUP_JOB_TIMEOUT": "soon",
        "BAQUP_BUS_URL": "redis://me:hunter2@:port/",
        "BAQUP_SECRET_X": "hunter2",
    }
    del environ["BAQUP_STAGING_DIR"]

    done = call("--validate", environ=environ)

    assert done.returncode == 64
    assert [line.split(" ")[0].split("=")[0] for line in done.stdout.splitlines()] == [
        "BAQUP_BUS_URL",
        "BAQUP_JOB_TIMEOUT",
        "BAQUP_STAGING_DIR",
    ]
    assert "hunter2" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no role given; give one of snapshot, restore"),
        (("snapshop",), "unknown role 'snapshop'; this agent has snapshot, restore; did you mean"),
        (("sync",), "unknown role 'sync'"),
        (("snapshot", "--fast"), "unrecognized arguments: --fast; see agent-actor --help"),
        (("snapshot", "restore"), "unrecognized arguments: restore"),
        (("--inf",), "unrecognized arguments: --inf"),
    ],
)
def test_a_mistake_is_one_log_line_and_64(arguments: tuple[str, ...], message: str) -> None:
    """A log collector gets a record; nothing is printed on stdout."""
    done = call(*arguments)

    (line,) = done.stderr.splitlines()
    assert done.returncode == 64
    assert done.stdout == ""
    assert message in json.loads(line)["message"]
    assert_keeps("log", json.loads(line))


def test_a_mistake_at_a_terminal_is_plain_text() -> None:
    """A person gets one line without JSON."""
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, str(ACTOR), "snapshop"], env=ENVIRON, stderr=follower, check=False
    )
    os.close(follower)
    text = os.read(leader, 4096).decode()
    os.close(leader)

    assert done.returncode == 64
    assert text.startswith("agent-actor: unknown role 'snapshop'")
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"version": "1"}, "name must be lower-case words"),
        ({"name": "Agent FS", "version": "1"}, "it is 'Agent FS'"),
        ({"name": "agent-x"}, "version must be set"),
    ],
)
def test_a_class_without_identity_is_refused_when_it_is_created(
    members: dict[str, str], message: str
) -> None:
    """The author learns of it on import, not in production."""

    def snapshot(self: Agent, job: Job) -> None:
        """Do nothing."""

    with pytest.raises(TypeError, match=message):
        type("Broken", (Agent,), {"snapshot": snapshot, **members})


def test_a_base_class_needs_no_identity() -> None:
    """A class without roles is a base for others."""

    class Base(Agent):
        """Nothing yet."""

    assert Base.roles() == ()
