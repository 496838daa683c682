"""Event codes against event_codes.json, both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from baqup_agent.contract import EVENT_CODES

Load = Callable[[str], Any]


@pytest.fixture(scope="module")
def severities(load: Load) -> dict[str, str]:
    """The severity of every event code as the spec has it."""
    return {entry["code"]: entry["severity"] for entry in load("event_codes.json")}


def test_each_event_code_of_the_spec_is_in_the_code(severities: dict[str, str]) -> None:
    """The code knows every code of the spec, with its severity."""
    known = {code: facts.severity for code, facts in EVENT_CODES.items()}

    assert {code: known.get(code) for code in severities} == severities


def test_each_event_code_of_the_code_is_in_the_spec(severities: dict[str, str]) -> None:
    """The spec knows every code of the code, with its severity."""
    known = {code: facts.severity for code, facts in EVENT_CODES.items()}

    assert known == {code: severities.get(code) for code in known}


def test_every_event_code_says_what_it_means(load: Load) -> None:
    """Neither side has a code without a meaning."""
    meanings = [entry["meaning"] for entry in load("event_codes.json")]

    assert all(meanings)
    assert all(facts.meaning for facts in EVENT_CODES.values())
