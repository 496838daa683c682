"""Exit codes and error classes against exit_codes.json, both ways (Contract §5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from baqup_agent import errors
from baqup_agent.contract import EXIT_CODES, ErrorCategory, ExitCode
from baqup_agent.errors import BaqupError

Load = Callable[[str], Any]


class ErrorFacts(NamedTuple):
    exit_code: int
    category: str
    retriable: bool


@pytest.fixture(scope="module")
def entries(load: Load) -> list[dict[str, Any]]:
    """Every exit code as the spec has it."""
    loaded: list[dict[str, Any]] = load("exit_codes.json")
    return loaded


@pytest.fixture(scope="module")
def error_codes(entries: list[dict[str, Any]]) -> dict[str, ErrorFacts]:
    """Every error code as the spec has it."""
    return {
        error["code"]: ErrorFacts(entry["code"], error["category"], error["retriable"])
        for entry in entries
        for error in entry["error_codes"]
    }


def _classes() -> list[type[BaqupError]]:
    members = [member for member in vars(errors).values() if isinstance(member, type)]
    return [cls for cls in members if issubclass(cls, BaqupError)]


def _facts(cls: type[BaqupError]) -> ErrorFacts:
    return ErrorFacts(cls.exit_code, str(cls.category), cls.retriable)


def test_the_code_has_the_exit_codes_of_the_spec(entries: list[dict[str, Any]]) -> None:
    """Names and numbers are the same on both sides, none missing and none added."""

    assert {code.name: code.value for code in ExitCode} == {
        entry["name"]: entry["code"] for entry in entries
    }


def test_the_code_retries_as_the_spec_says(entries: list[dict[str, Any]]) -> None:
    """Whether a job may run again after an exit code is the same on both sides."""

    assert {int(code): facts.retriable for code, facts in EXIT_CODES.items()} == {
        entry["code"]: entry["retriable"] for entry in entries
    }


def test_each_error_code_of_the_spec_is_a_class(error_codes: dict[str, ErrorFacts]) -> None:
    """A class exists that says of the code what the spec says of it."""
    classes = {cls.code: _facts(cls) for cls in _classes()}

    assert {code: classes.get(code) for code in error_codes} == error_codes


def test_each_error_class_stands_in_the_spec(error_codes: dict[str, ErrorFacts]) -> None:
    """No class has a code, or facts about it, that the spec does not know."""
    classes = _classes()

    assert {cls: _facts(cls) for cls in classes} == {
        cls: error_codes.get(cls.code) for cls in classes
    }


def test_the_code_has_the_categories_of_the_spec(schemas: dict[str, dict[str, Any]]) -> None:
    """The categories of errors are the same on both sides."""

    assert list(ErrorCategory) == schemas["error"]["properties"]["category"]["enum"]


def test_the_schema_of_the_status_knows_every_exit_code(
    entries: list[dict[str, Any]], schemas: dict[str, dict[str, Any]]
) -> None:
    """A status may state each exit code of the table and no other."""
    allowed = schemas["status"]["properties"]["exit_code"]["enum"]

    assert allowed == [entry["code"] for entry in entries]
