from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from redis import Redis

from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.url import RedisUrl, parse_bus_url
from tests.bus.backends import (
    PREFIX,
    Backend,
    FileBackend,
    MemoryBackend,
    Open,
    RedisBackend,
    StartServer,
    url_of,
)


@pytest.fixture(autouse=True)
def _close_files(tmp_path: Path) -> Iterator[None]:
    """Close what a test left open in its directory, as the end of its process would."""
    yield
    for entry in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # the descriptor of this listing itself is gone by now
            if entry.readlink().is_relative_to(tmp_path):
                os.close(int(entry.name))


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
    start_server: StartServer,
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


@pytest.fixture
def open_transport() -> Iterator[Open]:
    """Makes transports to URLs; they are closed at the end."""
    with ExitStack() as stack:

        def make(url: str, prefix: str = PREFIX, timeout_s: float = 0.3) -> RedisTransport:
            parsed = parse_bus_url(url)
            assert isinstance(parsed, RedisUrl)
            made = RedisTransport(parsed, prefix, timeout_s=timeout_s)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def admin(start_server: StartServer) -> Iterator[Redis]:
    """A client of a server of this test's own."""
    with Redis.from_url(start_server().url, decode_responses=True) as client:
        yield client


@pytest.fixture
def transport(admin: Redis, open_transport: Open) -> RedisTransport:
    """A connected transport to the server of `admin`."""
    made = open_transport(url_of(admin))
    made.connect()
    return made
