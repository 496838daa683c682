"""A bus that is gone or silent: how long it holds us, and that the same transport goes on.

An outage is `BusUnavailable`. It may not take long to be found out, for beats have to go on.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.redis_transport import RedisTransport
from tests.bus.backends import Open
from tests.bus.samples import event, stamp
from tests.servers.process import Server, free_port
from tests.servers.proxy import Proxy
from tests.servers.timing import bounded
from tests.servers.verdicts import found, goes_on, send, unavailable
from tests.servers.versions import Version, newest


@pytest.fixture
def server(latest_version: Version) -> Iterator[Server]:
    """A server that the test may break."""
    with Server(latest_version, "--save", "") as made:
        yield made


@pytest.fixture
def transport(server: Server, open_transport: Open) -> RedisTransport:
    """Connected to `server`, with one event delivered."""
    made = open_transport(server.url)
    made.connect()
    made.send(event(stamp(1)).to_wire())
    return made


class TestGone:
    def test_nobody_listens_at_first(self, latest_version: Version, open_transport: Open) -> None:
        """A server that comes late is found."""
        port = free_port()
        transport = open_transport(f"redis://127.0.0.1:{port}")
        assert "refused" in unavailable(transport.connect)
        with Server(latest_version, port=port) as server:
            goes_on(transport)

            assert found(server) == [2]

    def test_a_killed_server_that_comes_back_empty(
        self, server: Server, transport: RedisTransport
    ) -> None:
        """It has forgotten the scripts too, and gets them again."""
        server.kill()
        unavailable(lambda: send(transport))
        unavailable(transport.connect)
        server.start()
        goes_on(transport)

        assert found(server) == [2]

    def test_a_restart_between_two_messages(
        self, server: Server, transport: RedisTransport
    ) -> None:
        """The connection that died unnoticed costs one attempt at most."""
        server.restart()
        try:
            send(transport)
        except BusUnavailable:
            goes_on(transport)

        assert found(server) == [2]

    def test_a_server_that_flaps(self, server: Server, transport: RedisTransport, long) -> None:
        """Up and down and up: everything arrives once, whichever half each attempt met."""
        rounds, up_s = (10, 2.0) if long else (4, 0.15)
        sent = list(range(2, 40 if not long else 400))
        over = threading.Event()

        def flap() -> None:
            for _ in range(rounds):
                over.wait(up_s)
                server.freeze()
                over.wait(up_s)
                server.thaw()
                with server.admin() as admin:
                    admin.client_kill_filter(_type="normal", skipme=True)

        flapping = threading.Thread(target=flap)
        flapping.start()
        for seq in sent:
            goes_on(transport, seq)
            if flapping.is_alive():
                over.wait(rounds * up_s / len(sent))
        flapping.join()

        assert found(server) == [1, *sent]


class TestSilent:
    def test_a_frozen_server(self, server: Server, transport: RedisTransport) -> None:
        """Its kernel takes connections and it says nothing; a write may wait in its socket."""
        server.freeze()
        unavailable(lambda: send(transport))
        unavailable(transport.connect)
        server.thaw()
        goes_on(transport)

        assert found(server) == [1, 2]

    def test_a_black_hole(self, black_hole_url: str, open_transport: Open) -> None:
        """Connections are taken and never answered, with TLS or without."""
        unavailable(open_transport(black_hole_url).connect)
        unavailable(open_transport(black_hole_url.replace("redis:", "rediss:")).connect)

    def test_a_port_that_swallows_attempts_to_connect(
        self, swamped_port: int, open_transport: Open
    ) -> None:
        """As behind a firewall that drops: the attempt itself runs into its time limit."""
        for scheme in ("redis", "rediss"):
            unavailable(open_transport(f"{scheme}://127.0.0.1:{swamped_port}").connect)

    def test_a_line_that_is_half_open(self, server: Server, open_transport: Open) -> None:
        """The far end is gone without a word; a new connection gets through."""
        with Proxy(server.port) as proxy:
            transport = open_transport(f"redis://127.0.0.1:{proxy.port}")
            transport.connect()
            proxy.abandon()
            unavailable(lambda: send(transport))
            goes_on(transport)

        assert found(server) == [2]

    def test_a_line_that_stalls_in_the_middle_of_a_write(
        self, server: Server, open_transport: Open
    ) -> None:
        """What was kept back arrives late and is recognised when it is sent again."""
        with Proxy(server.port) as proxy:
            transport = open_transport(f"redis://127.0.0.1:{proxy.port}")
            transport.connect()
            proxy.stall()
            unavailable(lambda: send(transport))
            unavailable(transport.connect)
            proxy.flow()
            goes_on(transport)
            goes_on(transport, 3)

        assert found(server) == [2, 3]

    def test_a_line_that_is_cut(self, server: Server, open_transport: Open) -> None:
        """Noticed before or after writing, what was not confirmed arrives once."""
        with Proxy(server.port) as proxy:
            transport = open_transport(f"redis://127.0.0.1:{proxy.port}")
            transport.connect()
            proxy.cut()
            with contextlib.suppress(BusUnavailable):
                send(transport)
            goes_on(transport)

        assert found(server) == [2]


def test_ending_while_the_bus_is_silent_takes_no_time(open_transport: Open) -> None:
    """Closing sends nothing and waits for nothing."""
    with Server(newest()) as server:
        transport = open_transport(server.url)
        transport.connect()
        server.freeze()
        with bounded(0.5):
            transport.close()
        server.thaw()


def test_no_descriptor_is_left_behind(open_transport: Open, black_hole_url: str) -> None:
    """However often an attempt fails, and whatever its probe opened."""
    dead = open_transport("redis://127.0.0.1:1")
    silent = open_transport(black_hole_url, timeout_s=0.05)
    for transport in (dead, silent):
        with pytest.raises(BusUnavailable):
            transport.connect()
    before = _open_sockets()
    for _ in range(2):
        for transport in (dead, silent):
            with pytest.raises(BusUnavailable):
                transport.connect()

    assert _open_sockets() <= before


def _open_sockets() -> int:
    gc.collect()
    return sum(_is_socket(entry) for entry in Path("/proc/self/fd").iterdir())


def _is_socket(entry: Path) -> bool:
    try:
        return str(entry.readlink()).startswith("socket:")
    except OSError:  # the listing's own descriptor
        return False
