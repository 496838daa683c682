"""The line between an agent and its bus, which a check can spoil.

| | present connections | new connections |
|---|---|---|
| `flow` | pass | pass |
| `cut` | are closed | pass |
| `refuse` | are closed | are refused |
| `stall` | are held up; `flow` delivers what waited | are accepted, and held up |
| `drop` | all that comes is lost, and nobody is told | the same: a black hole |
| `delay` | every piece comes later | the same |
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Self

_LOOPBACK = "127.0.0.1"
_CHUNK = 65536

#: Bytes that wait on one side before the sender is held up too.
_MAX_WAITING = 1 << 20

#: Seconds for a connection to the server.
_CONNECT_S = 5.0

_PORTS_TRIED = 20


class _Side:
    """What one end sends, on its way to the other."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.size = 0
        self.ended = False


class Proxy:
    """Forwards connections to a server, in a ``with`` block.

    Args:
        host: the server's.
        port: the server's.
        watcher: is called with a word for what was done to the line.
    """

    def __init__(
        self, host: str, port: int, watcher: Callable[[str], Any] = lambda _: None
    ) -> None:
        self._target = (host, port)
        self._watcher = watcher
        self._mode = "flow"
        self._delay_s = 0.0
        self._sides: dict[socket.socket, _Side] = {}
        self._lock = threading.RLock()
        self._closed = False
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._waker.settimeout(0)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._listener = _bind()
        self._listener.settimeout(0)
        self.port: int = self._listener.getsockname()[1]
        self._listen()
        #: How many connections were accepted so far.
        self.accepted = 0
        #: How many bytes agents have sent so far.
        self.received = 0
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def mode(self) -> str:
        """What holds at present: ``flow``, ``refuse``, ``stall``, ``drop``."""
        return self._mode

    def flow(self) -> None:
        """Let everything through, what was held up first."""
        self._set("flow")

    def refuse(self) -> None:
        """Close all connections and refuse new ones, as a server that is down."""
        self._set("refuse")

    def stall(self) -> None:
        """Hold everything up in both directions."""
        self._set("stall")

    def drop(self) -> None:
        """Lose everything in both directions, without a word."""
        self._set("drop")

    def delay(self, seconds: float) -> None:
        """Bring everything later from now on; 0 ends that."""
        with self._lock:
            self._delay_s = seconds
        self._watcher(f"delay {seconds:g} s")

    def cut(self) -> None:
        """Close all connections; new ones are served."""
        with self._lock:
            self._close_all()
        self._watcher("cut")
        self._poke()

    def close(self) -> None:
        """End the line for good; harmless when repeated."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._poke()
        self._thread.join()
        with self._lock:
            self._close_all()
        for end in (self._listener, self._wake, self._waker):
            end.close()
        self._selector.close()

    def _set(self, mode: str) -> None:
        with self._lock:
            was, self._mode = self._mode, mode
            if mode == "refuse":
                self._close_all()
                if was != "refuse":
                    self._selector.unregister(self._listener)
                    # The port stays ours while nobody listens: others' connections are refused.
                    self._listener.shutdown(socket.SHUT_RD)
            elif was == "refuse":
                self._listen()
            if mode == "drop":
                for side in self._sides.values():
                    side.waiting.clear()
                    side.size = 0
        self._watcher(mode)
        self._poke()

    def _listen(self) -> None:
        self._listener.listen(64)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _poke(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b".")

    def _close_all(self) -> None:
        for end in list(self._sides):
            self._close(end)

    def _close(self, end: socket.socket) -> None:
        """Close a connection at both ends."""
        side = self._sides.get(end)
        if side is None:
            return
        for one in (side.source, side.target):
            self._sides.pop(one, None)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(one)
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _run(self) -> None:
        while True:
            events = self._selector.select(self._pause_s())
            with self._lock:
                if self._closed:
                    return
                for key, mask in events:
                    self._take(key.fileobj, mask)
                for side in list(self._sides.values()):
                    self._forward(side)

    def _pause_s(self) -> float | None:
        """Seconds until something that was delayed is due."""
        with self._lock:
            if self._mode != "flow":
                return None
            due = [side.waiting[0][0] for side in self._sides.values() if side.waiting]
        future = [moment for moment in due if moment > time.monotonic()]
        return max(0.0, min(future) - time.monotonic()) if future else None

    def _take(self, end: Any, mask: int) -> None:
        if end is self._wake:
            self._wake.recv(4096)
        elif end is self._listener:
            self._accept()
        elif mask & selectors.EVENT_READ and end in self._sides:
            self._read(self._sides[end])

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        self.accepted += 1
        try:
            far = socket.create_connection(self._target, _CONNECT_S)
        except OSError:  # the server itself is away
            near.close()
            return
        for end, other in ((near, far), (far, near)):
            end.settimeout(0)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sides[end] = _Side(end, other)
            self._selector.register(end, selectors.EVENT_READ)

    def _read(self, side: _Side) -> None:
        try:
            data = side.source.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._close(side.source)
            return
        if side.source.getsockname()[1] == self.port:
            self.received += len(data)
        if not data:
            side.ended = True
            if not side.waiting or self._mode != "flow":
                self._close(side.source)
            return
        if self._mode != "drop":
            side.waiting.append((time.monotonic() + self._delay_s, data))
            side.size += len(data)

    def _forward(self, side: _Side) -> None:
        if side.source.fileno() < 0:
            return
        now_s = time.monotonic()
        blocked = False
        while self._mode == "flow" and side.waiting and side.waiting[0][0] <= now_s:
            due_s, data = side.waiting[0]
            try:
                sent = side.target.send(data)
            except BlockingIOError:
                blocked = True
                break
            except OSError:
                self._close(side.source)
                return
            side.size -= sent
            if sent == len(data):
                side.waiting.popleft()
            else:
                side.waiting[0] = (due_s, data[sent:])
        if side.ended and not side.waiting:
            self._close(side.source)
            return
        self._watch(side, blocked=blocked)

    def _watch(self, side: _Side, *, blocked: bool) -> None:
        """Read an end while there is room for it, and await room at the other."""
        wanted = {
            side.source: (selectors.EVENT_READ, side.size < _MAX_WAITING and not side.ended),
            side.target: (selectors.EVENT_WRITE, blocked),
        }
        for end, (event, on) in wanted.items():
            registered = self._selector.get_map().get(end)
            had = int(registered.events) if registered else 0
            mask = had | event if on else had & ~event
            if mask == had:
                continue
            if not mask:
                self._selector.unregister(end)
            elif had:
                self._selector.modify(end, mask)
            else:
                self._selector.register(end, mask)


def _bind() -> socket.socket:
    """Bind a free port by its number: only then does the kernel keep it while nobody listens."""
    for _ in range(_PORTS_TRIED):
        with socket.socket() as probe:
            probe.bind((_LOOPBACK, 0))
            port = probe.getsockname()[1]
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_LOOPBACK, port))
        except OSError:
            listener.close()
            continue
        return listener
    raise OSError("no free port for the proxy")
