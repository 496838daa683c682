"""The pauses between attempts to reach the bus."""

from __future__ import annotations

import pytest

from baqup_agent.bus.backoff import LONGEST_S, STRATEGIES, Backoff
from baqup_agent.contract import HEARTBEAT_TTL_S
from baqup_agent.errors import ConfigError


@pytest.mark.parametrize(
    ("strategy", "ceilings"),
    [
        ("constant", [1, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1.5, 2, 2.5, 3, 3.5]),
        ("exponential", [0.25, 0.5, 1, 2, 4, 8, 10]),
    ],
)
def test_pauses_grow_as_the_strategy_says(strategy: str, ceilings: list[float]) -> None:
    """Up to a cap."""
    backoff = Backoff(strategy)

    assert [backoff.ceiling_s(failures) for failures in range(1, 8)] == ceilings


def test_after_the_last_attempt_the_longest_pause_is_kept() -> None:
    """The bus is not given up; the pause just grows no more."""
    backoff = Backoff("exponential", max_attempts=3)

    assert [backoff.ceiling_s(failures) for failures in (3, 4, 1000)] == [1, 1, 1]


def test_a_pause_is_drawn_between_nothing_and_its_ceiling() -> None:
    """Full jitter: many agents do not come back at the same instant."""
    drawn = [Backoff("linear").pause_s(4) for _ in range(300)]

    assert all(0 <= pause <= 2 for pause in drawn)
    assert min(drawn) < 0.5
    assert max(drawn) > 1.5


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_a_bus_that_is_back_is_found_before_the_agent_is_presumed_dead(strategy: str) -> None:
    """No pause comes near the thirty seconds after which a heartbeat is gone."""
    assert Backoff(strategy, max_attempts=10**9).ceiling_s(10**9) <= LONGEST_S
    assert LONGEST_S * 2 < HEARTBEAT_TTL_S


def test_no_attempts_at_all_is_taken_for_one() -> None:
    """A maximum of nought does not make the pauses vanish."""
    assert Backoff("constant", max_attempts=0).ceiling_s(1) == 1


def test_an_unknown_strategy_is_an_error_of_configuration() -> None:
    """It names the variable, the value and what would be valid."""
    with pytest.raises(
        ConfigError,
        match=r"BAQUP_BUS_RECONNECT_BACKOFF is 'fibonacci'.*constant, linear, exponential",
    ):
        Backoff("fibonacci")
