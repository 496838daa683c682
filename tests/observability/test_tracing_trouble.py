"""Whatever becomes of the endpoint, a run is neither failed nor held up by it (Contract §6)."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from baqup_agent.contract import LAST_SPANS_S
from baqup_agent.observability import otlp
from baqup_agent.observability.otlp import UnusableEndpoint, traces_url
from baqup_agent.observability.tracing import Tracing
from tests.observability.traced import Kept
from tests.observability.tracing_scene import (
    PATIENCE_S,
    Receiver,
    Start,
    attributes_of,
    receiver_of,
    run_traced,
    spans_in,
    traced,
)
from tests.waiting import eventually

#: A fixture that the tests ask for by name.
FIXTURES = (receiver_of,)

#: What a loaded machine may add to a bound, seconds.
SLACK_S = 3.0

#: What is far less than `PATIENCE_S`, and far more than work without waiting takes, seconds.
SOON_S = PATIENCE_S / 3


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An endpoint that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refused() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are sent many times a second, so that a test sees several attempts."""
    monkeypatch.setattr(otlp, "SEND_EVERY_S", 0.05)


def record(run: Tracing, count: int, name: str = "work") -> None:
    for _ in range(count):
        with run.span(name):
            pass


def test_an_endpoint_that_refuses_delays_nothing(refused: int) -> None:
    """The bound is not waited out; one line names endpoint and reason, and there is no other."""
    result = run_traced(endpoint=f"http://127.0.0.1:{refused}", within_s=PATIENCE_S)

    (line,) = result["log"]
    assert line["level"] == "warn"
    assert line["endpoint"] == f"http://127.0.0.1:{refused}/v1/traces"
    assert line["reason"] == "ConnectionRefusedError: [Errno 111] Connection refused"
    assert result["close_s"] < SOON_S
    print(f"refused: work {result['work_s']:.3f} s, end {result['close_s']:.3f} s")


def test_an_endpoint_that_never_answers_costs_the_bound(black_hole: str) -> None:
    """The work is not held up at all, the end by no more than the bound; one line tells why."""
    result = run_traced(endpoint=black_hole)

    (line,) = result["log"]
    assert line["level"] == "warn"
    assert result["work_s"] < SOON_S
    assert result["close_s"] < LAST_SPANS_S + SLACK_S
    print(f"black hole: work {result['work_s']:.3f} s, end {result['close_s']:.3f} s")


def test_a_request_under_way_at_the_end_does_not_add_to_the_bound(
    often: None, black_hole: str
) -> None:
    """Spans that never get an answer are given up together, whenever they were sent."""
    run = traced(black_hole)
    with run.span("first"):
        pass
    sender = run._sender
    assert isinstance(sender, otlp.SpanSender)
    eventually(lambda: not sender._waiting, within_s=PATIENCE_S)  # it is being sent
    begun_s = time.monotonic()
    run.close(within_s=0.5)
    took_s = time.monotonic() - begun_s

    assert 0.4 < took_s < 0.5 + SLACK_S


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("500", "the receiver answered with HTTP 500"),
        ("404", "the receiver answered with HTTP 404"),
        ("302", "the receiver answered with HTTP 302"),
        ("503", "the receiver answered with HTTP 503"),
    ],
)
def test_an_endpoint_that_says_no_is_told_of_once(
    receiver_of: Start, often: None, answer: str, reason: str
) -> None:
    """Many refusals make one line in the log and nothing on stderr."""
    receiver, log = receiver_of(answer), Kept()
    run = traced(receiver.endpoint, log)
    for wanted in (1, 2, 3):
        record(run, 1)
        eventually(lambda: len(receiver.requests) >= wanted, within_s=PATIENCE_S)  # noqa: B023
    run.close(within_s=PATIENCE_S)

    assert [line["reason"] for line in log.lines] == [reason]


def test_a_slow_endpoint_gets_everything(receiver_of: Start) -> None:
    """An answer that takes its time, but less than the bound, is waited for."""
    receiver, log = receiver_of("200@0.5"), Kept()
    run = traced(receiver.endpoint, log)
    record(run, 3)
    begun_s = time.monotonic()
    run.close(within_s=PATIENCE_S)

    assert time.monotonic() - begun_s >= 0.5
    assert len(receiver.spans) == 5
    assert log.lines == []


def test_an_endpoint_that_comes_late_gets_what_went_before(
    receiver_of: Start, often: None, refused: int
) -> None:
    """Spans wait while nobody listens, and each arrives once when somebody does."""
    log = Kept()
    run = traced(f"http://127.0.0.1:{refused}", log)
    record(run, 5, "early")
    eventually(lambda: log.lines, within_s=PATIENCE_S)
    receiver = receiver_of(port=refused)
    eventually(lambda: receiver.spans, within_s=PATIENCE_S)
    record(run, 5, "late")
    run.close(within_s=PATIENCE_S)

    eventually(lambda: len(receiver.spans) >= 12, within_s=PATIENCE_S)
    names = [span["name"] for span in receiver.spans]
    assert sorted(names) == ["agent.init", "agent.run", *["early"] * 5, *["late"] * 5]
    assert len({span["spanId"] for span in receiver.spans}) == 12
    assert len(log.lines) == 1


def test_spans_that_were_put_off_are_sent_again(receiver_of: Start, often: None) -> None:
    """A receiver that is busy for a while loses nothing."""
    receiver = receiver_of("503", "429", "200")
    run = traced(receiver.endpoint)
    record(run, 5)
    eventually(lambda: receiver.spans, within_s=PATIENCE_S)
    run.close(within_s=PATIENCE_S)

    assert [request["answer"] for request in receiver.requests][:3] == [503, 429, 200]
    assert {len(spans_in(request)) for request in receiver.requests[:3]} == {5}


def test_spans_that_are_rejected_do_not_stand_in_the_way(receiver_of: Start, often: None) -> None:
    """What a receiver will never take is given up and counted, and the rest arrives."""
    receiver = receiver_of("400", "200")
    run = traced(receiver.endpoint)
    record(run, 5, "bad")
    eventually(lambda: receiver.requests, within_s=PATIENCE_S)
    eventually(lambda: run._sender.dropped == 5, within_s=PATIENCE_S)
    record(run, 1, "good")
    run.close(within_s=PATIENCE_S)

    root = receiver.named("agent.run")
    assert attributes_of(root)["baqup.dropped_spans"] == "5"
    assert {span["name"] for span in receiver.spans} == {"agent.run", "agent.init", "good"}


def test_an_absent_endpoint_costs_bounded_memory(
    receiver_of: Start, often: None, refused: int
) -> None:
    """Of too many spans the latest are kept; how many were given up stands on the run's own."""
    run = traced(f"http://127.0.0.1:{refused}")
    record(run, otlp.WAITING_MAX + 1000)
    sender = run._sender
    assert isinstance(sender, otlp.SpanSender)
    eventually(lambda: sender.dropped == 1000, within_s=PATIENCE_S)
    assert len(sender._waiting) <= otlp.WAITING_MAX
    receiver = receiver_of(port=refused)
    run.close(within_s=PATIENCE_S)

    root = receiver.named("agent.run")
    # The run's last two spans push out one or two more, unless a batch is under way just then.
    assert attributes_of(root)["baqup.dropped_spans"] in {"1000", "1001"}
    assert len(receiver.spans) - otlp.WAITING_MAX in {0, 1, 2}


def test_recording_is_not_held_up_by_a_black_hole(black_hole: str) -> None:
    """A span costs the job's thread some microseconds, whatever the endpoint does."""
    run = traced(black_hole)
    begun_s = time.perf_counter()
    record(run, 5000)
    each_s = (time.perf_counter() - begun_s) / 5000
    run.close(within_s=0.1)

    print(f"{each_s * 1e6:.1f} us for a span")
    assert each_s < 0.001


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.exporter"])
def test_a_missing_extra_is_told_of_in_one_line(missing: str) -> None:
    """The line names the command that installs it, and the run goes on without a delay."""
    result = run_traced(endpoint="http://127.0.0.1:9", hide=missing, within_s=PATIENCE_S)

    (line,) = result["log"]
    assert line["level"] == "warn"
    assert 'pip install "baqup-agent[tracing]"' in line["reason"]
    assert result["close_s"] < SOON_S


def test_an_unusable_endpoint_is_told_of_in_one_line() -> None:
    """The line names variable, rule and remedy, and no credential; the run is not traced."""
    log = Kept()
    run = traced("grpc://me:topsecret@collector:4317", log)
    record(run, 1)
    run.close()

    (line,) = log.lines
    assert "BAQUP_AGENT_TRACING_ENDPOINT='grpc://collector:4317'" in line["message"]
    assert "http://collector:4318" in line["message"]
    assert not run.recording


def test_a_system_without_threads_left_does_not_fail_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tracing is off then, and one line says so."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    log = Kept()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        run = traced("http://127.0.0.1:9", log)
    record(run, 1)
    run.close()

    assert [line["message"] for line in log.lines] == ["tracing is off: can't start new thread"]


def test_an_encoder_that_breaks_costs_its_spans_only(
    receiver_of: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure inside OpenTelemetry stays in its thread and becomes one line."""
    log = Kept()

    def broken(text: str) -> str:
        if text == "bad":
            raise RuntimeError("cannot clean")
        return text

    run = traced(receiver_of().endpoint, log, clean=broken)
    record(run, 1, "bad")
    run.close(within_s=PATIENCE_S)

    assert [line["reason"] for line in log.lines] == ["RuntimeError: cannot clean"]


@pytest.mark.parametrize(
    ("endpoint", "url", "shown"),
    [
        ("http://c:4318", "http://c:4318/v1/traces", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces", "http://c:4318/v1/traces"),
        ("http://c:4318/v1/traces", "http://c:4318/v1/traces", "http://c:4318/v1/traces"),
        ("https://c/otlp", "https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
        ("https://u:p@c/", "https://u:p@c/v1/traces", "https://c/v1/traces"),
        ("https://c/?key=k#f", "https://c/v1/traces?key=k", "https://c/v1/traces"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces", "http://[::1]:4318/v1/traces"),
    ],
)
def test_the_path_of_traces_is_appended(endpoint: str, url: str, shown: str) -> None:
    """As OTLP has it for a base URL; people are shown neither credentials nor query."""
    assert traces_url(endpoint) == (url, shown)


@pytest.mark.parametrize(
    "endpoint", ["collector:4318", "ftp://c", "http://", "http://c:port", "http://c:0", "http://[c"]
)
def test_anything_but_http_is_no_endpoint(endpoint: str) -> None:
    """What no request can be made to is found before one is made."""
    with pytest.raises(UnusableEndpoint, match="BAQUP_AGENT_TRACING_ENDPOINT"):
        traces_url(endpoint)


def test_an_answer_that_trickles_is_not_waited_for() -> None:
    """A byte now and then keeps every timeout of a socket from firing, but not the bound."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        over = threading.Event()
        stack.callback(over.set)

        def trickle() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                while not over.wait(0.05):
                    connection.sendall(b"H")

        threading.Thread(target=trickle, daemon=True).start()
        run = traced(f"http://127.0.0.1:{server.getsockname()[1]}")
        begun_s = time.monotonic()
        run.close(within_s=0.5)

        assert time.monotonic() - begun_s < 0.5 + SLACK_S


def test_the_receiver_of_these_tests_tells_the_truth(receiver_of: Start) -> None:
    """Each request is seen with the answer it got."""
    receiver: Receiver = receiver_of("503", "200")

    run = traced(receiver.endpoint)
    run.close(within_s=PATIENCE_S)

    assert [request["answer"] for request in receiver.requests] == [503]
    assert receiver.taken == []
