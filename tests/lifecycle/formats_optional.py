"""What a test may lack on a developer's machine, and must have in continuous integration."""

from __future__ import annotations

import importlib.util
import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip the test for want of something; in continuous integration that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, which continuous integration has to have")
    pytest.skip(what)


@pytest.fixture
def pyyaml() -> None:
    """Needed by a test that reads or writes YAML."""
    if importlib.util.find_spec("yaml") is None:
        lacking("PyYAML is not installed")
