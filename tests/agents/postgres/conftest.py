from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent_process import AgentProcess
from tests.servers.postgres import (
    PASSWORD,
    USER,
    PostgresServer,
    PostgresVersion,
    found,
    newest,
)

AGENT = [sys.executable, "-m", "baqup_agent.agents.postgres"]

Start = Callable[..., AgentProcess]


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A server of the newest version, shared; give each test databases of its own."""
    with PostgresServer(newest()) as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may break, and whose databases are all the test's."""
    with PostgresServer(newest()) as server:
        yield server


@pytest.fixture(scope="module", params=found(), ids=lambda version: version.name)
def each_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A server of each version in turn; only the newest of the wheel unless ``--long``."""
    version: PostgresVersion = request.param
    if version != newest() and not request.config.getoption("--long"):
        pytest.skip("other versions of the server: with --long")
    with PostgresServer(version) as server:
        yield server


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts agents on a server; they are ended with the test."""
    with starter(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts agents whose work several tests look at."""
    with starter(tmp_path_factory.mktemp("shared")) as start:
        yield start


@contextlib.contextmanager
def starter(scene: Path) -> Iterator[Start]:
    """Start agents in a directory, and end them with the block."""
    with contextlib.ExitStack() as stack:

        def start(role: str, server: PostgresServer, **variables: object) -> AgentProcess:
            place = "source" if role == "snapshot" else "target"
            environ = {
                f"{place}_host": server.host,
                f"{place}_port": server.port,
                "agent_postgres_bin": server.bin,
                "secret_db_user": USER,
                "secret_db_password": PASSWORD,
                "job_retry_max": 1,
                **variables,
            }
            named = {
                f"BAQUP_{name.upper()}": None if value is None else str(value)
                for name, value in environ.items()
            }
            agent = AgentProcess(scene, role, program=AGENT, environ=named)
            stack.callback(agent.end)
            return agent

        yield start
