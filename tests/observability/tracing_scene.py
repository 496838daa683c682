"""What the tests of tracing share: receivers in processes of their own, and runs to be traced."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.observability.tracing import Tracing, start_tracing
from tests.observability.traced import Kept
from tests.waiting import eventually

#: Longest wait for the end of a run on a loaded machine, seconds; where time is the subject, the
#: tests of trouble give the real bound.
PATIENCE_S = 30.0


class Receiver:
    """An OTLP receiver in a process of its own."""

    def __init__(self, *answers: str, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("otlp_receiver.py")),
                str(port),
                *answers,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self._requests: list[dict[str, Any]] = []
        self._asked = self._answered = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            if isinstance(told, int):
                self._answered = told
            else:
                self._requests.append(told)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What it was sent, all that it has answered included."""
        assert self.process.stdin is not None
        self._asked += 1
        self.process.stdin.write(f"{self._asked}\n")
        self.process.stdin.flush()
        eventually(lambda: self._answered >= self._asked, within_s=PATIENCE_S)
        return self._requests

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def taken(self) -> list[dict[str, Any]]:
        """What was answered with success."""
        return [request for request in self.requests if request["answer"] == 200]

    @property
    def spans(self) -> list[dict[str, Any]]:
        return [
            span
            for request in self.taken
            for resource in request["body"]["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def named(self, name: str) -> dict[str, Any]:
        """The one span of that name, once it is there."""
        (span,) = eventually(
            lambda: [span for span in self.spans if span["name"] == name], within_s=PATIENCE_S
        )
        return span

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        self.process.stdout.close()


Start = Callable[..., Receiver]


@pytest.fixture
def receiver_of() -> Iterator[Start]:
    """Starts receivers that are ended with the test."""
    with contextlib.ExitStack() as stack:

        def start(*answers: str, port: int = 0) -> Receiver:
            receiver = Receiver(*answers, port=port)
            stack.callback(receiver.end)
            return receiver

        yield start


@pytest.fixture(scope="module")
def shared() -> Iterator[Receiver]:
    """One receiver for all runs that have nothing else to ask of it."""
    receiver = Receiver()
    yield receiver
    receiver.end()


@pytest.fixture
def receiver(shared: Receiver) -> Receiver:
    shared.requests.clear()
    return shared


def traced(endpoint: str | None, log: Kept | None = None, **arguments: Any) -> Tracing:
    return start_tracing(
        **{
            "enabled": True,
            "endpoint": endpoint,
            "trace_parent": None,
            "resource": {"service.name": "agent-x", "baqup.job.id": "job-1"},
            "log": log or Kept(),
            "clean": lambda text: text,
            **arguments,
        }
    )


def attributes_of(holder: dict[str, Any]) -> dict[str, Any]:
    """Attributes as a mapping from names to values."""
    return {
        pair["key"]: next(iter(pair["value"].values()), None)
        for pair in holder.get("attributes", ())
    }


def hexadecimal(encoded: str) -> str:
    return base64.b64decode(encoded).hex()


def parent_of(span: dict[str, Any]) -> str | None:
    return span.get("parentSpanId")


def spans_in(request: dict[str, Any]) -> list[Any]:
    return request["body"]["resourceSpans"][0]["scopeSpans"][0]["spans"]


#: Variables with which OpenTelemetry's own parts could be bent.
FOREIGN = {
    "OTEL_SDK_DISABLED": "true",
    "OTEL_SERVICE_NAME": "somebody-else",
    "OTEL_RESOURCE_ATTRIBUTES": "a=b",
    "OTEL_TRACES_SAMPLER": "always_off",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces",
    "OTEL_EXPORTER_OTLP_HEADERS": "x-foreign=1",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "no number",
    "OTEL_BSP_MAX_QUEUE_SIZE": "-1",
}


def run_traced(**wish: Any) -> dict[str, Any]:
    """Run `traced.py` in a process of its own; its stderr must stay empty."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.observability.traced", json.dumps(wish)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **FOREIGN},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stderr == ""
    result: dict[str, Any] = json.loads(done.stdout)
    return result
