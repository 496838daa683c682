"""Acts on the liveness of an agent that is a child process: probes it, ends it (Contract §1).

Others may report on the same job: an earlier attempt that never ended, or a dead one whose last
words are sent by the living. The agent of the run is the first that beats after the run has begun.
Should that one be silent and another answer the probe, then the other is the run's: it alone was
asked.
"""

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
        self._patience = patience
        self._began_s = clock.monotonic()
        self._lives: dict[str, Liveness] = {}
        # The run's agent: until its first beat nothing is known but when it was started.
        self._own: str | None = None
        self._unheard = Liveness(self._began_s, patience or Patience())
        self._probed_s: float | None = None
        self._agents: list[str] = []

    def take(self, message: BusMessage) -> Iterator[str]:
        """Take in a message of the job; yields what a person should know about it."""
        self._watch(message, self._clock.monotonic())
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
        if self._patience is None:
            return
        if not seeing:
            self._probed_s = None  # its answer could not arrive
        verdict = self._liveness.look(self._clock.monotonic(), seeing=seeing)
        if verdict.action is Action.PROBE:
            yield f"{_silence(verdict)}: {_send(process, signal.SIGUSR1, 'probed')}"
            self._probed_s = self._clock.monotonic()
            self._liveness.probed(self._probed_s)
        elif verdict.action is Action.KILL:
            yield f"{_silence(verdict)}, nor an answer: {_send(process, signal.SIGKILL, 'killed')}"
            self._liveness.killed()

    @property
    def _liveness(self) -> Liveness:
        return self._unheard if self._own is None else self._lives[self._own]

    def _watch(self, message: BusMessage, now_s: float) -> None:
        # What names no agent is taken to be the run's.
        agent_id = message.agent_id or self._own or ""
        life = self._lives.get(agent_id)
        if life is None:
            life = Liveness(self._began_s, self._patience or Patience())
            self._lives[agent_id] = life
        ended = life.ended
        if not life.take(message, now_s) or ended or not isinstance(message, Heartbeat):
            return
        if self._is_own(agent_id, arrived_s=now_s - message.age_s):
            self._own, self._probed_s = agent_id, None

    def _is_own(self, agent_id: str, *, arrived_s: float) -> bool:
        """Whether the agent whose beat arrived is the run's."""
        if self._own is None:
            return arrived_s >= self._began_s
        answers = self._probed_s is not None and arrived_s >= self._probed_s
        return agent_id == self._own or answers


def _silence(verdict: LifeVerdict) -> str:
    return f"no heartbeat for {verdict.age_s:.0f} s"


def _send(process: AgentProcess, number: signal.Signals, done: str) -> str:
    try:
        sent = process.send(number)
    except PermissionError:
        return "the agent runs as another user and takes no signal"
    return f"{done} by {number.name}" if sent else "the agent has ended"
