from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.servers"]

# How long one example takes says more about the machine's load than about the code.
settings.register_profile("baqup", deadline=None)
settings.load_profile("baqup")
