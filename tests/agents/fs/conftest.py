from __future__ import annotations

from pathlib import Path

import pytest

from tests.agents.fs.jobs import Jobs


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    """Runs jobs whose staging stands beside the test's other directories."""
    return Jobs(tmp_path / "staging")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An empty directory to back up."""
    path = tmp_path / "source"
    path.mkdir()
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A place to restore to that does not exist yet."""
    return tmp_path / "target"
