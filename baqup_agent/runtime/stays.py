"""Which states last, since when, and how long each of them may (Contract §1)."""

from __future__ import annotations

import math
from collections.abc import Callable

from attrs import define, field

from baqup_agent.lifecycle.declaration import Lifecycle, State
from baqup_agent.runtime.deadlines import Limit

#: Returns the longest stay in a state, seconds, and the overrun behind it; None for no limit.
LimitOf = Callable[[State], tuple[float, float] | None]


@define
class Stays:
    """The current leaf and the states around it, each with its limit.

    Attributes:
        lifecycle: the declaration.
        limit_of: knows what the declaration leaves to the configuration.
    """

    lifecycle: Lifecycle
    limit_of: LimitOf
    _limits: dict[str, Limit] = field(factory=dict, init=False)

    def enter(self, source: str | None, target: str, now_s: float) -> tuple[Limit, ...]:
        """Note that ``target`` was entered; return the limits that hold from now on.

        A state around both ends of the transition goes on with the limit it had; what was left,
        the leaf of a transition that stays among them, begins anew.
        """
        around = set() if source is None else set(self._around(source)) & set(self._around(target))
        self._limits = {
            state.name: limit
            for state in self.lifecycle.scopes(target)
            if (
                limit := self._limits.get(state.name)
                if state.name in around
                else self._begun(state, now_s)
            )
            is not None
        }
        return tuple(self._limits.values())

    def left_s(self, now_s: float) -> float:
        """Seconds until the first of the stays is over; infinite where none has a limit."""
        return min((limit.due_s - now_s for limit in self._limits.values()), default=math.inf)

    def holds(self, limit: Limit) -> bool:
        """Whether the stay that ``limit`` belongs to still lasts."""
        return self._limits.get(limit.state) is limit

    def _around(self, name: str) -> list[str]:
        return [state.name for state in self.lifecycle.scopes(name)[:-1]]

    def _begun(self, state: State, now_s: float) -> Limit | None:
        limit = self.limit_of(state)
        return None if limit is None else Limit(state.name, now_s + limit[0], limit[1])
