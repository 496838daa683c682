from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baqup_agent.controller.embedded import EmbeddedServer
from tests.bus.backends import Backend, FileBackend, MemoryBackend, RedisBackend


@pytest.fixture(params=["memory", "file", "redis"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, key_prefix: str) -> Iterator[Backend]:
    """Each kind of bus in turn, up and empty."""
    made: Backend
    if request.param == "memory":
        made = MemoryBackend(key_prefix)
    elif request.param == "file":
        made = FileBackend(tmp_path / "bus")
    else:
        made = RedisBackend(request.getfixturevalue("redis_server"), key_prefix)
    yield made
    made.close()


@pytest.fixture(params=["memory", "file", "redis"])
def fragile_backend(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    key_prefix: str,
    start_server: Callable[..., EmbeddedServer],
) -> Iterator[Backend]:
    """Like `backend`, but with a server of its own, which a test may break."""
    made: Backend
    if request.param == "memory":
        made = MemoryBackend(key_prefix)
    elif request.param == "file":
        made = FileBackend(tmp_path / "bus")
    else:
        made = RedisBackend(start_server(), key_prefix)
    yield made
    made.close()
