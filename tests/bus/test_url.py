"""``BAQUP_BUS_URL``: what is valid, and what an error may say of what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.bus.url import FileUrl, RedisUrl, parse_bus_url
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
        (f"redis://:x[{PASSWORD}@h", "host is malformed"),
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
    assert "redis://[user:password@]host[:port]" in told
    assert "\n" not in str(caught.value)


@given(st.text(max_size=40).map(lambda text: "redis://" + text) | st.text(max_size=40))
def test_no_text_leads_to_any_other_outcome(text: str) -> None:
    """Whatever stands in the variable is either understood or refused."""
    outcome = parsed_or_refused(text)

    if isinstance(outcome, BusRefused):
        assert outcome.__cause__ is None  # urllib's own errors repeat parts of a URL
        assert outcome.__suppress_context__
    else:
        assert outcome.display


def parsed_or_refused(text: str) -> RedisUrl | FileUrl | BusRefused:
    try:
        return parse_bus_url(text)
    except BusRefused as error:
        return error
