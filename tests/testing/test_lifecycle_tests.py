"""The generated tests, collected here as an author's would be, and what they look like."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from baqup_agent import CONTRACT, Agent, Job, State, Transition
from baqup_agent.lifecycle.refinement import refine
from baqup_agent.testing import lifecycle_tests
from baqup_agent.testing.lifecycle import suite_of
from tests.mutation.lifecycles import RICH

ROOT = Path(__file__).parents[2]


class DumpAgent(Agent):
    """An author's agent with leaves of its own."""

    name = "agent-dump"
    version = "1.0.0"
    lifecycle = RICH

    def snapshot(self, job: Job) -> None:
        """Nothing: only its lifecycle is tested."""


TestContract = lifecycle_tests(CONTRACT)
TestDumpAgent = lifecycle_tests(DumpAgent)


def test_an_agents_class_is_tested_by_its_own_lifecycle() -> None:
    """The class is named for the agent, and its pairs are those of the refinement."""
    assert TestDumpAgent.__name__ == "TestDumpAgent"
    assert TestDumpAgent.coverage.pairs.total == 8 * 9
    assert TestContract.coverage.pairs.total == 5 * 4


def test_a_small_lifecycle_gets_longer_suffixes() -> None:
    """Three triggers behind every pair of the contract's; what is left out is said."""
    assert TestContract.coverage.suffixes.total == 5 * 4 * 4**3
    assert "each of 3 triggers" in str(TestContract.coverage)
    assert "each of 1 triggers" in str(TestDumpAgent.coverage)


def test_the_ids_of_pairs_can_be_read() -> None:
    """A leaf and a trigger."""
    ids = [str(case) for case in suite_of(RICH).cases()]

    assert "test_pair[running.compressing-again]" in ids
    assert "test_exit_code[completing.sealing-DataError]" in ids
    assert "test_fault_in_effect[initializing-start-running.dumping.schema]" in ids
    assert len(ids) == len(set(ids))


@pytest.fixture
def pytest_run(tmp_path: Path):
    """Runs pytest on an author's file, in a process of its own."""

    def run(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_mine.py").write_text(text)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error"]
        return subprocess.run(
            [*command, "test_mine.py", *arguments],
            cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, text=True, capture_output=True,
            check=False, timeout=170,
        )  # fmt: skip

    return run


CONTRACTS_OWN = """
from baqup_agent import CONTRACT
from baqup_agent.testing import lifecycle_tests
TestMine = lifecycle_tests(CONTRACT, examples=5)
"""


def test_all_holds_for_the_contract_and_the_coverage_is_told(pytest_run) -> None:
    """Green, every pair and edge visited, and nothing of hypothesis in the output."""
    done = pytest_run(CONTRACTS_OWN, "-rP")

    assert done.returncode == 0, done.stdout
    for line in (
        "pairs: 20 of 20 (100 %)",
        "edges: 6 of 6 (100 %)",
        "suffixes: 1280 of 1280 (100 %), each of 3 triggers",
        "fault positions: 42 of 42 (100 %)",
        "(100 %)",
    ):
        assert line in done.stdout
    assert "hypothesis" not in done.stdout.partition("collected")[2]


def test_a_selection_still_visits_every_pair(pytest_run) -> None:
    """The coverage is made up for, so that -k and several processes do no harm."""
    done = pytest_run(CONTRACTS_OWN, "-rP", "-k", "coverage")

    assert done.returncode == 0, done.stdout
    assert "pairs: 20 of 20 (100 %)" in done.stdout
    assert "suffixes: 0 of 1280" in done.stdout


SHREDDED = """
from baqup_agent import CONTRACT
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.testing import lifecycle_tests

class Forgetful(Machine):
    fired = 0

    def fire(self, trigger, **payload):
        self.fired += 1
        if not (self.state == "running" and trigger == "complete" and self.fired > 3):
            super().fire(trigger, **payload)

TestMine = lifecycle_tests(CONTRACT, machine=Forgetful, examples=200)
"""


def test_what_hypothesis_finds_is_shrunk_to_a_short_sequence(pytest_run) -> None:
    """Four triggers are needed, four are told, with a picture, and without its own noise."""
    done = pytest_run(SHREDDED, "-k", "search and walks")

    assert done.returncode == 1
    told = next(line for line in done.stdout.splitlines() if "fired: " in line)
    fired = told.partition("fired: ")[2].split(", ")
    assert len(fired) == 4
    assert fired[-1] == "complete"
    assert "start" in fired
    assert "[completing] was expected here" in done.stdout
    assert "expected state 'completing', saw 'running'" in done.stdout
    assert "Falsifying" not in done.stdout


def test_an_unreachable_leaf_fails_the_coverage() -> None:
    """Its pairs cannot be visited, and they are named."""
    cut_off = refine(
        CONTRACT, "running", initial="a", states=[State("a"), State("b")],
        transitions=[Transition("back", "b", "a"), Transition("complete", "a", "completing")],
    )  # fmt: skip
    suite = suite_of(cut_off)

    with pytest.raises(AssertionError, match=r"5 of 30 pairs were not visited: running\.b-start"):
        suite.complete_pairs()


def test_a_large_lifecycle_is_tested_leaf_by_leaf() -> None:
    """A hundred leaves: one test for each leaf's pairs, and all of them are visited."""
    names = [f"l{number}" for number in range(96)]
    large = refine(
        CONTRACT, "running", initial="l0", states=[State(name) for name in names],
        transitions=[Transition("next", one, other) for one, other in pairwise(names)],
    )  # fmt: skip
    suite = suite_of(large)

    for case in suite.cases():
        if case.group == "pairs_of_leaf":
            case.check()

    assert len(suite.coverage.pairs.visited) == suite.coverage.pairs.total == 100 * 5
