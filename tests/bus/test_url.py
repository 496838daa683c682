"""``BAQUP_BUS_URL``: what is valid, and what an error may say of what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.bus.redis_connect import open_client
from baqup_agent.bus.url import (
    Address,
    ClusterUrl,
    FileUrl,
    RedisUrl,
    SentinelUrl,
    parse_bus_url,
)
from baqup_agent.errors import BusRefused
from baqup_agent.security.secret import Secret

PASSWORD = "hunter2-the-password"


@pytest.mark.parametrize(
    ("url", "display"),
    [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("redis://localhost/", "redis://localhost:6379/0"),
        ("redis://redis.example:7000/3", "redis://redis.example:7000/3"),
        (f"redis://:{PASSWORD}@10.0.0.1:6380/1", "redis://10.0.0.1:6380/1"),
        (f"redis://user:{PASSWORD}@h", "redis://h:6379/0"),
        (f"rediss://user:{PASSWORD}@[::1]:6380", "rediss://[::1]:6380/0"),
        ("redis://h?db=2&client_name=me", "redis://h:6379/2"),
        ("rediss://h?ssl_cert_reqs=none", "rediss://h:6379/0"),
        (f"unix://:{PASSWORD}@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_a_server_is_shown_without_credentials(url: str, display: str) -> None:
    """The whole URL is kept as a secret; what may be shown stands beside it."""
    parsed = parse_bus_url(url)

    assert isinstance(parsed, RedisUrl)
    assert parsed.display == display
    assert parsed.secret.reveal() == url
    assert PASSWORD not in repr(parsed)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            f"redis+sentinel://user:{PASSWORD}@h1,h2:7000,[::1]:5/my-master/3?client_name=me",
            SentinelUrl(
                secret=Secret(f"redis://user:{PASSWORD}@h1:26379/3?client_name=me"),
                display="redis+sentinel://h1:26379,h2:7000,[::1]:5/my-master/3",
                sentinels=(Address("h1", 26379), Address("h2", 7000), Address("::1", 5)),
                master="my-master",
            ),
        ),
        (
            f"rediss+sentinel://h/m?sentinel_username=su&sentinel_password={PASSWORD}%26&db=2",
            SentinelUrl(
                secret=Secret("rediss://h:26379/2"),
                display="rediss+sentinel://h:26379/m/2",
                tls=True,
                sentinels=(Address("h", 26379),),
                master="m",
                username="su",
                password=Secret(f"{PASSWORD}&"),
            ),
        ),
        (
            f"redis+cluster://:{PASSWORD}@h1:7000,[fe80::2],h3/0",
            ClusterUrl(
                secret=Secret(f"redis://:{PASSWORD}@h1:7000"),
                display="redis+cluster://h1:7000,[fe80::2]:6379,h3:6379",
                nodes=(Address("h1", 7000), Address("fe80::2", 6379), Address("h3", 6379)),
            ),
        ),
        (
            "redis+cluster://h?tls=true&ssl_cert_reqs=none",
            ClusterUrl(
                secret=Secret("rediss://h:6379?ssl_cert_reqs=none"),
                display="rediss+cluster://h:6379",
                tls=True,
                nodes=(Address("h", 6379),),
            ),
        ),
    ],
    ids=["sentinel", "sentinel-tls", "cluster", "cluster-tls"],
)
def test_many_servers_are_named_by_a_list(url: str, expected: RedisUrl) -> None:
    """Each has a port of its own; user, password, database and TLS are common to them."""
    parsed = parse_bus_url(url)

    assert parsed == expected
    assert PASSWORD not in repr(parsed)


class TestPasswordVariable:
    @pytest.mark.parametrize(
        ("url", "filled"),
        [
            ("redis://h", "redis://:p%40%2Fw@h"),
            ("redis://user@h:1/2", "redis://user:p%40%2Fw@h:1/2"),
            ("redis://user:@h", "redis://user:p%40%2Fw@h"),
            ("redis://user:p%40%2Fw@h", "redis://user:p%40%2Fw@h"),
            ("unix:///run/s?db=1", "unix://:p%40%2Fw@/run/s?db=1"),
            ("redis+cluster://h1,h2", "redis://:p%40%2Fw@h1:6379"),
            ("redis+sentinel://u@h1,h2/m", "redis://u:p%40%2Fw@h1:26379/0"),
        ],
    )
    def test_it_fills_in_what_the_url_lacks(self, url: str, filled: str) -> None:
        """In every form, percent-encoded; the same password twice is no contradiction."""
        parsed = parse_bus_url(url, Secret("p@/w"))

        assert isinstance(parsed, RedisUrl)
        assert parsed.secret.reveal() == filled

    def test_two_different_passwords_are_refused(self) -> None:
        """Neither is repeated, and the variable is named."""
        with pytest.raises(BusRefused, match="BAQUP_SECRET_BUS_PASSWORD") as caught:
            parse_bus_url(f"redis://:{PASSWORD}@h", Secret("an0ther-one"))

        told = str(caught.value.to_wire())
        assert PASSWORD not in told
        assert "an0ther-one" not in told

    def test_a_file_bus_has_no_use_for_it(self) -> None:
        """It may be set for all agents of a host alike."""
        assert parse_bus_url("file:///bus", Secret(PASSWORD)) == FileUrl(Path("/bus"))


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("file:///var/bus", "/var/bus"),
        ("file:///var/bus/", "/var/bus"),
        ("file://localhost/var/bus", "/var/bus"),
        ("file:///with%20space%3F", "/with space?"),
        ("file:///caf%E9", "/caf\udce9"),
        ("file:///größe", "/größe"),
    ],
)
def test_a_directory_is_an_absolute_path(url: str, directory: str) -> None:
    """Percent-encoding is undone, byte by byte."""
    assert parse_bus_url(Secret(url)) == FileUrl(Path(directory))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "it is empty"),
        (PASSWORD, "no scheme"),
        (f"redis:{PASSWORD}", "no scheme"),
        ("localhost:6379", "no scheme"),
        (f"http://:{PASSWORD}@h", "scheme is not one of"),
        (f"redis+tls://:{PASSWORD}@h", "scheme is not one of"),
        (f" redis://:{PASSWORD}@h", "white space"),
        (f"redis://:{PASSWORD}@h\n", "white space"),
        (f"redis://:{PASSWORD} x@h", "white space"),
        (f"redis://:{PASSWORD}\x00@h", "control characters"),
        ("redis://", "names no host"),
        (f"redis://:{PASSWORD}@", "names no host"),
        (f"redis://:{PASSWORD}@:6379", "names no host"),
        (f"redis://:{PASSWORD}@h:0", "port is not a number"),
        (f"redis://:{PASSWORD}@h:65536", "port is not a number"),
        (f"redis://:{PASSWORD}@h:abc", "port is not a number"),
        (f"redis://:{PASSWORD}@h:{PASSWORD}", "port is not a number"),
        (f"redis://h:{PASSWORD}", "port is not a number"),
        (f"redis://:x[{PASSWORD}@h", "malformed"),
        (f"redis://:{PASSWORD}/slash@h", "names no host"),
        (f"redis://x/{PASSWORD}@h", "not the number of a database"),
        (f"redis://:{PASSWORD}@h/one", "not the number of a database"),
        (f"redis://:{PASSWORD}@h/-1", "not the number of a database"),
        (f"redis://:{PASSWORD}@h/1/2", "not the number of a database"),
        (f"redis://:{PASSWORD}@h?db={PASSWORD}", "db is not the number"),
        (f"redis://:{PASSWORD}@h?socket_timeout=60", "query may hold only"),
        (f"redis://:{PASSWORD}@h?ssl_cert_reqs=none", "query may hold only"),
        (f"redis://:x#{PASSWORD}@h", "host|port|contains '#'"),
        (f"redis://:{PASSWORD}@h/0#x", "contains '#'"),
        (f"rediss://:{PASSWORD}@h?ssl_ca_certs=/no/such/{PASSWORD}", "ssl_ca_certs"),
        (f"redis://:{PASSWORD}@h1,h2", "several hosts"),
        (f"redis://:{PASSWORD}@h/1?db=2", "two databases"),
        (f"redis://:{PASSWORD}@h?tls=true", "query may hold only"),
        (f"rediss://:{PASSWORD}@h?ssl_cert_reqs={PASSWORD}", "none, optional, required"),
        (f"rediss://:{PASSWORD}@h?ssl_check_hostname=maybe", "true, false"),
        (f"rediss://:{PASSWORD}@h?ssl_ca_path=/no/such", "does not name a directory"),
        (f"rediss://:{PASSWORD}@h?ssl_keyfile=/proc/self/exe", "needs ssl_certfile"),
        (f"rediss://:{PASSWORD}@h?ssl_certfile=/proc", "readable file"),
        (f"redis://:{PASSWORD}\u2100@h", "malformed"),
        (f"redis+sentinel://:{PASSWORD}@h1,h2", "needs /master"),
        (f"redis+sentinel://:{PASSWORD}@h1,h2/", "needs /master"),
        (f"redis+sentinel://:{PASSWORD}@h1,h2/m%40", "needs /master"),
        (f"redis+sentinel://:{PASSWORD}@h1,,h2/m", "names no host"),
        (f"redis+sentinel://:{PASSWORD}@h1,h2:0/m", "port is not a number"),
        (f"redis+sentinel://:{PASSWORD}@h1,h2:{PASSWORD}/m", "port is not a number"),
        (f"redis+sentinel://:{PASSWORD}@h1,[::1/m", "host is malformed"),
        (f"redis+sentinel://:{PASSWORD}@/m", "names no host"),
        (f"redis+sentinel://:{PASSWORD}@h/m/x", "number of a database"),
        (f"redis+sentinel://:{PASSWORD}@h/m/1/2", "number of a database"),
        (f"redis+sentinel://:{PASSWORD}@h/m/1?db=2", "two databases"),
        (f"redis+sentinel://:{PASSWORD}@h/m?tls={PASSWORD}", "true, false"),
        (f"redis+sentinel://:{PASSWORD}@h/m?socket_timeout=9", "query may hold only"),
        (f"redis+sentinel://:{PASSWORD}@h/m?ssl_cert_reqs=none", "must begin with rediss"),
        (f"redis+cluster://:{PASSWORD}@h?sentinel_password=x", "query may hold only"),
        (f"redis+cluster://:{PASSWORD}@h/1", "database 0 alone"),
        (f"redis+cluster://:{PASSWORD}@h?db=0", "query may hold only"),
        (f"redis+cluster://:{PASSWORD}@", "names no host"),
        (f"redis+other://:{PASSWORD}@h", "scheme is not one of"),
        (f"redissss://:{PASSWORD}@h", "scheme is not one of"),
        (f"unix://:{PASSWORD}@", "absolute path of a socket"),
        (f"unix://{PASSWORD}/socket", "absolute path of a socket"),
        ("file://", "absolute directory"),
        ("file://relative/dir", "slash may be missing"),
        (f"file://user:{PASSWORD}@h/dir", "slash may be missing"),
        ("file:///dir?x=1", "%3F"),
        ("file:///dir#x", "%23"),
        ("file:///dir%00", "NUL"),
        ("file:/dir", "no scheme"),
    ],
)
def test_a_malformed_url_is_refused_without_being_repeated(url: str, reason: str) -> None:
    """One line tells what is wrong and what is valid, and no part of it can be a password."""
    with pytest.raises(BusRefused, match=reason) as caught:
        parse_bus_url(url)

    told = str(caught.value.to_wire())
    assert PASSWORD not in told
    assert "BAQUP_BUS_URL" in told
    assert "redis://host[:port]" in told
    assert "\n" not in str(caught.value)


SCHEMES = st.sampled_from(["", "redis://", "rediss://", "redis+sentinel://", "redis+cluster://"])
PIECES = st.sampled_from([*"@:/,[]?#&=%", "h", "::1", "26379", "m", "tls=true", "db=1", "\u2100"])


@given(SCHEMES, st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join))
def test_no_text_leads_to_any_other_outcome(scheme: str, text: str) -> None:
    """Whatever stands in the variable is either understood or refused."""
    outcome = parsed_or_refused(scheme + text)

    if isinstance(outcome, BusRefused):
        assert outcome.__cause__ is None  # urllib's own errors repeat parts of a URL
        assert outcome.__suppress_context__
    else:
        assert outcome.display
        if isinstance(outcome, RedisUrl):
            open_client(outcome).close()  # redis-py understands what is handed to it


def parsed_or_refused(text: str) -> RedisUrl | FileUrl | BusRefused:
    try:
        return parse_bus_url(text)
    except BusRefused as error:
        return error


def test_a_password_that_is_no_text_is_refused_without_repeating_it() -> None:
    """Bytes that are no UTF-8 cannot be sent to a server."""
    with pytest.raises(BusRefused, match="BAQUP_SECRET_BUS_PASSWORD is no text") as caught:
        parse_bus_url("redis://h", Secret("hunter2\udcff"))

    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
