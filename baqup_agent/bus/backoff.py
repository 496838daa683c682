"""How long to wait between attempts to reach the bus (``BAQUP_BUS_RECONNECT_*``)."""

from __future__ import annotations

import random
from collections.abc import Callable

from attrs import field, frozen

from baqup_agent.errors import ConfigError

#: Longest pause, seconds. A heartbeat lives for 30 s and three lost ones count as death, so a bus
#: that is back is found well within that time.
LONGEST_S = 10.0

#: The strategies: seconds to wait after the n-th failure in a row, before cap and jitter.
STRATEGIES: dict[str, Callable[[int], float]] = {
    "constant": lambda _failures: 1.0,
    "linear": lambda failures: 0.5 * failures,
    "exponential": lambda failures: 0.25 * 2.0 ** min(failures - 1, 16),
}


def _check_strategy(_backoff: object, _attribute: object, value: str) -> None:
    if value not in STRATEGIES:
        raise ConfigError(
            f"BAQUP_BUS_RECONNECT_BACKOFF is {value!r}; it must be one of {', '.join(STRATEGIES)}"
        )


@frozen
class Backoff:
    """Pauses that grow with the failures in a row, by full jitter spread over many agents.

    Attributes:
        strategy: ``constant``, ``linear`` or ``exponential``.
        max_attempts: after so many failures the pause no longer grows. An agent does not give the
            bus up then, since its report is still owed: it goes on at the longest pause reached.
        draw: chooses a pause between the two seconds that it is given.
    """

    strategy: str = field(default="exponential", validator=_check_strategy)
    max_attempts: int = 10
    draw: Callable[[float, float], float] = random.uniform

    def ceiling_s(self, failures: int) -> float:
        """Return the longest pause, in seconds, after ``failures`` failures in a row."""
        counted = max(1, min(failures, self.max_attempts))
        return min(LONGEST_S, STRATEGIES[self.strategy](counted))

    def pause_s(self, failures: int) -> float:
        """Return the pause to make now, in seconds: anything from nothing to the ceiling."""
        return self.draw(0.0, self.ceiling_s(failures))
