"""Trouble that needs no server of its own to show; `test_outage_servers` has the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from baqup_agent.bus.outage import BusUnavailable, MessageRejected
from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.topology import key
from tests.bus.backends import PREFIX, Open, StartServer
from tests.bus.samples import JOB, event, stamp, status


def test_a_password_with_special_characters(
    start_server: StartServer, open_transport: Open
) -> None:
    """It is percent-encoded in the URL."""
    server = start_server("--requirepass", "p@ss/w#rd?%[")
    transport = open_transport(f"redis://:p%40ss%2Fw%23rd%3F%25%5B@127.0.0.1:{server.port}/0")
    transport.connect()
    transport.send(event(stamp(1)).to_wire())


def test_a_key_of_another_type_is_rejected(transport: RedisTransport, admin: Redis) -> None:
    """Sending it again would not help, so it is no outage."""
    admin.set(key(PREFIX, "status", JOB), "a string")
    admin.set(key(PREFIX, "event", JOB), "a string")
    for message in (event(stamp(1)), status(stamp(2))):
        with pytest.raises(MessageRejected, match="WRONGTYPE"):
            transport.send(message.to_wire())


@pytest.mark.parametrize("form", ["redis://{}", "redis+sentinel://{}/m", "redis+cluster://{}"])
def test_a_name_that_does_not_exist(open_transport: Open, form: str) -> None:
    """A name may come to exist, so this is an outage."""
    with pytest.raises(BusUnavailable):
        open_transport(form.format("no-such-host.invalid")).connect()


def test_a_socket_that_is_not_there(open_transport: Open, tmp_path: Path) -> None:
    """Likewise a Unix socket that the server has not made yet."""
    with pytest.raises(BusUnavailable):
        open_transport(f"unix://{tmp_path}/absent").connect()


def test_a_connection_that_the_server_cut(transport: RedisTransport, admin: Redis) -> None:
    """The next send either notices or connects anew; in no case is anything lost or doubled."""
    for seq in range(1, 21):
        admin.client_kill_filter(skipme=True)
        try:
            transport.send(event(stamp(seq)).to_wire())
        except BusUnavailable:
            transport.connect()
            transport.send(event(stamp(seq)).to_wire())

    found = [int(fields["seq"]) for _, fields in admin.xrange(key(PREFIX, "event", JOB))]
    assert found == list(range(1, 21))
