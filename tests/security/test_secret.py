"""A secret is seen by whoever asks for it by name, and by nobody else (Contract §7)."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from baqup_agent import Secret


def test_every_text_form_is_redacted() -> None:
    """str, repr, format, f-string and percent show the same word."""
    secret = Secret("hunter2")

    percent = "%s" % secret  # noqa: UP031  the old way is what is tested
    assert {str(secret), repr(secret), f"{secret}", f"{secret!r:>3}", percent} == {"[REDACTED]"}
    assert f"{secret:>20}" == "[REDACTED]"
    assert secret.reveal() == "hunter2"


@pytest.mark.parametrize("copying", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_it_is_neither_copied_nor_serialised(copying) -> None:
    """What would carry the value elsewhere is refused, without showing it."""
    with pytest.raises(TypeError) as caught:
        copying(Secret("hunter2"))

    assert "hunter2" not in str(caught.value)


def test_equality_is_by_value_and_it_has_no_hash() -> None:
    """Two secrets of the same value are equal; a hash would give the value away."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret("a"))


def test_a_cleared_secret_is_gone() -> None:
    """Clearing forgets the value; revealing it then says so."""
    secret = Secret("hunter2")
    secret.clear()

    with pytest.raises(ValueError, match="cleared"):
        secret.reveal()
    assert secret != Secret("hunter2")
    assert str(secret) == "[REDACTED]"


def test_values_that_are_no_utf8_compare() -> None:
    """Bytes of the environment that are no UTF-8 arrive as surrogates and do no harm."""
    assert Secret("\udcff") == Secret("\udcff")
