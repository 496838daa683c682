"""Fixtures: real servers on the loopback interface, ended with the tests that use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.certificates import Authority
from tests.servers.process import Server
from tests.servers.shared import (
    babbling_url,
    black_hole_url,
    key_prefix,
    redis_server,
    start_server,
    swamped_port,
)
from tests.servers.versions import Version, ends, found, newest

__all__ = [
    "authority",
    "babbling_url",
    "black_hole_url",
    "key_prefix",
    "redis_server",
    "redis_versions",
    "start_server",
    "swamped_port",
    "versioned_server",
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the servers of tests that take their time: all of them with --long alone."""
    chosen = {"outer_versions": ends(), "latest_version": (newest(),)}
    for name in chosen.keys() & set(metafunc.fixturenames):
        kinds = found() if metafunc.config.getoption("--long") else chosen[name]
        metafunc.parametrize(name, kinds, ids=[kind.name for kind in kinds], scope="module")


@pytest.fixture(scope="module", params=found(), ids=lambda version: version.name)
def redis_versions(request: pytest.FixtureRequest) -> Version:
    """Each kind of server of this machine in turn, from the oldest supported to the newest."""
    kind: Version = request.param
    return kind


@pytest.fixture(scope="module")
def versioned_server(redis_versions: Version) -> Iterator[Server]:
    """A server of each version, shared by the tests of one module."""
    with Server(redis_versions, "--save", "") as server:
        yield server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs certificates that tests trust."""
    return Authority(tmp_path_factory.mktemp("certificates"))
