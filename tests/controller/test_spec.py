"""What the contract's data says of a code."""

from __future__ import annotations

import pytest

from baqup_agent.contract import EVENT_CODES, EXIT_CODES, ExitCode
from baqup_agent.controller.spec import error_codes, event_codes, exit_codes, explain, spec_dir
from baqup_agent.errors import UsageError


@pytest.mark.parametrize("code", list(ExitCode))
def test_each_exit_code_is_explained_by_number_and_by_name(code):
    """Both lead to the same entry."""
    by_number, by_name = explain(str(int(code))), explain(code.name.lower())
    retriable = EXIT_CODES[code].retriable

    assert by_number == [entry for entry in by_name if entry.kind == "exit code"]
    assert by_number[0].retriable == (None if retriable is None else str(retriable))
    assert by_number[0].meaning
    assert by_number[0].controller


@pytest.mark.parametrize("code", EVENT_CODES)
def test_each_event_code_is_explained(code):
    """With its severity."""
    entry = next(entry for entry in explain(code) if entry.kind == "event code")

    assert dict(entry.details)["severity"] == EVENT_CODES[code].severity


def test_an_error_code_leads_to_its_exit_code():
    """And to what a controller does with that."""
    (entry,) = explain("ABORTED")

    assert dict(entry.details)["exit code"] == "1 GENERAL_FAILURE"
    assert (entry.kind, entry.retriable) == ("error code", "yes")


def test_a_word_with_two_meanings_gets_both():
    """The limit is an error that ends the job and an event that tells of it."""
    kinds = [entry.kind for entry in explain("RESOURCE_LIMIT_EXCEEDED")]

    assert kinds == ["error code", "event code"]


@pytest.mark.parametrize(("code", "word"), [("137", "SIGKILL"), ("143", "SIGTERM"), ("127", "no")])
def test_codes_that_no_agent_chooses_are_explained_too(code, word):
    """A controller meets them all the same."""
    (entry,) = explain(code)

    assert word in entry.meaning
    assert "lost" in entry.controller


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("99", "0, 1, 64"),
        ("-1", "0, 1, 64"),
        ("1000", "0, 1, 64"),
        ("ABORTD", "did you mean ABORTED"),
        ("partial", "did you mean PARTIAL_FAILURE"),
        ("", "no code ''"),
        ("Ⅷ", "no code"),
        ("xyzzy", "lists all"),
    ],
)
def test_an_unknown_code_is_refused_with_the_nearest(text, word):
    """In one line."""
    with pytest.raises(UsageError, match=word):
        explain(text)


def test_the_lists_are_whole():
    """Every code of the package stands in them."""
    assert [int(entry.code) for entry in exit_codes()] == sorted(ExitCode)
    assert {entry.code for entry in event_codes()} == set(EVENT_CODES)
    assert len(error_codes()) > len(exit_codes())
    assert (spec_dir() / "event_codes.json").is_file()
