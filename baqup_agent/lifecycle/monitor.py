"""The contract's five-state machine, followed in lock-step with the one that runs."""

from __future__ import annotations

from functools import lru_cache

from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.declaration import CONTRACT, SEPARATOR
from baqup_agent.lifecycle.history import Step

_EDGES = {(edge.trigger, edge.source, edge.target) for edge in CONTRACT.transitions}
_PHASES = {phase.value: phase for phase in AgentState}
_TRIGGERS = frozenset(CONTRACT.triggers)


class Divergence(Exception):
    """The running machine took a step that the contract's does not know; a bug, never silent."""

    def __init__(self, step: Step, phase: AgentState) -> None:
        self.step = step
        self.phase = phase
        super().__init__(
            f"the lifecycle left the contract: {step.trigger!r} led from {step.source!r} to "
            f"{step.target!r} while the contract is in {phase.value!r}"
        )


class Monitor:
    """Follows the steps of a machine by their phases.

    Args:
        phase: where the machine begins.
    """

    def __init__(self, phase: AgentState) -> None:
        self.phase = phase

    def follow(self, step: Step) -> None:
        """Take the contract's own step for one that the machine took.

        Raises:
            Divergence: there is none, or the machine was not where the contract is.
        """
        source, target = _contracts_move(step.trigger, step.source, step.target)
        if source is not self.phase or target is None:
            raise Divergence(step, self.phase)
        self.phase = target


@lru_cache(maxsize=4096)  # asked at every transition, and there are as many answers as edges
def _contracts_move(
    trigger: str, source: str, target: str
) -> tuple[AgentState | None, AgentState | None]:
    """The phase that a step leaves, and the one it leads to; None where the contract has none.

    Within a phase, under a trigger of the author's, the contract does not move.
    """
    before, after = (_PHASES.get(name.partition(SEPARATOR)[0]) for name in (source, target))
    stays = before is after and trigger not in _TRIGGERS
    known = stays or (trigger, before, after) in _EDGES
    return before, after if known else None
