"""``baqup-agent conform`` as its user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from baqup_agent.conformance.conform_file import read_conform_file
from tests.conformance.judging import HERE, judge, told
from tests.conformance.mutants import CONTRACT, plain_command
from tests.waiting import eventually

BAQUP = (sys.executable, "-m", "baqup_agent.cli", "conform")


def conform(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BAQUP, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def test_agent_fs_conforms_in_what_it_says_and_publishes():
    """The reference agent passes the checks of its description, output and log."""

    report = judge(
        [sys.executable, "-m", "baqup_agent.agents.fs"], "1-4", "40", "46", config="agent_fs.toml"
    )

    assert report.exit_code == 0, told(report)


def test_the_reports_agree(tmp_path):
    """Terminal, JSON, JUnit and exit code tell the same of a broken agent."""

    mutant = next(one for one in CONTRACT if one.name == "errors-one-by-one")
    command = mutant.write(tmp_path)
    done = conform(
        *("--config", HERE / "plain.toml", "--only", "7-8", "--seed", "3"),
        *("--json", "r.json", "--junit", "r.xml", "--", *command),
        cwd=tmp_path,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL contract/7/all-errors-at-once" in done.stdout
    assert "does not conform" in done.stdout
    assert "--seed 3" in done.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["exit_code"], report["tally"]["fail"], report["tally"]["pass"]) == (1, 1, 1)
    root = ET.parse(tmp_path / "r.xml").getroot()
    assert [
        case.get("name") for case in root.iter("testcase") if case.find("failure") is not None
    ] == ["contract/7/all-errors-at-once"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--", "./nothing"), "'./nothing' is no program"),
        ((), "no command to judge"),
        (("--only", "bogus", "--", "true"), "no check 'bogus'"),
        (("--bus", "redis://127.0.0.1:1", "--", "true"), "gives no answer"),
        (("--bus", "http://x", "--", "true"), "redis://HOST:PORT"),
        (("--config", "none.toml", "--", "true"), "none.toml cannot be read"),
    ],
)
def test_what_cannot_be_judged_ends_with_2_and_one_line(arguments, words, tmp_path):
    """A mistake of the user is one line on stderr, and no verdict."""

    done = conform(*arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_the_list_and_the_explanation(tmp_path):
    """Every check is listed, and explained with rule, source, way and remedy."""

    listed = conform("--list", cwd=tmp_path).stdout
    explained = conform("--explain", "contract/5/required-missing", cwd=tmp_path).stdout

    assert "contract/1/info" in listed
    for word in ("rule ", "source  Contract §", "how ", "remedy "):
        assert word in explained


def test_every_check_has_to_apply_if_asked(tmp_path):
    """With --complete an agent that some rule could not be held against is not judged."""

    arguments = ("--only", "8", "--only", "48", "--", *plain_command())
    lenient = conform(*arguments, cwd=tmp_path)
    complete = conform("--complete", *arguments, cwd=tmp_path)

    assert (lenient.returncode, complete.returncode) == (0, 2), complete.stdout
    assert "n/a logs/48/partial" in lenient.stdout
    assert "ERROR logs/48/partial" in complete.stdout
    assert "[fixtures.partial]" in complete.stdout


def test_agent_fs_has_a_fixture_for_every_check():
    """No behaviour that a check asks for is left undescribed for the reference agent."""

    described, known = (
        read_conform_file(HERE / name).fixtures.keys() for name in ("agent_fs.toml", "plain.toml")
    )

    assert known <= described
    assert len(known) > 10


@pytest.fixture
def started(tmp_path) -> Iterator[subprocess.Popen[bytes]]:
    """A suite whose agent, which never ends, is under way; pids and tmp lie in ``tmp_path``."""
    program = tmp_path / "agent.sh"
    program.write_text(f"#!/bin/sh\necho $$ >>{tmp_path}/pids\nexec sleep 4321\n")
    program.chmod(0o755)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with subprocess.Popen(
        [*BAQUP, "--only", "1", "--", str(program)],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as suite:
        pids = tmp_path / "pids"
        eventually(lambda: pids.is_file() and pids.read_text().strip(), within_s=60)
        yield suite
        suite.kill()


def await_end_of_agents(pids: Path) -> None:
    for pid in pids.read_text().split():
        eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists(), within_s=30)


def test_an_interrupted_suite_leaves_nothing(started, tmp_path):
    """SIGTERM ends it with its agents, its server and its directories."""

    started.send_signal(signal.SIGTERM)
    started.communicate(timeout=60)

    assert started.returncode == 130
    await_end_of_agents(tmp_path / "pids")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_killed_suite_leaves_no_process(started, tmp_path):
    """Even SIGKILL of the suite ends the agents: their keepers see its end."""

    started.kill()
    started.wait()

    await_end_of_agents(tmp_path / "pids")
