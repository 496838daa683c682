"""What an attempt on the bus may come to, and how soon: the verdicts that all forms share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.topology import key
from baqup_agent.errors import BusRefused
from tests.bus.samples import JOB, event, stamp
from tests.servers.process import Server
from tests.servers.timing import bounded
from tests.waiting import eventually


def unavailable(action: Callable[[], object]) -> str:
    """Do what has to end as an outage, and soon; return what it said, which is one line."""
    with bounded(), pytest.raises(BusUnavailable) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused(action: Callable[[], object]) -> str:
    """Do what has to be refused, and soon; return the one line that it said."""
    with bounded(), pytest.raises(BusRefused) as caught:
        action()
    assert "\n" not in str(caught.value)
    assert "BAQUP_BUS_URL" in str(caught.value)
    return str(caught.value)


def send(transport: RedisTransport, seq: int = 2) -> None:
    """Deliver the event of that number."""
    transport.send(event(stamp(seq)).to_wire())


def goes_on(transport: RedisTransport, seq: int = 2) -> None:
    """The same transport delivers what it could not, as the publisher would have it do."""

    def attempt() -> bool:
        try:
            transport.connect()
            send(transport, seq)
        except BusUnavailable:
            return False
        return True

    eventually(attempt, within_s=20)


def found(server: Server) -> list[int]:
    """Return the numbers of the events that arrived, in their order."""
    with server.admin() as admin:
        return [int(fields["seq"]) for _, fields in admin.xrange(key("baqup:", "event", JOB))]
