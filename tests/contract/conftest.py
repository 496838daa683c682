"""Where the spec lies, and its files as test parameters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SPEC = Path(__file__).parents[2] / "spec"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test each schema by name, or each case of one kind by path."""
    if "schema_name" in metafunc.fixturenames:
        metafunc.parametrize("schema_name", _schema_names())
    for kind in ("valid", "invalid"):
        if f"{kind}_case" in metafunc.fixturenames:
            cases = sorted(SPEC.glob(f"cases/*/{kind}/*.json"))
            ids = [f"{case.parts[-3]}/{case.stem}" for case in cases]
            metafunc.parametrize(f"{kind}_case", cases, ids=ids)


def _schema_names() -> list[str]:
    return sorted(path.name.split(".")[0] for path in SPEC.glob("schemas/*.schema.json"))


@pytest.fixture(scope="session")
def spec() -> Path:
    """The folder of the contract."""
    return SPEC


@pytest.fixture(scope="session")
def load() -> Callable[[str], Any]:
    """Read one JSON file of the spec, named relative to its folder."""

    def read(name: str) -> Any:
        return json.loads((SPEC / name).read_text(encoding="utf-8"))

    return read


@pytest.fixture(scope="session")
def schemas(load: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
    """Every schema of the spec by its short name."""
    return {name: load(f"schemas/{name}.schema.json") for name in _schema_names()}
