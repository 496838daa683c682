"""The ways by which a value usually gets out of an object, all of them closed (Contract §7)."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import os
import pickle
import pprint
import subprocess
import sys
import traceback
from collections.abc import Callable

import attrs
import cattrs
import pytest
from hypothesis import find, given, note, settings
from hypothesis import strategies as st
from hypothesis.vendor.pretty import pretty

from baqup_agent import Secret

VALUE = "c0rrect!horse"


@attrs.frozen
class Settings:
    password: Secret


@dataclasses.dataclass(frozen=True)
class Data:
    password: Secret


class Failed(Exception):
    pass


def chained(secret: Secret) -> str:
    try:
        try:
            raise Failed("inner", secret)
        except Failed as error:
            error.add_note(f"with {secret}")
            raise Failed(secret) from error
    except Failed as error:
        return "".join(traceback.format_exception(error)) + repr(error.args)


def with_locals(secret: Secret) -> str:
    try:
        password = secret
        return str(password.nothing)
    except AttributeError as error:
        return "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )


def with_rich(secret: Secret) -> str:
    from rich.console import Console
    from rich.traceback import Traceback

    stream = io.StringIO()
    try:
        password = [secret, {"x": secret}]
        password.nothing()  # type: ignore[attr-defined]
    except AttributeError:
        Console(file=stream, width=200).print(Traceback(show_locals=True), password)
    return stream.getvalue()


def logged(secret: Secret) -> str:
    stream = io.StringIO()
    record = logging.makeLogRecord({"msg": "%s %r %(x)s", "args": ({"x": secret},)})
    record.msg, record.args = "%s %r", (secret, [secret])
    handler = logging.StreamHandler(stream)
    handler.emit(record)
    return stream.getvalue()


def diagnosed(secret: Secret) -> str:
    from loguru import logger

    stream = io.StringIO()
    handler = logger.add(stream, diagnose=True, backtrace=False)
    try:
        raise Failed(secret)
    except Failed:
        logger.exception("failed with {}", secret)
    finally:
        logger.remove(handler)
    return stream.getvalue()


WAYS: dict[str, Callable[[Secret], str]] = {
    "str": str,
    "repr": repr,
    "format": lambda secret: format(secret, "") + format(secret, ">30") + f"{secret!s:.3}",
    "f-string": lambda secret: f"{secret} {secret!r} {secret!s} {secret!a} {secret=}",
    "str.format": lambda secret: "{} {!r} {:>9}".format(secret, secret, secret),  # noqa: UP032
    "percent": lambda secret: "%s %r %a" % (secret, secret, secret),  # noqa: UP031
    "containers": lambda secret: str([secret, (secret,), {1: secret}]),
    "pprint": lambda secret: pprint.pformat({"x": secret}),
    "json default": lambda secret: json.dumps({"x": secret}, default=str),
    "attrs repr": lambda secret: repr(Settings(secret)),
    "attrs asdict": lambda secret: repr(attrs.asdict(Settings(secret))),
    "attrs evolve": lambda secret: repr(attrs.evolve(Settings(Secret("x")), password=secret)),
    "cattrs": lambda secret: repr(cattrs.Converter().unstructure(Settings(secret))),
    "dataclass": lambda secret: repr(Data(secret)),
    "exception": chained,
    "locals in a traceback": with_locals,
    "locals by rich": with_rich,
    "logging": logged,
    "loguru with diagnosis": diagnosed,
    "hypothesis pretty": lambda secret: pretty([secret]),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_showing_it_shows_the_value(way: str) -> None:
    """What comes out says that there is a secret, and not which."""
    shown = WAYS[way](Secret(VALUE))

    assert VALUE not in shown
    assert "c0rr" not in shown
    assert "REDACTED" in shown or "[RE" in shown


@pytest.mark.parametrize(
    "copying",
    [
        copy.copy, copy.deepcopy, pickle.dumps, json.dumps, bytes, list, dict, hash, len, int,
        lambda secret: pickle.dumps(secret, protocol=0),
        lambda secret: copy.deepcopy(Settings(secret)),
        lambda secret: dataclasses.asdict(Data(secret)),
        lambda secret: secret.__getstate__(),
        lambda secret: secret.__reduce_ex__(4),
        lambda secret: "x" + secret,
        "".join,
        lambda secret: secret.encode(),
        vars,
        os.fspath,
        lambda secret: subprocess.run(["true", secret], check=False),
    ],
)  # fmt: skip
def test_what_would_carry_the_value_elsewhere_is_refused(copying: Callable) -> None:
    """The error names the type, never the value."""
    with pytest.raises((TypeError, AttributeError)) as caught:
        copying(Secret(VALUE))

    assert VALUE not in str(caught.value)
    assert VALUE not in repr(caught.value.args)


def test_hypothesis_tells_nothing_of_it(capsys: pytest.CaptureFixture) -> None:
    """Neither a note nor a falsifying example shows a secret that a test was given."""

    @settings(database=None, max_examples=5, derandomize=True)
    @given(st.just(Secret(VALUE)))
    def failing(secret: Secret) -> None:
        note(f"{secret}")
        note(secret)
        raise Failed(secret)

    with pytest.raises(Failed) as caught:
        failing()

    told = "".join(traceback.format_exception(caught.value)) + capsys.readouterr().out
    assert "REDACTED" in told
    assert VALUE not in told.replace(f'"{VALUE}"', "")


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_comes_back_and_compares_by_value(one: str, other: str) -> None:
    """Surrogates, line breaks and the empty text among them."""
    assert Secret(one).reveal() == one
    assert (Secret(one) == Secret(other)) == (one == other)
    assert Secret(one) == Secret(one)
    assert Secret(one) != one


def test_comparing_is_done_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equality is left to the one function that is made for it, with both whole values."""
    import hmac

    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))

    assert Secret("abc") != Secret("abd")
    assert compared == [(b"abc", b"abd")]


def test_clearing_overwrites_the_bytes() -> None:
    """The memory that held the value holds zeros; a second time does no harm."""
    secret = Secret(VALUE)
    buffer = secret._buffer
    secret.clear()
    secret.clear()

    assert buffer == bytes(len(VALUE))
    assert secret._buffer is None
    assert repr(secret) == "[REDACTED]"
    assert secret == secret  # noqa: PLR0124  it is the comparison that is tested
    assert secret != Secret("")


@pytest.mark.parametrize("value", [None, 12345, b"12345"])
def test_only_a_text_becomes_a_secret(value: object) -> None:
    """The error names the type, not the value."""
    with pytest.raises(TypeError, match="a secret is made of a str, not of a value of") as caught:
        Secret(value)  # type: ignore[arg-type]

    assert "12345" not in str(caught.value)


def test_the_smallest_secret_is_shown_like_any_other() -> None:
    """Its text form does not tell how long it is."""
    shortest = find(st.text(), lambda _: True)

    assert str(Secret(shortest)) == str(Secret("x" * 1000))


def test_a_dump_of_all_that_is_reachable_holds_no_text_of_it() -> None:
    """No attribute of the object is a text with the value in it."""
    secret = Secret(VALUE)

    shown = [getattr(secret, name, None) for name in dir(secret)]
    assert not any(isinstance(value, str) and VALUE in value for value in shown)
    assert sys.getsizeof(secret) == sys.getsizeof(Secret(""))
