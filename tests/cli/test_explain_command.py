"""``baqup-agent explain``: codes in words."""

from __future__ import annotations

import pytest

from baqup_agent.contract import EVENT_CODES, ExitCode
from tests.cli.command import baqup_agent, objects


def test_a_code_is_explained_with_what_a_controller_does():
    """Meaning, retry, and the next step."""
    done = baqup_agent("explain", "75")

    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "75 COMPLETED_UNREPORTED (exit code)"
    for word in ("meaning", "retriable    yes", "controller", "UNREPORTED"):
        assert word in done.stdout


def test_several_codes_are_explained_in_their_order():
    """Numbers, names and words mixed."""
    done = baqup_agent("explain", "137", "data_error", "ABORTED", "FILE_CHANGED")
    titles = [line for line in done.stdout.splitlines() if line.endswith(" code)")]

    assert [title.split()[0] for title in titles] == ["137", "65", "ABORTED", "FILE_CHANGED"]


def test_without_a_code_all_are_listed():
    """One table for each kind."""
    done = baqup_agent("explain")

    for code in ExitCode:
        assert f"{int(code):>3} {code.name}" in done.stdout
    for name in EVENT_CODES:
        assert f"  {name} " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("arguments", [["75"], []])
def test_json_is_one_object_a_line(arguments):
    """With the same facts."""
    found = objects(baqup_agent("explain", "--json", *arguments).stdout)

    entry = next(entry for entry in found if entry["code"] == "75")
    assert (entry["name"], entry["retriable"]) == ("COMPLETED_UNREPORTED", "yes")
    assert len(found) == 1 or len(found) > len(ExitCode) + len(EVENT_CODES)
