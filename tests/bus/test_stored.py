"""Stored events, sent on without being taken apart, beside what taking them apart gives."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from baqup_agent.bus.encoding import to_fields, to_json
from baqup_agent.bus.messages import Event, Stamp
from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.stored import EventReader, StoredEvent, stored_by_one
from baqup_agent.bus.topology import entry_id
from baqup_agent.bus.url import RedisUrl, parse_bus_url
from baqup_agent.contract import LogLevel
from tests.bus.samples import JOB, event, stamp

texts = st.text(st.characters(), max_size=20)
moments = st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1), timezones=st.timezones())  # noqa: DTZ001
events = st.builds(
    Event,
    st.builds(Stamp, texts, texts, moments, st.integers(1, 10**18 - 1)),
    code=st.sampled_from(["FILE_CHANGED", "X"]),
    severity=st.sampled_from([level.word for level in LogLevel]),
    message=texts,
    first_occurrence=moments,
    last_occurrence=moments,
    count=st.integers(0, 10**18 - 1),
    sample_paths=st.lists(texts, max_size=5),
)

#: The fields of a stored entry, in the order of its values.
NAMES = ("timestamp", "seq", "severity", "code", "message", "first_occurrence",
         "last_occurrence", "count", "sample_paths")  # fmt: skip


def read(text: str) -> StoredEvent:
    stored = EventReader().read(text)
    assert stored is not None
    return stored


@given(events, st.integers(0, 2**50))
def test_a_stored_event_has_the_id_and_the_fields_of_the_event(made: Event, base_ms: int) -> None:
    """Whatever its texts hold; the quick way and the slow one write the same."""
    wire = made.to_wire()
    stored = read(to_json(wire))
    fields = to_fields(wire)

    assert json.loads(stored.entry_json(base_ms)) == [
        entry_id(wire, base_ms), *(fields[name] for name in NAMES)
    ]  # fmt: skip
    assert (stored.producer.job_id, stored.producer.agent_id) == (wire["job_id"], wire["agent_id"])
    assert set(NAMES) | {"type", "job_id", "agent_id"} == set(fields)


@given(events)
def test_a_stored_event_is_the_message_that_it_holds(made: Event) -> None:
    """To whoever asks for its members, one by one or all of them."""
    wire = made.to_wire()
    stored = read(to_json(wire))

    assert {name: stored[name] for name in ("type", "seq", "job_id", "timestamp")} == {
        name: wire[name] for name in ("type", "seq", "job_id", "timestamp")
    }
    assert stored == wire
    assert len(stored) == len(wire)
    assert to_json(stored) == to_json(wire)


PLAIN = to_json(event(stamp(7)).to_wire())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"count":', '"count": '),
        ('"seq":7', '"seq":07'),
        ('"seq":7', '"seq":7.0'),
        ('"seq":7', '"seq":-7'),
        ('"type":"event"', '"type":"status"'),
        ('"severity":', '"extra":1,"severity":'),
        ('"code":"FILE', '"code":"\\u0046ILE'),
        ('"code":"FILE', '"code":"\\xFILE'),
        ('"code":"FILE', '"code":"\\ud800FILE'),
        ('"code":"FILE', '"code":"\ud800FILE'),
        ('"code":"FILE', '"code":"\nFILE'),
        ('"code":"FILE', '"code":"FI"LE'),
        ('"timestamp":"2026', '"timestamp":"9x26'),
        ('"timestamp":"2026-03', '"timestamp":"2026-13'),
        ("]}", "],}"),
        ("]}", "]} "),
        ("]}", "]"),
        ('"sample_paths":[', '"sample_paths":[,'),
        ('"sample_paths":[', '"sample_paths":[1,'),
    ],
)
def test_what_has_another_form_is_not_read_quickly(old: str, new: str) -> None:
    """It is read as any JSON, or is damaged; the quick way vouches for every character."""
    assert old in PLAIN
    assert EventReader().read(PLAIN.replace(old, new, 1)) is None


def test_a_reader_tells_producers_apart() -> None:
    """Also after one another, and when one's name begins with the other's."""
    reader = EventReader()
    wires = [event(stamp(1, agent=agent)).to_wire() for agent in ("a", "ab", "a", 'a"')]
    stored = [reader.read(to_json(wire)) for wire in wires]

    assert [one and one.producer.agent_id for one in stored] == ["a", "ab", "a", 'a"']
    assert stored_by_one([one for one in stored if one]) == []
    assert stored_by_one([one for one in (stored[0], stored[2]) if one]) == [stored[0], stored[2]]
    assert stored_by_one([wires[0]]) == []


@pytest.mark.parametrize("quick", [True, False])
def test_both_ways_put_the_same_on_a_stream_and_know_each_others_entries(
    redis_server, key_prefix, quick: bool
) -> None:
    """What one has written, the other finds there: the same ids, fields and order of fields."""
    url = parse_bus_url(redis_server.url)
    assert isinstance(url, RedisUrl)
    transport = RedisTransport(url, key_prefix)
    transport.connect()
    wires = [event(stamp(seq)).to_wire() for seq in range(1, 8)]
    stored = [read(to_json(wire)) for wire in wires]
    first, then = (stored, wires) if quick else (wires, stored)
    with Redis.from_url(redis_server.url, decode_responses=True) as admin:
        assert transport.append(first[:5]) == 5
        before = admin.xrange(f"{key_prefix}events:{JOB}")
        assert transport.append(then) == 7
        after = admin.xrange(f"{key_prefix}events:{JOB}")
    transport.close()

    assert after[:5] == before
    assert [list(fields.items()) for _, fields in after] == [
        list(to_fields(wire).items()) for wire in wires
    ]


def test_an_id_lies_not_below_its_base() -> None:
    """For a producer whose clock is behind what the stream holds."""
    wire = event(stamp(7)).to_wire()
    base_ms = 4_000_000_000_000

    assert read(to_json(wire)).entry_json(base_ms).startswith(f'["{base_ms}-7",')
    assert read(to_json(wire)).entry_json(0).startswith(f'["{entry_id(wire)}",')
