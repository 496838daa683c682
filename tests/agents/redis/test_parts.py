"""What agent-redis is made of, without a process around it."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.agents.redis import RedisAgent
from baqup_agent.agents.redis.program import _Unmarked
from baqup_agent.agents.redis.rdb import RdbCheck, crc64_function, slow_crc64
from baqup_agent.agents.redis.refusals import refusal
from baqup_agent.errors import BaqupError, ConfigError, DataError, SourceUnavailable
from baqup_agent.testing import lifecycle_tests

TestRedisAgent = lifecycle_tests(RedisAgent)

FACTS = b"\xfa\x09redis-ver\x056.2.1" + b"\xfa\x0aredis-bits\xc0\x40" + b"\xfa\x05ctime\xc2\1\2\3\4"


def sealed(content: bytes) -> bytes:
    """Give content the end and the checksum of an RDB."""
    return content + b"\xff" + slow_crc64(content + b"\xff").to_bytes(8, "little")


def checked(rdb: bytes, size: int) -> RdbCheck:
    """Check an RDB in pieces of a size."""
    check = RdbCheck()
    for at in range(0, len(rdb), size):
        check.feed(rdb[at : at + size])
    return check


def test_the_checksum_is_the_servers() -> None:
    """Both functions give the number that Redis itself tests its own by."""
    assert slow_crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert crc64_function()(b"123456789", 0) == 0xE9C6D914C4B8D9CA


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the quick function is not installed the slow one does."""
    real = builtins.__import__

    def absent(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "anycrc":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.delitem(sys.modules, "anycrc", raising=False)
    monkeypatch.setattr(builtins, "__import__", absent)

    assert crc64_function() is slow_crc64


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_checksum_can_be_continued(first: bytes, second: bytes) -> None:
    """Quick and slow, in one piece and in two, the checksum is the same."""
    quick = crc64_function()
    whole = slow_crc64(first + second)

    assert slow_crc64(second, slow_crc64(first)) == whole
    assert quick(second, quick(first, 0)) == whole


@given(st.binary(max_size=60), st.integers(1, 30))
def test_an_rdb_in_pieces(content: bytes, size: int) -> None:
    """However it is cut, a sound RDB is one, and its facts are read."""
    check = checked(sealed(b"VALKEY080" + FACTS + content), size)

    assert check.complete
    assert check.finish() is True
    assert check.version == "VALKEY080"
    assert (
        check.facts.items()
        >= {
            "redis-ver": "6.2.1",
            "redis-bits": "64",
            "ctime": str(0x04030201),
        }.items()
    )


@given(st.data())
def test_a_flipped_bit_is_seen(data: st.DataObject) -> None:
    """No single bit can change, and no byte be missing at the end, without being noticed."""
    rdb = sealed(b"REDIS0011" + FACTS + b"content")
    bit = data.draw(st.integers(0, 8 * len(rdb) - 1))
    flipped = bytearray(rdb)
    flipped[bit // 8] ^= 1 << bit % 8
    cut = rdb[: data.draw(st.integers(0, len(rdb) - 1))]

    for damaged in (bytes(flipped), cut):
        with pytest.raises(DataError):
            checked(damaged, 7).finish()


def test_a_checksum_that_is_off_is_told() -> None:
    """A server that writes no checksum leaves zero in its place."""
    assert checked(b"REDIS0011\xff" + bytes(8), 5).finish() is False


class _Sink:
    def __init__(self) -> None:
        self.check = RdbCheck()
        self.data = b""

    def write(self, data: bytes, /) -> None:
        self.check.feed(data)
        self.data += data

    @property
    def complete(self) -> bool:
        return self.check.complete


@given(st.binary(max_size=60), st.integers(1, 90), st.booleans())
def test_the_mark_of_the_program_is_left_out(content: bytes, size: int, marked: bool) -> None:
    """What follows a whole RDB on a pipe is not stored; an RDB without it is stored whole."""
    rdb = sealed(b"REDIS0011" + content)
    raw = rdb + b"0123456789" * 4 if marked else rdb
    sink = _Sink()
    unmarked = _Unmarked(sink)
    for at in range(0, len(raw), size):
        unmarked.write(raw[at : at + size])
    unmarked.finish()

    assert sink.data == rdb


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        ("NOAUTH Authentication required.", ConfigError, "AUTHENTICATION_FAILED"),
        ("WRONGPASS invalid username-password pair", ConfigError, "AUTHENTICATION_FAILED"),
        ("NOPERM User x has no permissions to run 'psync'", ConfigError, "PERMISSION_DENIED"),
        ("LOADING Redis is loading", SourceUnavailable, "SOURCE_BUSY"),
        ("NOMASTERLINK Can't SYNC while not connected", SourceUnavailable, "SOURCE_BUSY"),
        ("ERR BGSAVE failed", SourceUnavailable, "BGSAVE_FAILED"),
        ("WHATEVER", SourceUnavailable, "SOURCE_REFUSED"),
    ],
)
def test_what_a_server_says_has_a_place(said: str, kind: type[BaqupError], code: str) -> None:
    """Each answer that is an error has a class, a code, and is repeated."""
    made = refusal("host:1", said)

    assert (type(made), made.code) == (kind, code)
    assert repr(said) in made.message
