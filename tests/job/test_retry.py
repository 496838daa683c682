"""Attempts and pauses (Contract §2, §5)."""

from __future__ import annotations

import pytest

from baqup_agent.errors import BaqupError, JobCancelled, SourceUnavailable
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.job.retry import Retry, pause
from baqup_agent.testing import ManualClock


@pytest.mark.parametrize(
    ("backoff", "pauses"),
    [
        ("constant", [1, 1, 1, 1, 1, 1, 1]),
        ("linear", [1, 2, 3, 4, 5, 6, 7]),
        ("exponential", [1, 2, 4, 8, 16, 32, 60]),
        ("fibonacci", [1, 1, 2, 3, 5, 8, 13]),
    ],
)
def test_pauses_grow_as_the_backoff_says(backoff: str, pauses: list[float]) -> None:
    """Seconds after the first, second … failure; a minute is the longest."""
    assert [pause(backoff, attempt) for attempt in range(1, 8)] == pauses
    assert pause(backoff, 10**6) == (1 if backoff == "constant" else 60)


class Scene:
    def __init__(self, attempts_max: int = 3) -> None:
        self.clock = ManualClock()
        self.told: list[tuple[int, str]] = []
        self.retry = Retry(
            attempts_max=attempts_max,
            backoff="linear",
            sleep=self.clock.advance,
            clock=self.clock,
            on_retry=lambda attempt, error: self.told.append((attempt, str(error))),
        )
        self.calls = 0

    def fail_until(self, success: int) -> str:
        self.calls += 1
        self.clock.advance(0.5)
        if self.calls < success:
            raise ConnectionResetError(f"call {self.calls}")
        return "done"


def test_a_success_ends_the_attempts() -> None:
    """The value is returned, and each failure before it was told."""
    scene = Scene()

    assert scene.retry.call(lambda: scene.fail_until(3), (OSError,)) == "done"
    assert scene.told == [(1, "call 1"), (2, "call 2")]
    assert scene.clock.monotonic() == 3 * 0.5 + 1 + 2


def test_the_last_failure_lists_every_attempt() -> None:
    """Number, time, error and duration of each stand in the error."""
    scene = Scene(attempts_max=2)

    with pytest.raises(SourceUnavailable) as caught:
        scene.retry.call(lambda: scene.fail_until(9), (OSError,))

    assert list(caught.value.attempts) == [
        {
            "attempt": 1,
            "timestamp": "2026-01-15T03:00:00.000000Z",
            "error": "ConnectionResetError: call 1",
            "duration_ms": 500,
        },
        {
            "attempt": 2,
            "timestamp": "2026-01-15T03:00:01.500000Z",
            "error": "ConnectionResetError: call 2",
            "duration_ms": 500,
        },
    ]
    assert caught.value.to_wire()["root_cause"]["message"] == "ConnectionResetError: call 2"


def test_one_of_our_errors_keeps_its_class_and_cause() -> None:
    """An error of the tree is raised as it is, with the attempts added."""
    scene = Scene(attempts_max=2)
    own = SourceUnavailable("not there")

    def call() -> None:
        raise own

    with pytest.raises(SourceUnavailable) as caught:
        scene.retry.call(call, (BaqupError,))

    assert caught.value is own
    assert len(own.attempts) == 2
    assert own.to_wire()["root_cause"] is None


def test_an_error_that_was_not_named_is_not_repeated() -> None:
    """Only the errors given are tried again."""
    scene = Scene()

    def call() -> None:
        scene.calls += 1
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        scene.retry.call(call, (OSError,))
    assert scene.calls == 1


def test_cancellation_cuts_a_pause_short() -> None:
    """A job that must stop does not wait for its next attempt."""
    token = CancellationToken()
    scene = Scene()
    scene.retry.sleep = token.sleep
    token.cancel(BaqupError("stop"))

    with pytest.raises(JobCancelled):
        scene.retry.call(lambda: scene.fail_until(9), (OSError,))
    assert scene.calls == 1
