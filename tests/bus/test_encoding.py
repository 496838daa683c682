"""Encoding and its inverse, for any message."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.bus.encoding import (
    JSON_MEMBERS,
    decode_hash,
    to_fields,
    to_json,
)
from baqup_agent.bus.event_text import event_head, event_json, event_saying
from baqup_agent.bus.messages import Event, Heartbeat, Intent, Progress, Stamp, Status
from baqup_agent.clock import timestamp
from baqup_agent.contract import AgentState, ExitCode, LogLevel, Role, RunStatus
from baqup_agent.errors import DataError

SCHEMAS = Path(__file__).parents[2] / "spec" / "schemas"

# Any text at all, lone surrogates included: they stand for bytes of file names.
texts = st.text(st.characters(), max_size=30)
numbers = st.floats()
counts = st.integers(min_value=0, max_value=2**63)
trees: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, trees, max_size=4)
moments = st.datetimes(datetime(1000, 1, 2), datetime(9999, 1, 1), timezones=st.timezones())  # noqa: DTZ001
stamps = st.builds(Stamp, texts, texts, moments, st.integers(1, 2**62))
intents = st.builds(Intent, texts, numbers, st.none() | texts)
messages = st.one_of(
    st.builds(
        Heartbeat, stamps, st.sampled_from(AgentState), st.none() | st.just("running.dumping"),
        st.none() | intents, st.none() | st.just("2026-03-01T12:00:00.000000Z"),
    ),
    st.builds(
        Progress, stamps, st.none() | numbers, counts, counts, st.none() | texts,
        st.none() | numbers,
    ),
    st.builds(
        Event, stamps, code=st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True),
        severity=st.sampled_from([level.word for level in LogLevel]), message=texts,
        first_occurrence=moments, last_occurrence=moments, count=counts,
        sample_paths=st.lists(texts, max_size=8),
    ),
    st.builds(
        Status, stamps, agent=texts, role=st.sampled_from(Role), status=st.sampled_from(RunStatus),
        started_at=moments, completed_at=moments, exit_code=st.sampled_from(ExitCode),
        agent_version=st.none() | texts, files=st.lists(objects, max_size=2), metrics=objects,
        warnings_summary=objects, error=st.none() | objects, summary=st.none() | objects,
        components=st.none() | st.lists(objects, max_size=2),
    ),
)  # fmt: skip


@given(messages)
def test_what_is_written_is_read_back(message) -> None:
    """Through Redis fields, as text or as bytes, and through JSON, a message stays the same."""
    wire = message.to_wire()
    fields = to_fields(wire)
    raw = {name.encode(): value.encode() for name, value in fields.items()}

    assert decode_hash(message.kind, fields) == wire
    assert decode_hash(message.kind, raw) == wire
    assert json.loads(to_json(wire).encode()) == wire
    assert "\n" not in to_json(wire)


@given(messages)
def test_a_message_never_states_null_but_for_the_error(message) -> None:
    """An absent member is left out; a successful status says ``null``."""
    fields = to_fields(message.to_wire())
    nulls = {name for name, value in message.to_wire().items() if value is None}

    assert nulls <= ({"error"} if message.kind == "status" else set())
    assert all(isinstance(value, str) for value in fields.values())


@pytest.mark.parametrize("kind", sorted(JSON_MEMBERS))
def test_the_members_read_as_json_are_those_that_are_no_text(kind: str) -> None:
    """The table agrees with the schemas of the specification."""
    properties = json.loads((SCHEMAS / f"{kind}.schema.json").read_text())["properties"]

    assert JSON_MEMBERS[kind] == {name for name, rule in properties.items() if not _is_text(rule)}


def _is_text(rule: dict[str, Any]) -> bool:
    if "enum" in rule or "const" in rule:
        return all(isinstance(value, str) for value in rule.get("enum", [rule.get("const")]))
    if "anyOf" in rule:
        return all(_is_text(part) or part == {"type": "null"} for part in rule["anyOf"])
    if "$ref" in rule:
        return bool(rule["$ref"].endswith("/timestamp"))
    types = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    return set(types) <= {"string", "null"}


def test_booleans_are_words() -> None:
    """A scalar has its plain form."""
    message = {"type": "x", "yes": True, "no": False, "n": 3, "f": 0.5, "o": {"a": [1]}}

    assert to_fields(message) == {
        "type": "x",
        "yes": "true",
        "no": "false",
        "n": "3",
        "f": "0.5",
        "o": '{"a":[1]}',
    }


def test_a_foreign_message_keeps_what_we_do_not_know() -> None:
    """Members that the contract does not name are texts."""
    assert decode_hash("heartbeat", {b"seq": b"3", b"colour": b"17"}) == {"seq": 3, "colour": "17"}


def test_a_field_that_is_no_json_is_named() -> None:
    """A controller learns which agent's field it cannot read."""
    with pytest.raises(DataError, match="field 'count' of a event holds 'many'"):
        decode_hash("event", {"count": "many"})


def test_an_unknown_kind_is_an_error() -> None:
    """There are four kinds."""
    with pytest.raises(DataError, match="heartbeat, progress, status, event"):
        decode_hash("gossip", {})


@given(stamps, st.sampled_from(LogLevel), texts, moments, moments, counts, st.lists(texts))
def test_the_quick_way_to_encode_an_event_is_the_slow_one(
    stamp, level, message, first, last, count, paths
) -> None:
    """Both give the same text, whatever the names and times."""
    made = Event(
        stamp,
        code="FILE_CHANGED",
        severity=level.word,
        message=message,
        first_occurrence=first,
        last_occurrence=last,
        count=count,
        sample_paths=paths,
    )
    saying = event_saying(level.word, "FILE_CHANGED", message, count, paths)
    head, moment = event_head(stamp.job_id, stamp.agent_id), timestamp(stamp.moment)
    text = event_json(head, moment, stamp.seq, saying, timestamp(first), timestamp(last))

    assert text == to_json(made.to_wire())
