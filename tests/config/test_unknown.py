"""Names that nothing declares: told, with what was probably meant."""

from __future__ import annotations

import pytest

from baqup_agent.config.declaration import contract
from baqup_agent.config.reading import read_environment
from baqup_agent.config.unknown import unknown_names
from tests.config.generated import BASE

DECLARED = contract().variables


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BAQUP_JOB_TIMOUT", "BAQUP_JOB_TIMEOUT"),
        ("BAQUP_JBO_TIMEOUT", "BAQUP_JOB_TIMEOUT"),
        ("BAQUP_JOBTIMEOUT", "BAQUP_JOB_TIMEOUT"),
        ("baqup_job_timeout", "BAQUP_JOB_TIMEOUT"),
        ("BAQUP_SOURCE_EXLUDE", "BAQUP_SOURCE_EXCLUDE"),
        ("BAQUP_SOURCE_PROT", "BAQUP_SOURCE_PORT"),
        ("BAQUP_TARGET_PTAH", "BAQUP_TARGET_PATH"),
        ("BAQUP_AGENT_LOGLEVEL", "BAQUP_AGENT_LOG_LEVEL"),
        ("BAQUP_SECRET_BUS_PASWORD", "BAQUP_SECRET_BUS_PASSWORD"),
    ],
)
def test_a_misspelt_name_is_told_with_the_right_one(name: str, meant: str) -> None:
    """One line with the question."""
    (finding,) = unknown_names(DECLARED, {name: "x"})

    assert finding.message.startswith(f"{name} is not declared by this agent and ")
    assert finding.message.endswith(f"did you mean {meant}?")
    assert (finding.variable, finding.keyword) == (name, "unknown")


@pytest.mark.parametrize("name", ["BAQUP_SOURCE_ACT", "BAQUP_COLOUR", "BAQUP_", "BAQUP_JOB_X"])
def test_a_name_that_resembles_nothing_is_told_without_a_guess(name: str) -> None:
    """A wrong guess would mislead."""
    (finding,) = unknown_names(DECLARED, {name: "x"})

    assert finding.message.endswith("unset it, or correct its name")


@pytest.mark.parametrize("name", ["PATH", "BAQUP", "_BAQUP_RUN", "BAQUP_SECRET_X", "BAQUP_JOB_ID"])
def test_what_is_nobodys_business_is_not_told(name: str) -> None:
    """Other names, declared ones, and secrets under names of the controller's choice."""
    assert list(unknown_names(DECLARED, {name: "x"})) == []


def test_a_missing_variable_is_told_with_the_name_that_was_meant_by_it() -> None:
    """The two halves of one mistake find each other."""
    environ = {**BASE, "BAQUP_JOB_IDD": BASE["BAQUP_JOB_ID"]}
    del environ["BAQUP_JOB_ID"]

    (problem,) = read_environment(contract(), environ).problems
    assert problem.endswith(
        "(description: unique id of the job); did you mean it by BAQUP_JOB_IDD?"
    )


def test_an_unknown_name_is_a_warning_and_a_mistake_if_one_is_strict() -> None:
    """`strict` takes oddities for problems, in order with the others."""
    loaded = read_environment(contract(), {**BASE, "BAQUP_JOB_TIMOUT": "1", "BAQUP_JOB_X": "1"})

    assert (loaded.problems, len(loaded.warnings)) == ((), 2)
    assert loaded.strict().problems == loaded.warnings
    assert loaded.strict().warnings == ()
