"""A record is one line in each form, and reads back (Contract §6)."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from baqup_agent.contract import LogLevel
from baqup_agent.observability.lines import as_json, as_logfmt, as_text, renderer
from tests.observability.terminal import through_a_terminal

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip

#: One pair of logfmt: a key, and a value plain or in JSON's quotes.
PAIR = re.compile(r'(?P<key>[^\s=]+)=(?P<value>"(?:[^"\\]|\\.)*"|[^\s"=\\]+)(?: |$)')


def line(message: str = "moved", **context: Any) -> dict[str, Any]:
    return {
        "timestamp": "2026-01-15T03:00:00.071340Z",
        "level": "warn",
        "job_id": "j",
        "agent_id": "",
        "component": "staging",
        "message": message,
        "context": context,
    }


def parse_logfmt(text: str) -> dict[str, str]:
    """Read a line of logfmt back; fails on anything that is no pair."""
    pairs, at = {}, 0
    while at < len(text):
        match = PAIR.match(text, at)
        assert match is not None, text[at:]
        value = match["value"]
        assert match["key"] not in pairs
        pairs[match["key"]] = json.loads(value) if value.startswith('"') else value
        at = match.end()
    return pairs


@given(st.text(), st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), JSON_VALUES))
@example("moved", {"message": "mine", "level": 3, "path": "/x"})
def test_logfmt_reads_back(message: str, context: dict[str, Any]) -> None:
    """Texts come back to the letter, anything else as its JSON; nothing of it breaks a line."""
    record = line(message)
    record["context"] = context

    text = as_logfmt(record)

    assert text.isprintable()
    read = parse_logfmt(text)
    for name in ("timestamp", "level", "job_id", "agent_id", "component", "message"):
        assert read.pop(name) == record[name]
    for name, value in context.items():
        shown = read.pop(f"context.{name}" if name in record else name)
        assert (shown if isinstance(value, str) else json.loads(shown)) == value
    assert read == {}


@given(st.dictionaries(st.text(), st.text(), max_size=1))
def test_any_key_becomes_one_of_logfmt(context: dict[str, str]) -> None:
    """Blanks, equals signs and quotes in a key do not split the pair."""
    record = line()
    record["context"] = context

    assert len(parse_logfmt(as_logfmt(record))) == 6 + len(context)


@given(st.text(), st.dictionaries(st.text(), JSON_VALUES, max_size=3))
def test_no_form_lets_anything_through_that_does_not_print(
    message: str, context: dict[str, Any]
) -> None:
    """Line breaks of every kind, escape sequences and surrogates are written out."""
    record = line(message)
    record["context"] = context

    for form in (as_json, as_logfmt, as_text):
        assert form(record).isprintable()
    assert json.loads(as_json(record)) == record


def test_text_is_for_people() -> None:
    """Time, level, component and message; the context behind, quoted where it must be."""
    text = as_text(line("two\nlines of ö", path="/a b", n=2, state="running"))

    assert text == (
        '2026-01-15T03:00:00.071340Z warn  staging: two\\nlines of ö path="/a b" n=2 state=running'
    )


def test_an_unknown_format_is_named() -> None:
    """The word, and the words that would do, stand in the error."""
    with pytest.raises(ValueError, match="'xml' is no log format; one of json, text, logfmt"):
        renderer("xml", io.StringIO())


@pytest.mark.parametrize("level", list(LogLevel))
def test_text_is_coloured_on_a_terminal(level: LogLevel) -> None:
    """Each level has its colour there; anywhere else there is none."""
    program = (
        "import sys; from baqup_agent.observability.lines import renderer;"
        "print(renderer('text', sys.stderr)({'timestamp': 't', 'component': 'c', 'message': 'm',"
        f"'level': {level.word!r}, 'context': {{}}}}), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program]
    environ = {**os.environ, "TERM": "xterm"}
    environ.pop("NO_COLOR", None)

    shown = through_a_terminal(command, environ)
    assert re.search(rf"\x1b\[[0-9;]+m{level.word}", shown)
    assert "\x1b" not in through_a_terminal(command, {**environ, "NO_COLOR": "1"})
    piped = subprocess.run(
        command, env={**environ, "FORCE_COLOR": "1"}, capture_output=True, check=True
    )
    assert b"\x1b" not in piped.stderr
