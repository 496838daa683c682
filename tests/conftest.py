from __future__ import annotations

import pytest

pytest_plugins = ["tests.servers"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="run sweeps and soaks at their full length"
    )


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether sweeps and soaks run at their full length."""
    return bool(request.config.getoption("--long"))
