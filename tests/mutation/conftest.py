from __future__ import annotations

import pytest


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether sweeps run at their full length; False as well where there is no such option."""
    return bool(request.config.getoption("--long", default=False))
