"""Repeated attempts with the contract's backoffs, on tenacity (Contract §2, §5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field

from baqup_agent.clock import Clock, timestamp
from baqup_agent.errors import classify, describe

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

#: First pause, and the longest, seconds.
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


@define
class Retry:
    """Calls a function until it succeeds, at most ``attempts_max`` times.

    Attributes:
        attempts_max: most calls.
        backoff: ``linear``, ``exponential``, ``fibonacci`` or ``constant``.
        sleep: waits, and raises when the job must stop.
        clock: times the attempts.
        on_retry: told of each failure that leads to another attempt.
    """

    attempts_max: int
    backoff: str
    sleep: Callable[[float], None]
    clock: Clock
    on_retry: Callable[[int, BaseException], None]
    _attempts: list[dict[str, Any]] = field(factory=list, init=False)

    def call(self, function: Callable[[], T], on: tuple[type[BaseException], ...]) -> T:
        """Return what ``function`` returns.

        Args:
            function: called without arguments.
            on: the errors after which it is called again.

        Raises:
            BaqupError: the last attempt's error, with all attempts listed in it.
        """
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

        retrying = Retrying(
            stop=stop_after_attempt(max(1, self.attempts_max)),
            wait=lambda state: pause(self.backoff, state.attempt_number),
            retry=retry_if_exception_type(on),
            sleep=self.sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            result: T = retrying(lambda: self._timed(function))
        except on as error:
            failure = classify(error)
            failure.attempts = tuple(self._attempts)
            raise failure from failure.__cause__
        return result

    def _timed(self, function: Callable[[], T]) -> T:
        began_s, began_at = self.clock.monotonic(), self.clock.now()
        try:
            return function()
        except Exception as error:
            self._attempts.append(
                {
                    "attempt": len(self._attempts) + 1,
                    "timestamp": timestamp(began_at),
                    "error": describe(error),
                    "duration_ms": round((self.clock.monotonic() - began_s) * 1000),
                }
            )
            raise

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if error is not None:
            self.on_retry(state.attempt_number, error)


def pause(backoff: str, attempt: int) -> float:
    """Return the seconds to wait after the ``attempt``-th failure, counted from 1.

    Raises:
        KeyError: the backoff has no such name.
    """
    factor = _GROWTH[backoff](min(attempt, _CAPPED_AT))
    return min(factor * FIRST_PAUSE_S, LONGEST_PAUSE_S)


def _fibonacci(attempt: int) -> int:
    now, following = 1, 1
    for _ in range(attempt - 1):
        now, following = following, now + following
    return now


#: From this attempt on every growing pause is the longest one.
_CAPPED_AT = 64

#: How the pause grows with the attempt.
_GROWTH: Mapping[str, Callable[[int], int]] = {
    "constant": lambda _: 1,
    "linear": lambda attempt: attempt,
    "exponential": lambda attempt: 2 ** (attempt - 1),
    "fibonacci": _fibonacci,
}
