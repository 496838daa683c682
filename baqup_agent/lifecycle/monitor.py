"""The contract's five-state machine, followed in lock-step with the one that runs."""

from __future__ import annotations

from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.declaration import CONTRACT, SEPARATOR
from baqup_agent.lifecycle.history import Step

_EDGES = {(edge.trigger, edge.source, edge.target) for edge in CONTRACT.transitions}
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
        source, target = _phase(step.source), _phase(step.target)
        if source != self.phase:
            raise Divergence(step, self.phase)
        # Within a phase under a trigger of the author's, the contract does not move.
        stays = source == target and step.trigger not in _TRIGGERS
        if not stays and (step.trigger, source, target) not in _EDGES:
            raise Divergence(step, self.phase)
        self.phase = AgentState(target)


def _phase(name: str) -> str:
    return name.partition(SEPARATOR)[0]
