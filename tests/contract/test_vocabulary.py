"""The words that schemas allow against the enums of the code, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from baqup_agent import contract
from baqup_agent.contract import LogLevel, Role, RunStatus

Schemas = dict[str, dict[str, Any]]


def test_roles_are_the_same_everywhere(schemas: Schemas) -> None:
    """Manifest, status, self-description and code know the same roles."""

    assert schemas["manifest"]["properties"]["role"]["enum"] == list(Role)
    assert schemas["status"]["properties"]["role"]["enum"] == list(Role)
    assert schemas["info"]["properties"]["roles"]["items"]["enum"] == list(Role)


def test_outcomes_are_the_same(schemas: Schemas) -> None:
    """A status states one of the outcomes that the code knows."""

    assert schemas["status"]["properties"]["status"]["enum"] == list(RunStatus)


def test_levels_are_the_same_everywhere(schemas: Schemas) -> None:
    """Log lines and events use the levels of the code, the least severe first."""
    words = [level.word for level in sorted(LogLevel)]

    assert schemas["log"]["properties"]["level"]["enum"] == words
    assert schemas["event"]["properties"]["severity"]["enum"] == words


def test_versions_are_the_same_everywhere(schemas: Schemas) -> None:
    """Manifest and self-description state the version that the code implements."""

    assert schemas["manifest"]["properties"]["version"]["const"] == contract.CONTRACT_VERSION
    assert schemas["info"]["properties"]["contract_version"]["const"] == contract.CONTRACT_VERSION


def test_names_of_the_output_stand_in_the_spec(spec: Path) -> None:
    """The directory and files that every job has are called what the prose calls them."""
    prose = (spec / "contract.md").read_text(encoding="utf-8")
    layout = prose.split("## §4 Output", 1)[1]

    assert f"\n      {contract.STAGING_NAME}/ " in layout
    assert f"\n      {contract.MANIFEST_NAME} " in layout
    assert f"\n      {contract.ORPHAN_STATUS_NAME} " in layout
