"""The plain fixtures: one shared server, servers to break, and sockets that are no server."""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
from collections.abc import Callable, Iterator

import pytest

from baqup_agent.controller.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedServer]:
    """A Valkey server shared by all tests; give each test keys of its own (`key_prefix`)."""
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def key_prefix() -> str:
    """A prefix that no other test uses."""
    return f"test-{uuid.uuid4().hex}:"


@pytest.fixture
def start_server() -> Iterator[Callable[..., EmbeddedServer]]:
    """Starts servers that a test may stop, kill and bring back; takes what EmbeddedServer takes."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, port: int | None = None) -> EmbeddedServer:
            return stack.enter_context(EmbeddedServer(*arguments, port=port))

        yield start


@pytest.fixture
def black_hole_url() -> Iterator[str]:
    """The URL of a socket that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


@pytest.fixture
def babbling_url() -> Iterator[str]:
    """The URL of a server that speaks HTTP to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_babble, args=(listener,), daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _babble(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.recv(1024)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.fixture
def swamped_port() -> Iterator[int]:
    """A port whose queue of connections is full: it answers no further attempt at all."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
