"""Packages that formats need and a test may lack."""

from __future__ import annotations

import importlib.util

import pytest

from tests.lacking import lacking


@pytest.fixture
def pyyaml() -> None:
    """Needed by a test that reads or writes YAML."""
    if importlib.util.find_spec("yaml") is None:
        lacking("PyYAML is not installed")
