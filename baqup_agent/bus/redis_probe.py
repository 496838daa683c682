"""Finds out whether a port can be spoken to as the URL says, when a first attempt just failed.

A server that is spoken to in the wrong way is seldom able to say so. A plain one takes the first
bytes of TLS for a command that has no end yet, and waits for more; one with TLS closes the
connection; and one that wants a client's certificate says so after the handshake, too late for
whoever is writing already. All of that looks like an outage, and would never end.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import NamedTuple

from baqup_agent.bus.url import Address

#: Seconds that a probe may take to connect, and again to get an answer.
_PROBE_S = 0.3


class Finding(NamedTuple):
    """Why a port cannot be used, and the remedy."""

    reason: str
    remedy: str


class OwnFiles(NamedTuple):
    """The certificate that we show to a server, if any."""

    certificate: str | None = None
    key: str | None = None
    password: str | None = None


def why_unfit(address: Address, own: OwnFiles | None) -> Finding | None:
    """Return why this port cannot be used as the URL says; None if that does not show.

    Args:
        address: the port.
        own: what TLS is spoken with; None for plain text.
    """
    with contextlib.suppress(OSError):
        if own is None:
            if _speaks_tls(address):
                return Finding(
                    f"{address} speaks TLS", "begin the URL with rediss instead of redis"
                )
        elif _speaks_plainly(address):
            return Finding(
                f"{address} speaks plain text", "begin the URL with redis instead of rediss"
            )
        else:
            return _turned_down(address, own)
    return None


def _speaks_plainly(address: Address) -> bool:
    with socket.create_connection(address, _PROBE_S) as connection:
        connection.sendall(b"PING\r\n")
        with contextlib.suppress(OSError):
            return connection.recv(8).startswith((b"+PONG", b"-"))
    return False


def _speaks_tls(address: Address) -> bool:
    with socket.create_connection(address, _PROBE_S) as connection:
        try:
            _context().wrap_socket(connection).close()
        except ssl.SSLError as error:
            return _is_alert(error)  # which is TLS too: it may want a certificate of ours
    return True


def _turned_down(address: Address, own: OwnFiles) -> Finding | None:
    """Shake hands as redis-py did, and then listen instead of talking."""
    context = _context()
    if own.certificate:
        context.load_cert_chain(own.certificate, own.key, own.password)
    with socket.create_connection(address, _PROBE_S) as connection:
        try:
            with context.wrap_socket(connection) as line:
                line.recv(1)
        except ssl.SSLError as error:
            if _is_alert(error):
                return Finding(
                    f"{address} turned down our certificate or the want of one: {error.reason}",
                    "name a client certificate that the server trusts by ssl_certfile and "
                    "ssl_keyfile",
                )
    return None


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is told to the server and nothing believed
    return context


def _is_alert(error: ssl.SSLError) -> bool:
    return "ALERT" in (error.reason or "")
