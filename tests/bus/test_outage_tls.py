"""TLS: what a certificate, a key or a port can have wrong with it, and which remedy is named.

The server is one that speaks TLS itself where this machine has it, and the newest server behind a
proxy that ends TLS everywhere: another implementation of the same.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bus.backends import Open, RedisTransport
from tests.bus.samples import event, stamp, status
from tests.servers.certificates import Authority, Files
from tests.servers.clusters import Cluster
from tests.servers.process import Server
from tests.servers.proxy import Proxy
from tests.servers.sentinels import Watched
from tests.servers.timing import bounded
from tests.servers.verdicts import goes_on, refused, unavailable
from tests.servers.versions import newest, with_tls

#: Starts a TLS port with a certificate, and returns it.
OpenPort = Callable[..., int]


@pytest.fixture(params=["server", "proxy"])
def open_port(request: pytest.FixtureRequest, authority: Authority) -> Iterator[OpenPort]:
    """Starts ports that speak TLS, with a server behind them."""
    kind = with_tls() if request.param == "server" else newest()
    if kind is None:
        pytest.skip("no server on this machine was built with TLS; Debian's redis-server is")
    with ExitStack() as stack:

        def start(files: Files, *, demand: bool = False) -> int:
            if request.param == "server":
                options = tls_options(authority, files, demand=demand)
                return stack.enter_context(Server(kind, *options, tls=authority.certificate)).port
            server = stack.enter_context(Server(kind))
            context = authority.server_context(files, demand=demand)
            return stack.enter_context(Proxy(server.port, context)).port

        yield start


def tls_options(authority: Authority, files: Files, *, demand: bool = False) -> tuple[str, ...]:
    """The arguments of a server that speaks TLS itself."""
    return (
        *("--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key)),
        *("--tls-ca-cert-file", str(authority.certificate)),
        *("--tls-auth-clients", "yes" if demand else "no"),
    )


@pytest.fixture
def at(open_transport: Open) -> Callable[..., RedisTransport]:
    """Makes transports to a TLS port; parameters of the URL's query by name."""

    def make(port: int, **query: object) -> RedisTransport:
        parameters = "&".join(f"{name}={value}" for name, value in query.items())
        return open_transport(f"rediss://127.0.0.1:{port}/0?{parameters}", timeout_s=0.5)

    return make


def test_a_trusted_server(open_port: OpenPort, at, authority: Authority) -> None:
    """Messages pass when its authority is named, by a file or by a directory of them."""
    transport = at(open_port(authority.issue()), ssl_ca_certs=authority.certificate)
    transport.connect()
    transport.send(event(stamp(1)).to_wire())
    transport.send(status(stamp(2)).to_wire())


def test_an_unknown_authority(
    open_port: OpenPort, at, authority: Authority, tmp_path: Path
) -> None:
    """Neither an authority that nobody named nor another one than named is believed."""
    port = open_port(authority.issue())
    stranger = Authority(tmp_path, "stranger")
    for query in ({}, {"ssl_ca_certs": stranger.certificate}):
        said = refused(at(port, **query).connect)

        assert "CERTIFICATE_VERIFY_FAILED" in said
        assert "ssl_ca_certs" in said


def test_an_expired_certificate(open_port: OpenPort, at, authority: Authority) -> None:
    """It names the reason."""
    port = open_port(authority.issue(expired=True))

    assert "expired" in refused(at(port, ssl_ca_certs=authority.certificate).connect)


def test_a_certificate_of_another_host(open_port: OpenPort, at, authority: Authority) -> None:
    """A good certificate of somebody else proves nothing, unless the URL says not to look."""
    port = open_port(authority.issue("elsewhere.example"))
    said = refused(at(port, ssl_ca_certs=authority.certificate).connect)
    at(port, ssl_ca_certs=authority.certificate, ssl_check_hostname="false").connect()

    assert "not valid for '127.0.0.1'" in said


def test_no_verification_at_all(open_port: OpenPort, at, authority: Authority) -> None:
    """Whoever writes it into the URL gets it."""
    at(open_port(authority.issue(expired=True)), ssl_cert_reqs="none").connect()


def test_a_client_certificate(open_port: OpenPort, at, authority: Authority) -> None:
    """A server that wants one gets it; without, the remedy names the parameters."""
    port = open_port(authority.issue(), demand=True)
    trusted = {"ssl_ca_certs": authority.certificate}
    mine = authority.issue("agent")
    at(port, **trusted, ssl_certfile=mine.certificate, ssl_keyfile=mine.key).connect()
    for _ in range(3):  # the alert races with the end of the connection
        assert "ssl_certfile" in refused(at(port, **trusted).connect)


def test_a_client_certificate_that_the_server_does_not_trust(
    open_port: OpenPort, at, authority: Authority, tmp_path: Path
) -> None:
    """Its alert is understood."""
    port = open_port(authority.issue(), demand=True)
    theirs = Authority(tmp_path, "stranger").issue("agent")
    query = {"ssl_certfile": theirs.certificate, "ssl_keyfile": theirs.key}
    for _ in range(3):
        said = refused(at(port, ssl_ca_certs=authority.certificate, **query).connect)
        assert "ssl_certfile" in said


@pytest.mark.parametrize("name", ["ssl_ca_certs", "ssl_certfile"])
def test_a_file_that_holds_no_certificate(
    open_port: OpenPort, at, authority: Authority, tmp_path: Path, name: str
) -> None:
    """It is there and of no use."""
    (tmp_path / "junk.pem").write_text("no certificate")
    port = open_port(authority.issue())
    query = {"ssl_ca_certs": authority.certificate, name: tmp_path / "junk.pem"}

    refused(at(port, **query).connect)


def test_a_key_of_another_certificate(open_port: OpenPort, at, authority: Authority) -> None:
    """Certificate and key have to belong together."""
    port = open_port(authority.issue())
    query = {
        "ssl_ca_certs": authority.certificate,
        "ssl_certfile": authority.issue("one").certificate,
        "ssl_keyfile": authority.issue("two").key,
    }

    assert "KEY_VALUES_MISMATCH" in refused(at(port, **query).connect)


def test_plain_text_to_a_port_with_tls(
    open_port: OpenPort, open_transport: Open, authority: Authority
) -> None:
    """It closes or keeps quiet; greeting it with TLS shows why, also if it wants a certificate."""
    for demand in (False, True):
        port = open_port(authority.issue(), demand=demand)
        said = refused(open_transport(f"redis://127.0.0.1:{port}").connect)

        assert "speaks TLS" in said
        assert "rediss instead of redis" in said


def test_a_tls_line_that_stalls(at, authority: Authority) -> None:
    """In the middle of a handshake or later, it is an outage like any other."""
    with Server(newest()) as server:
        context = authority.server_context(authority.issue())
        with Proxy(server.port, context) as proxy:
            transport = at(proxy.port, ssl_ca_certs=authority.certificate)
            transport.connect()
            proxy.stall()
            unavailable(lambda: transport.send(event(stamp(1)).to_wire()))
            server.freeze()
            unavailable(transport.connect)
            server.thaw()
            proxy.flow()
            goes_on(transport)


def test_an_older_tls_refuses_us_in_the_middle_of_the_handshake(
    at, open_transport: Open, authority: Authority
) -> None:
    """A client certificate that is missing, and plain text, are told as with the newest TLS."""
    context = authority.server_context(authority.issue(), demand=True)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Server(newest()) as server, Proxy(server.port, context) as proxy:
        said = refused(at(proxy.port, ssl_ca_certs=authority.certificate).connect)
        assert "ssl_certfile" in said
        assert "speaks TLS" in refused(open_transport(f"redis://127.0.0.1:{proxy.port}").connect)


def test_an_outage_behind_tls_is_no_refusal(at, authority: Authority) -> None:
    """The line is good, our certificate too, and nobody answers at its end: that passes."""
    context = authority.server_context(authority.issue(), demand=True)
    mine = authority.issue("agent")
    query = {"ssl_ca_certs": authority.certificate, "ssl_certfile": mine.certificate}
    with Server(newest()) as server, Proxy(server.port, context) as proxy:
        transport = at(proxy.port, **query, ssl_keyfile=mine.key)
        server.freeze()
        unavailable(transport.connect)
        server.kill()
        unavailable(transport.connect)
        server.start()
        goes_on(transport)


class TestOtherForms:
    """Sentinels and clusters whose every line is TLS; these need servers that speak it."""

    @pytest.fixture
    def files(self, authority: Authority) -> Files:
        if with_tls() is None:
            pytest.skip("no server on this machine was built with TLS; Debian's redis-server is")
        return authority.issue()

    def test_a_cluster(self, files: Files, authority: Authority, open_transport: Open) -> None:
        """Its nodes are found and spoken to by TLS; without, the remedy says so."""
        kind = with_tls()
        assert kind is not None
        options = (*tls_options(authority, files), "--tls-cluster", "yes")
        with Cluster(kind, *options, tls=authority.certificate) as cluster:
            for url in (
                cluster.url.replace("redis+", "rediss+") + f"?ssl_ca_certs={authority.certificate}",
                cluster.url + f"?tls=true&ssl_ca_certs={authority.certificate}",
            ):
                transport = open_transport(url)
                transport.connect()
                transport.send(event(stamp(1)).to_wire())
                transport.send(status(stamp(2)).to_wire())
            said = refused(open_transport(cluster.url).connect)

        assert "speaks TLS" in said

    def test_sentinels(self, files: Files, authority: Authority, open_transport: Open) -> None:
        """They and the master are spoken to by TLS."""
        kind = with_tls()
        assert kind is not None
        options = (*tls_options(authority, files), "--tls-replication", "yes")
        with Watched(kind, *options, tls=authority.certificate, count=1) as watched:
            url = watched.url.replace("redis+", "rediss+")
            transport = open_transport(f"{url}?ssl_ca_certs={authority.certificate}")
            transport.connect()
            transport.send(event(stamp(1)).to_wire())
            said = refused(open_transport(watched.url).connect)

        assert "speaks TLS" in said


def test_tls_to_sentinels_and_nodes_without_it(open_transport: Open, authority: Authority) -> None:
    """One port that answers in plain text tells enough."""
    with Server(newest()) as server, bounded(5):
        for url in (
            f"rediss+sentinel://{server.address}/mymaster",
            f"rediss+cluster://{server.address},{server.address}",
        ):
            assert "speaks plain text" in refused(open_transport(url).connect)
