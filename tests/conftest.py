from __future__ import annotations

import pytest
from hypothesis import settings

pytest_plugins = ["tests.servers"]

# How long one example takes says more about the machine's load than about the code.
settings.register_profile("baqup", deadline=None)
settings.register_profile("brief", deadline=None, max_examples=20)
settings.load_profile("baqup")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="run sweeps and soaks at their full length"
    )


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether sweeps and soaks run at their full length."""
    return bool(request.config.getoption("--long"))
