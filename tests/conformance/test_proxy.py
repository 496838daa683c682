"""The line to the bus: every way in which it can be spoiled, as a client feels it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from baqup_agent.conformance.proxy import Proxy
from tests.waiting import eventually


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says back what it is told."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(line: socket.socket) -> None:
        with line:
            while data := line.recv(65536):
                line.sendall(data)

    def accept() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(line,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


@pytest.fixture
def proxy(echo) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", echo) as line:
        yield line


def dial(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 30)


def ask(line: socket.socket, data: bytes = b"ping") -> bytes:
    line.sendall(data)
    return read(line, len(data))


def read(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (more := line.recv(65536)):
        found += more
    return found


def test_everything_flows(proxy):
    """What is sent comes back, however large, and is counted."""

    data = bytes(range(256)) * 20_000
    with dial(proxy) as line:
        sender = threading.Thread(target=line.sendall, args=(data,))
        sender.start()
        assert read(line, len(data)) == data
        sender.join(30)
    assert proxy.accepted == 1
    assert proxy.received == len(data)


def test_a_refused_line_is_closed_and_refuses_until_it_flows(proxy):
    """While it is down nobody gets through; afterwards the same port serves again."""

    with dial(proxy) as line:
        assert ask(line) == b"ping"
        proxy.refuse()
        assert line.recv(1) == b""
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            dial(proxy)
    proxy.flow()
    with dial(proxy) as line:
        assert ask(line) == b"ping"


def test_a_stalled_line_delivers_late(proxy):
    """What was sent while it was held up arrives once it flows, and nothing before."""

    with dial(proxy) as line:
        assert ask(line) == b"ping"
        proxy.stall()
        line.sendall(b"late")
        eventually(lambda: proxy.received == 8)
        line.settimeout(0.2)
        with pytest.raises(TimeoutError):
            line.recv(1)
        line.settimeout(30)
        proxy.flow()
        assert read(line, 4) == b"late"


def test_a_dropping_line_loses_what_is_sent(proxy):
    """What goes into the black hole never comes out; what is sent later does."""

    with dial(proxy) as line:
        assert ask(line) == b"ping"
        proxy.drop()
        line.sendall(b"lost")
        eventually(lambda: proxy.received == 8)
        proxy.flow()
        assert ask(line, b"kept") == b"kept"


def test_a_cut_line_can_be_dialled_again(proxy):
    """Connections end, new ones are served."""

    with dial(proxy) as line:
        assert ask(line) == b"ping"
        proxy.cut()
        assert line.recv(1) == b""
    with dial(proxy) as line:
        assert ask(line) == b"ping"


def test_a_delayed_line_is_slow(proxy):
    """Every piece takes its time, on the way there and on the way back."""

    proxy.delay(0.2)
    with dial(proxy) as line:
        began_s = time.monotonic()
        assert ask(line) == b"ping"
        assert time.monotonic() - began_s >= 0.4


def test_a_closed_proxy_ends_its_lines(echo):
    """After its block nothing listens, and no connection lives on."""

    with Proxy("127.0.0.1", echo) as proxy:
        line = dial(proxy)
        assert ask(line) == b"ping"
    with line:
        assert line.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        dial(proxy)
