"""A proxy in front of a server, by which a test cuts, stalls or encrypts the line."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
from typing import Self

from tests.servers.process import LOOPBACK

_CHUNK = 65536


class Proxy:
    """Forwards connections to a port of the loopback interface, in a ``with`` block.

    Args:
        target: the server's port.
        context: speaks TLS to clients if given, and plain text to the server.
    """

    def __init__(self, target: int, context: ssl.SSLContext | None = None) -> None:
        self._target = target
        self._context = context
        self._listener = socket.create_server((LOOPBACK, 0))
        self._gate = _open_gate()
        self._gates = [self._gate]
        self._ended = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for gate in self._gates:
            gate.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def stall(self) -> None:
        """Let nothing through in either direction; no end of the line is told."""
        self._gate.clear()

    def flow(self) -> None:
        """Let everything through again, and what was kept back first."""
        self._gate.set()

    def abandon(self) -> None:
        """Swallow what comes over the present connections for good; new ones work: half-open."""
        self._gate.clear()
        self._gate = _open_gate()
        self._gates.append(self._gate)

    def cut(self) -> None:
        """Close all connections at both ends."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        gate = self._gate
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(near.close)
            near.settimeout(10)
            if self._context is not None:
                near = self._context.wrap_socket(near, server_side=True)
                stack.callback(near.close)
            far = stack.enter_context(socket.create_connection((LOOPBACK, self._target), 10))
            with self._lock:
                self._pairs.append((near, far))
            self._forward(near, far, gate)

    def _forward(self, near: socket.socket, far: socket.socket, gate: threading.Event) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while not self._ended.is_set():
                for key, _ in selector.select(0.2):
                    gate.wait()  # before reading, so that no end of the line is noticed either
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    if not (data := source.recv(_CHUNK)):
                        return
                    while isinstance(source, ssl.SSLSocket) and source.pending():
                        data += source.recv(_CHUNK)
                    key.data.sendall(data)


def _open_gate() -> threading.Event:
    gate = threading.Event()
    gate.set()
    return gate
