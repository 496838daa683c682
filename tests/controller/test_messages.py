"""Messages as a controller reads them: typed, tolerant, and never a crash."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.bus.encoding import to_fields
from baqup_agent.bus.messages import Heartbeat as SentHeartbeat
from baqup_agent.contract import AgentState, RunStatus
from baqup_agent.controller.messages import (
    MAX_MESSAGE_BYTES,
    BusMessage,
    Event,
    Heartbeat,
    Malformed,
    Progress,
    Status,
    order_of,
    read_hash,
    read_json,
    read_message,
)
from tests.bus import samples
from tests.controller.wire import at, line

HEAD = {"job_id": "j", "agent_id": "a", "seq": 1, "timestamp": at(1)}
SENT = [
    samples.heartbeat(samples.stamp(1)),
    samples.heartbeat(samples.stamp(2), full=True),
    samples.progress(samples.stamp(3)),
    samples.progress(samples.stamp(4), full=True),
    samples.event(samples.stamp(5)),
    samples.status(samples.stamp(6)),
    samples.status(samples.stamp(7), failed=True),
]


def as_bytes(fields: dict[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in fields.items()}


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: f"{sent.kind} {sent.stamp.seq}")
def test_what_agents_send_is_read_member_by_member(sent):
    """From a notification and from what is stored; no flaw, nothing lost."""
    wire = sent.to_wire()
    for read in (read_json(line(wire)), read_hash(sent.kind, as_bytes(to_fields(wire)))):
        assert read.flaws == ()
        assert read.wire == wire
        assert read.moment == sent.stamp.moment
        for name, value in wire.items():
            if name in ("type", "intent"):
                continue
            ours = getattr(read, name)
            assert (list(ours) if isinstance(ours, tuple) else ours) == value


def test_an_intent_is_read_whole():
    """It decides how long an agent may be silent."""
    sent = samples.heartbeat(samples.stamp(2), full=True)
    assert isinstance(sent, SentHeartbeat)
    read = read_message(sent.to_wire())

    assert isinstance(read, Heartbeat)
    assert read.intent is not None
    assert sent.intent is not None
    assert attrs.asdict(read.intent) == attrs.asdict(sent.intent)


def test_states_and_outcomes_are_the_contracts_words():
    """Anything else is a flaw, and None."""
    good = read_message({**HEAD, "type": "heartbeat", "state": "completing"})
    odd = read_message({**HEAD, "type": "heartbeat", "state": "asleep"})
    status = read_message({**HEAD, "type": "status", "status": "partial"})
    assert isinstance(good, Heartbeat)
    assert isinstance(odd, Heartbeat)
    assert isinstance(status, Status)

    assert good.state is AgentState.COMPLETING
    assert (odd.state, odd.flaws) == (None, ("state",))
    assert status.status is RunStatus.PARTIAL


FLAWS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"type": "heartbeat", "intent": "none"}, ("intent",)),
    ({"type": "heartbeat", "intent": {"operation": 3}}, ("intent",)),
    ({"type": "heartbeat", "seq": "1", "substate": ["x"]}, ("seq", "substate")),
    ({"type": "heartbeat", "agent_id": 7}, ("agent_id",)),
    ({"type": "progress", "bytes_processed": True}, ("bytes_processed",)),
    ({"type": "progress", "percent_complete": "half"}, ("percent_complete",)),
    ({"type": "progress", "percent_complete": 10**400}, ("percent_complete",)),
    ({"type": "event", "code": "A", "sample_paths": ["a", 1], "count": 1.5}, None),
    ({"type": "status", "files": [1], "error": [], "metrics": 1}, ("error", "files", "metrics")),
]


@pytest.mark.parametrize(("members", "flaws"), FLAWS, ids=str)
def test_a_member_that_breaks_the_contract_is_set_aside(members, flaws):
    """It keeps its default and is named; the others count."""
    read = read_message({**HEAD, **members})
    flaws = flaws or ("count", "sample_paths")

    assert read.flaws == flaws
    defaults = {f.name: f.default for f in attrs.fields(type(read))}
    for name in flaws:
        default = defaults[name]
        value = default.factory() if isinstance(default, attrs.Factory) else default
        assert getattr(read, name) == value
    assert read.wire == {**HEAD, **members}


def test_a_field_that_holds_no_json_is_a_flaw_of_its_own():
    """The beat around it counts."""
    fields = {"type": "heartbeat", **{k: str(v) for k, v in HEAD.items()}, "intent": "{broken"}
    read = read_hash("heartbeat", as_bytes(fields), age_s=3.0)
    assert isinstance(read, Heartbeat)

    assert (read.seq, read.age_s, read.flaws) == (1, 3.0, ("intent",))


def test_unknown_members_are_kept_and_null_is_absence():
    """Other versions say more, and other languages say null."""
    wire = {**HEAD, "type": "progress", "flaws": ["x"], "size_bytes": 3, "colour": 1, "seq": None}
    read = read_message({**wire, "bytes_processed": None})
    assert isinstance(read, Progress)

    assert (read.seq, read.bytes_processed, read.flaws) == (None, 0, ())
    assert read.wire["colour"] == 1
    assert read.size_bytes == 0


BROKEN: list[Any] = [
    *(None, 1, "text", [], {}),
    {**HEAD, "type": "hello"},
    {**HEAD, "type": {}},
    {**HEAD, "type": "heartbeat", "job_id": None},
    {**HEAD, "type": "heartbeat", "job_id": 5},
    {**HEAD, "type": "heartbeat", "timestamp": "now"},
    {**HEAD, "type": "heartbeat", "timestamp": 1_700_000_000},
    {**HEAD, "type": "event"},
    {**HEAD, "type": "event", "code": 5},
]


@pytest.mark.parametrize("wire", BROKEN, ids=repr)
def test_what_lacks_its_head_is_no_message(wire):
    """Kind, job, time, and an event's code."""
    with pytest.raises(Malformed):
        read_message(wire)


def test_a_hash_of_another_kind_is_no_message():
    """A heartbeat does not belong under a status's key."""
    with pytest.raises(Malformed):
        read_hash("status", to_fields({"type": "heartbeat", **HEAD}))


def test_a_very_long_text_is_not_taken_apart():
    """It would take more memory than it is worth."""
    with pytest.raises(Malformed, match="longer"):
        read_json(b" " * (MAX_MESSAGE_BYTES + 1))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-15T03:00:09Z", datetime(2026, 1, 15, 3, 0, 9, tzinfo=UTC)),
        ("2026-01-15T03:00:09.5Z", datetime(2026, 1, 15, 3, 0, 9, 500_000, tzinfo=UTC)),
        ("2026-01-15T03:00:09.123456789Z", datetime(2026, 1, 15, 3, 0, 9, 123_456, tzinfo=UTC)),
        ("2026-02-31T03:00:09Z", None),
    ],
)
def test_timestamps_of_every_width_are_read(text, moment):
    """None to nine digits of a second; a date that does not exist is no time."""
    assert BusMessage(job_id="j", timestamp=text).moment == moment


@given(st.datetimes(), st.data())
def test_the_order_of_texts_is_the_order_of_times(first, data):
    """Whatever their widths."""
    second = data.draw(st.datetimes())

    def written(moment: datetime, digits: int) -> tuple[str | None, str]:
        whole = f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0")
        cut = f"{moment.microsecond:06}"[:digits]
        return order_of(f"{whole}.{cut}Z" if digits else f"{whole}Z"), f"{whole}.{cut:0<6}"

    a, exact_a = written(first, data.draw(st.integers(0, 6)))
    b, exact_b = written(second, data.draw(st.integers(0, 6)))
    assert a is not None
    assert b is not None
    assert (a < b) == (exact_a < exact_b)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = sorted(
    {name for cls in (Heartbeat, Progress, Status, Event) for name in attrs.fields_dict(cls)}
)


@given(
    st.sampled_from(["heartbeat", "progress", "status", "event"]),
    st.dictionaries(st.sampled_from(NAMES), JUNK, max_size=8),
)
def test_members_of_any_type_are_survived(kind, members):
    """A message, or none; and if one, then well typed."""
    try:
        read = read_message({"code": "A", **HEAD, **members, "type": kind})
    except Malformed:
        return

    assert isinstance(read.job_id, str)
    assert read.seq is None or type(read.seq) is int
    assert read.agent_id is None or isinstance(read.agent_id, str)
    assert set(read.flaws) <= set(members)
