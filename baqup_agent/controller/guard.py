"""Acts on the liveness of an agent that is a child process: probes it, ends it (Contract §1)."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from baqup_agent.clock import Clock
from baqup_agent.controller.launch import AgentProcess
from baqup_agent.controller.liveness import Action, LifeVerdict, Liveness, Patience
from baqup_agent.controller.messages import BusMessage, Heartbeat


class LifeGuard:
    """Watches the one agent of a run.

    Args:
        patience: the limits; None lets the agent be silent for ever.
        clock: measures time.
    """

    def __init__(self, patience: Patience | None, clock: Clock) -> None:
        self._clock = clock
        self._liveness = None
        self._agents: list[str] = []
        if patience is not None:
            self._liveness = Liveness(clock.monotonic(), patience)

    def take(self, message: BusMessage) -> Iterator[str]:
        """Take in a message of the job; yields what a person should know about it."""
        if self._liveness is not None:
            self._liveness.take(message, self._clock.monotonic())
        agent_id = message.agent_id
        if isinstance(message, Heartbeat) and agent_id and agent_id not in self._agents:
            self._agents.append(agent_id)
            if len(self._agents) == 2:  # noqa: PLR2004  more of them say nothing new
                yield f"two agents report on this job: {' and '.join(self._agents)}"

    def look(self, process: AgentProcess, *, seeing: bool) -> Iterator[str]:
        """Do what is due; yields what was done.

        Args:
            process: the agent.
            seeing: whether the bus can be read.
        """
        if self._liveness is None:
            return
        verdict = self._liveness.look(self._clock.monotonic(), seeing=seeing)
        if verdict.action is Action.PROBE:
            yield f"{_silence(verdict)}: {_send(process, signal.SIGUSR1, 'probed')}"
            self._liveness.probed(self._clock.monotonic())
        elif verdict.action is Action.KILL:
            yield f"{_silence(verdict)}, nor an answer: {_send(process, signal.SIGKILL, 'killed')}"
            self._liveness.killed()


def _silence(verdict: LifeVerdict) -> str:
    return f"no heartbeat for {verdict.age_s:.0f} s"


def _send(process: AgentProcess, number: signal.Signals, done: str) -> str:
    try:
        sent = process.send(number)
    except PermissionError:
        return "the agent runs as another user and takes no signal"
    return f"{done} by {number.name}" if sent else "the agent has ended"
