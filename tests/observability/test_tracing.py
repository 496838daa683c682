"""Spans reach a real OTLP receiver, whole and clean (Contract §6)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent import Secret
from baqup_agent.errors import DataError, JobCancelled
from baqup_agent.observability import otlp, tracing
from baqup_agent.observability.redaction import Redactor
from baqup_agent.observability.tracing import parse_trace_parent
from tests.observability.traced import Kept
from tests.observability.tracing_scene import (
    PATIENCE_S,
    Receiver,
    attributes_of,
    hexadecimal,
    parent_of,
    receiver,
    run_traced,
    shared,
    spans_in,
    traced,
)
from tests.waiting import eventually

#: Fixtures that the tests ask for by name.
FIXTURES = (receiver, shared)

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


def test_a_run_arrives_as_one_tree(receiver: Receiver) -> None:
    """Stages lie below the run, spans below the stage, nested ones below each other."""
    run = traced(receiver.endpoint)
    run.stage("agent.snapshot")
    with run.span("agent.write_artifact", filename="data.tar.zst"), run.span("agent.compress"):
        pass
    run.stage(None)
    with run.span("agent.report_status"):
        pass
    run.close(within_s=PATIENCE_S)

    root, write = receiver.named("agent.run"), receiver.named("agent.write_artifact")
    assert parent_of(root) is None
    assert parent_of(receiver.named("agent.init")) == root["spanId"]
    assert parent_of(receiver.named("agent.snapshot")) == root["spanId"]
    assert parent_of(write) == receiver.named("agent.snapshot")["spanId"]
    assert parent_of(receiver.named("agent.compress")) == write["spanId"]
    assert parent_of(receiver.named("agent.report_status")) == root["spanId"]
    assert {span["traceId"] for span in receiver.spans} == {root["traceId"]}
    assert len({span["spanId"] for span in receiver.spans}) == 6
    assert attributes_of(write) == {"filename": "data.tar.zst"}


def test_a_request_keeps_otlps_rules(receiver: Receiver) -> None:
    """Protobuf, compressed, posted to the path of traces, about the agent and the job."""
    run = traced(receiver.endpoint)
    run.close(within_s=PATIENCE_S)

    receiver.named("agent.run")
    (request,) = receiver.requests
    assert request["path"] == "/v1/traces"
    assert request["headers"]["Content-Type"] == "application/x-protobuf"
    assert request["headers"]["Content-Encoding"] == "gzip"
    (about,) = request["body"]["resourceSpans"]
    assert attributes_of(about["resource"]).items() >= {
        ("service.name", "agent-x"),
        ("baqup.job.id", "job-1"),
        ("telemetry.sdk.language", "python"),
    }
    assert about["scopeSpans"][0]["scope"]["name"] == "baqup_agent"


def test_the_callers_trace_goes_on(receiver: Receiver) -> None:
    """The outermost span has the caller's trace and is a child of the caller's span."""
    run = traced(receiver.endpoint, trace_parent=PARENT)
    with run.span("agent.connect_source") as span:
        handed_on = span.traceparent
    run.close(within_s=PATIENCE_S)

    root, inner = receiver.named("agent.run"), receiver.named("agent.connect_source")
    assert hexadecimal(root["traceId"]) == TRACE_ID
    assert hexadecimal(root["parentSpanId"]) == SPAN_ID
    assert hexadecimal(inner["traceId"]) == TRACE_ID
    assert handed_on == f"00-{TRACE_ID}-{hexadecimal(inner['spanId'])}-01"


MALFORMED = [
    "",
    "nonsense",
    PARENT.upper(),
    PARENT[:-1],
    f"ff-{TRACE_ID}-{SPAN_ID}-01",
    f"00-{'0' * 32}-{SPAN_ID}-01",
    f"00-{TRACE_ID}-{'0' * 16}-01",
    f"00-{TRACE_ID}-{SPAN_ID}-01-more",
    f"00-{TRACE_ID}-{SPAN_ID}-zz",
    f"00-{TRACE_ID[:-1]}-{SPAN_ID}-01",
    f"00_{TRACE_ID}_{SPAN_ID}_01",
    "00-" + "é" * 32 + f"-{SPAN_ID}-01",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_trace_parent_is_seen(text: str) -> None:
    """What breaks the rules of W3C is no parent."""
    assert parse_trace_parent(text) is None


@given(
    st.integers(1, (1 << 128) - 1),
    st.integers(1, (1 << 64) - 1),
    st.integers(0, 255),
    st.integers(0, 254),
)
def test_every_well_formed_trace_parent_is_read(
    trace_id: int, span_id: int, flags: int, version: int
) -> None:
    """Ids come through, the lowest flag tells of sampling, later versions may say more."""
    more = "-later" if version else ""

    remote = parse_trace_parent(f"{version:02x}-{trace_id:032x}-{span_id:016x}-{flags:02x}{more}")

    assert remote is not None
    assert (remote.trace_id, remote.span_id) == (trace_id, span_id)
    assert remote.sampled == bool(flags % 2)


def test_a_malformed_trace_parent_begins_a_new_trace(receiver: Receiver) -> None:
    """One warning names the value and the rule, and the run is traced all the same."""
    log = Kept()
    run = traced(receiver.endpoint, log, trace_parent="not-a-parent")
    run.close(within_s=PATIENCE_S)

    assert parent_of(receiver.named("agent.run")) is None
    (line,) = log.lines
    assert line["level"] == "warn"
    assert "'not-a-parent'" in line["message"]
    assert "BAQUP_JOB_TRACE_PARENT" in line["message"]
    assert "\n" not in line["message"]


def test_a_trace_that_the_caller_does_not_record_is_not_recorded(receiver: Receiver) -> None:
    """The flag of the caller decides, and costs neither a thread nor a request."""
    run = traced(receiver.endpoint, trace_parent=PARENT[:-1] + "0")
    with run.span("agent.snapshot") as span:
        span.set(a=1)
        span.event("b")
    run.close()

    assert not run.recording
    assert span.traceparent is None
    assert "tracing" not in {thread.name for thread in threading.enumerate()}
    assert receiver.requests == []


def test_an_error_marks_its_span_and_those_around_it(receiver: Receiver) -> None:
    """A foreseen error has its code and no stack, any other has both type and stack."""
    run = traced(receiver.endpoint)
    with pytest.raises(DataError), run.span("foreseen"):
        raise DataError("row 7 is broken")
    with pytest.raises(ValueError, match="odd"), run.span("around"), run.span("unforeseen"):
        raise ValueError("odd")
    with pytest.raises(JobCancelled), run.span("cancelled"):
        raise JobCancelled
    with run.span("sound"):
        pass
    run.close(DataError("row 7 is broken"), within_s=PATIENCE_S, **{"baqup.exit_code": 65})

    for name in ("foreseen", "agent.run", "agent.init"):
        span = receiver.named(name)
        assert span["status"] == {"message": "row 7 is broken", "code": "STATUS_CODE_ERROR"}
        assert attributes_of(span)["error.type"] == "DATA_INVALID"
        (event,) = span["events"]
        assert event["name"] == "exception"
        assert set(attributes_of(event)) == {"exception.type", "exception.message"}
    for name in ("around", "unforeseen"):
        span = receiver.named(name)
        assert span["status"]["message"] == "ValueError: odd"
        assert attributes_of(span)["error.type"] == "ValueError"
        assert "test_tracing" in attributes_of(span["events"][0])["exception.stacktrace"]
    cancelled = receiver.named("cancelled")
    assert cancelled["status"]["code"] == "STATUS_CODE_ERROR"
    assert "events" not in cancelled
    assert "code" not in receiver.named("sound").get("status", {})
    assert attributes_of(receiver.named("agent.run"))["baqup.exit_code"] == "65"


def test_no_secret_leaves_in_a_span(receiver: Receiver) -> None:
    """Names, attributes, events, errors and the resource are cleaned, also where text is cut."""
    secret = "correct-horse-battery-staple"
    telling = secret[:8]  # half of it would be too much too
    redactor = Redactor()
    run = traced(receiver.endpoint, clean=redactor.text, resource={"x": secret})
    redactor.add(Secret(secret))  # known from now on only, but in time
    with run.span(f"name {secret}") as span:
        span.set(**{f"key {secret}": f"value {secret}", "list": [secret, [secret]]})
        span.set(cut="x" * (tracing.TEXT_MAX - 10) + secret)
        span.event(f"event {secret}", text=secret)
        span.fail(ValueError(secret))
    run.event("root", text=secret)
    run.close(RuntimeError(secret), within_s=PATIENCE_S, text=secret)

    receiver.named("agent.run")
    text = json.dumps(receiver.requests)
    assert text.count("[REDACTED]") > 10
    assert telling not in text


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


VALUES = {
    "truth": True,
    "number": 7,
    "fraction": 0.5,
    "nan": float("nan"),
    "huge": 1 << 70,
    "lowest": -(1 << 63),
    "text": "ü",
    "nul": "a\0b",
    "surrogate": "a\udce4b",
    "bytes": b"\xff",
    "path": Path("/a/b"),
    "moment": datetime(2026, 1, 15, tzinfo=UTC),
    "list": [1, None, "a", [2], {"b": 3}],
    "mapping": {"a": 1},
    "unspeakable": Unspeakable(),
    "long": "x" * 100_000,
}


def test_whatever_an_author_notes_arrives(receiver: Receiver) -> None:
    """No value is so odd that its span is lost, and no text so long that it is sent whole."""
    run = traced(receiver.endpoint)
    with run.span("odd", nothing=None, **VALUES) as span:
        span.event("odd", nothing=None, **VALUES)
    run.close(within_s=PATIENCE_S)

    sent = receiver.named("odd")
    for holder in (sent, sent["events"][0]):
        found = attributes_of(holder)
        assert set(found) == set(VALUES)
        assert found["truth"] is True
        assert found["number"] == "7"
        assert found["huge"] == str(1 << 70)
        assert found["lowest"] == str(-(1 << 63))
        assert found["surrogate"] == "a\\udce4b"
        assert found["path"] == "/a/b"
        assert "no words" in found["unspeakable"]
        assert len(found["long"]) == tracing.TEXT_MAX


def test_a_span_keeps_within_limits(receiver: Receiver) -> None:
    """Of too many attributes the first are kept, of too many events the latest."""
    run = traced(receiver.endpoint)
    with run.span("full") as span:
        for number in range(1000):
            span.set(**{f"a{number}": number})
            span.event(f"e{number}")
        span.set(a0="changed")
    run.close(within_s=PATIENCE_S)

    full = receiver.named("full")
    assert list(attributes_of(full)) == [f"a{n}" for n in range(tracing.ATTRIBUTES_MAX)]
    assert attributes_of(full)["a0"] == "changed"
    assert [event["name"] for event in full["events"]] == [
        f"e{n}" for n in range(1000 - tracing.EVENTS_MAX, 1000)
    ]


def test_the_lifecycle_is_told_on_the_outermost_span(receiver: Receiver) -> None:
    """Transitions are its events, in order and with their times."""
    run = traced(receiver.endpoint)
    run.event("transition", **{"baqup.target": "running"})
    run.event("transition", **{"baqup.target": "failed"})
    run.close(within_s=PATIENCE_S)

    events = receiver.named("agent.run")["events"]
    assert [attributes_of(event)["baqup.target"] for event in events] == ["running", "failed"]
    assert int(events[0]["timeUnixNano"]) <= int(events[1]["timeUnixNano"])


def test_work_on_other_threads_lies_below_the_stage(receiver: Receiver) -> None:
    """A thread does not inherit the span that was open where it was started."""
    run = traced(receiver.endpoint)
    run.stage("agent.snapshot")

    def work() -> None:
        with run.span("elsewhere"), run.span("inside"):
            pass

    with run.span("here"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    run.close(within_s=PATIENCE_S)

    stage, elsewhere = receiver.named("agent.snapshot"), receiver.named("elsewhere")
    assert parent_of(elsewhere) == stage["spanId"]
    assert parent_of(receiver.named("inside")) == elsewhere["spanId"]


def test_a_span_without_a_block_lies_where_it_is_put(receiver: Receiver) -> None:
    """It may end anywhere and on any thread, once; what happens meanwhile is none of its own."""
    run = traced(receiver.endpoint)
    outer = run.begin("outer", size=1)
    inner = run.begin("inner", outer)
    with run.span("meanwhile"):
        run.end(outer)
    run.end(inner, DataError("broken"))
    run.end(inner)
    run.close(within_s=PATIENCE_S)

    stage = receiver.named("agent.init")["spanId"]
    assert parent_of(receiver.named("outer")) == parent_of(receiver.named("meanwhile")) == stage
    assert parent_of(receiver.named("inner")) == receiver.named("outer")["spanId"]
    assert attributes_of(receiver.named("outer")) == {"size": "1"}
    assert receiver.named("inner")["status"]["message"] == "broken"


def test_a_generator_that_is_given_up_leaves_no_fault(receiver: Receiver) -> None:
    """Its span ends without an error, and what follows does not lie below it."""
    run = traced(receiver.endpoint)

    def rows() -> Iterator[int]:
        with run.span("rows"):
            yield from range(10)

    for _ in (reading := rows()):
        break
    reading.close()
    with run.span("after"):
        pass
    run.close(within_s=PATIENCE_S)

    assert "code" not in receiver.named("rows").get("status", {})
    assert parent_of(receiver.named("after")) == receiver.named("agent.init")["spanId"]


def test_what_is_still_open_at_the_end_is_sent(receiver: Receiver) -> None:
    """A span that nobody came back to ends with the run and says so; it ends once."""
    run = traced(receiver.endpoint)
    with run.span("stuck"):
        run.close(within_s=PATIENCE_S)
    with run.span("late"):
        pass
    run.close(within_s=PATIENCE_S)

    assert attributes_of(receiver.named("stuck")) == {"baqup.unfinished": True}
    assert attributes_of(receiver.named("agent.run")) == {}
    assert sorted(span["name"] for span in receiver.spans) == ["agent.init", "agent.run", "stuck"]


class JumpingClock:
    """A wall clock that jumps back by an hour at every look, beside a sound monotonic one."""

    def __init__(self) -> None:
        self.wall, self.seconds = datetime(2026, 1, 15, 12, tzinfo=UTC), 100.0

    def monotonic(self) -> float:
        self.seconds += 1
        return self.seconds

    def now(self) -> datetime:
        self.wall -= timedelta(hours=1)
        return self.wall


def test_a_clock_that_jumps_turns_no_span_around(receiver: Receiver) -> None:
    """Every span lasts as long as the monotonic clock says; the first began with the run."""
    clock = JumpingClock()
    begun = datetime(2026, 1, 15, 10, 59, 50, tzinfo=UTC)
    run = traced(receiver.endpoint, clock=clock, started_at=begun)
    with run.span("one second"):
        pass
    run.close(within_s=PATIENCE_S)

    one, root = receiver.named("one second"), receiver.named("agent.run")
    assert int(one["endTimeUnixNano"]) - int(one["startTimeUnixNano"]) == 1_000_000_000
    assert int(root["startTimeUnixNano"]) == int(begun.timestamp()) * 10**9
    assert root["startTimeUnixNano"] < one["startTimeUnixNano"] < root["endTimeUnixNano"]


def test_a_run_that_began_in_the_future_ends_after_it_began(receiver: Receiver) -> None:
    """The wall clock was set back between the start of the run and that of its tracing."""
    run = traced(receiver.endpoint, started_at=datetime.now(UTC) + timedelta(hours=1))
    run.close(within_s=PATIENCE_S)

    for name in ("agent.run", "agent.init"):
        span = receiver.named(name)
        assert span["endTimeUnixNano"] >= span["startTimeUnixNano"]


def test_ids_do_not_follow_a_seed(receiver: Receiver) -> None:
    """An author who seeds Python's random numbers gets a new trace each run all the same."""
    program = (
        "import random; from baqup_agent.observability.tracing import Tracing; random.seed(1);"
        "run = Tracing(); print(run._root.trace_id, run._root.span_id)"
    )
    ids = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, text=True
        ).stdout
        for _ in range(2)
    }

    assert len(ids) == 2


def test_many_spans_go_in_several_requests(receiver: Receiver) -> None:
    """A full batch is sent while the run goes on, and in the end each span has arrived once."""
    run = traced(receiver.endpoint)
    for _ in range(otlp.BATCH):
        with run.span("one of many"):
            pass
    eventually(lambda: receiver.spans, within_s=PATIENCE_S)
    for _ in range(otlp.BATCH):
        with run.span("one of many"):
            pass
    run.close(within_s=PATIENCE_S)

    eventually(lambda: len(receiver.spans) >= 2 * otlp.BATCH + 2, within_s=PATIENCE_S)
    assert len({span["spanId"] for span in receiver.spans}) == 2 * otlp.BATCH + 2
    assert len(receiver.spans) == 2 * otlp.BATCH + 2
    assert all(len(spans_in(request)) <= otlp.BATCH for request in receiver.requests)


@pytest.mark.parametrize(
    ("enabled", "endpoint"), [(False, "http://127.0.0.1:9"), (True, None), (False, None)]
)
def test_nothing_is_imported_unless_both_variables_say_so(
    enabled: bool, endpoint: str | None
) -> None:
    """Without one of them OpenTelemetry stays away, whatever its own variables say."""
    result = run_traced(enabled=enabled, endpoint=endpoint)

    assert not {"opentelemetry", "requests", "google"} & set(result["imported"])
    assert len(result["log"]) == (1 if enabled else 0)
    assert all("BAQUP_AGENT_TRACING_ENDPOINT" in line["message"] for line in result["log"])


def test_otel_variables_change_nothing(receiver: Receiver) -> None:
    """Endpoint, name, sampling, headers and compression are ours."""
    result = run_traced(endpoint=receiver.endpoint, spans=1, within_s=PATIENCE_S)

    receiver.named("agent.run")
    (request,) = receiver.requests
    assert result["log"] == []
    assert "x-foreign" not in {name.lower() for name in request["headers"]}
    assert request["headers"]["Content-Encoding"] == "gzip"
    about = attributes_of(request["body"]["resourceSpans"][0]["resource"])
    assert about["service.name"] == "agent-traced"
    assert "a" not in about
