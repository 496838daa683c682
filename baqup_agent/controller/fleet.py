"""All agents that report on a bus, each with its picture and whether it is alive.

An agent is one process. A job that was tried twice has two of them, and what each said is kept
apart by the ``agent_id`` of its messages; what carries none is that agent's of its job which beat
last. Only beats say who that is: events and a status may be what a dead agent had left.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from attrs import define, field

from baqup_agent.clock import Clock, SystemClock
from baqup_agent.controller.liveness import Life, LifeVerdict, Liveness, Patience
from baqup_agent.controller.messages import BusMessage, Heartbeat
from baqup_agent.controller.picture import JobPicture

#: Most agents that are remembered; those that ended longest ago are forgotten first.
MAX_AGENTS = 5000


class AgentKey(NamedTuple):
    """Which agent on which job."""

    job_id: str
    agent_id: str


@define
class AgentPicture:
    """What is known of one agent.

    Attributes:
        key: which one.
        liveness: its state machine.
        first_s: when its first message was seen, on the controller's monotonic clock.
        last_s: when its latest message was seen.
        picture: the latest of everything that it said.
        verdict: what was thought of it last.
    """

    key: AgentKey
    liveness: Liveness
    first_s: float
    last_s: float
    picture: JobPicture = field(factory=JobPicture)
    verdict: LifeVerdict = field(default=LifeVerdict(Life.FRESH, 0.0))

    @property
    def ended(self) -> bool:
        """Whether nothing more is owed by it."""
        return self.verdict.life is Life.ENDED


class Fleet:
    """Takes in the messages of all agents, and judges who is alive.

    Args:
        patience: the limits.
        clock: tells the time.
    """

    def __init__(self, patience: Patience | None = None, clock: Clock | None = None) -> None:
        self._patience = patience or Patience()
        self._clock = clock or SystemClock()
        self._agents: dict[AgentKey, AgentPicture] = {}
        self._latest: dict[str, AgentKey] = {}

    def __len__(self) -> int:
        return len(self._agents)

    def __iter__(self) -> Iterator[AgentPicture]:
        return iter(self._agents.values())

    def take(self, message: BusMessage, now_s: float) -> AgentPicture:
        """Take in one message that arrived at ``now_s``; returns its agent."""
        agent = self._agent(message, now_s)
        age_s = message.age_s if isinstance(message, Heartbeat) else 0.0
        agent.picture.apply(message.wire, now_s - age_s)
        agent.liveness.take(message, now_s)
        agent.last_s = now_s
        return agent

    def look(self, now_s: float, *, seeing: bool = True) -> list[AgentPicture]:
        """Judge all agents; returns those that are thought of otherwise than before.

        Args:
            now_s: the present.
            seeing: whether the bus can be read.
        """
        changed = []
        for agent in self._agents.values():
            before, agent.verdict = agent.verdict, agent.liveness.look(now_s, seeing=seeing)
            if (before.life, before.action) != (agent.verdict.life, agent.verdict.action):
                changed.append(agent)
        self._forget()
        return changed

    def _agent(self, message: BusMessage, now_s: float) -> AgentPicture:
        if message.agent_id:
            key = AgentKey(message.job_id, message.agent_id)
        else:
            key = self._latest.get(message.job_id) or AgentKey(message.job_id, "")
        if isinstance(message, Heartbeat):
            self._latest[message.job_id] = key
        if key not in self._agents:
            age_s = message.age_s if isinstance(message, Heartbeat) else self._age_s(message)
            liveness = Liveness(now_s - age_s, self._patience)
            self._agents[key] = AgentPicture(key, liveness, now_s, now_s)
        return self._agents[key]

    def _age_s(self, message: BusMessage) -> float:
        """How long ago a message was made, by both clocks: a dead agent has left others than beats.

        Nothing better is known of an agent without a beat; its clock may differ from ours.
        """
        try:
            made = datetime.fromisoformat(str(message.wire.get("timestamp")))
            return max(0.0, (self._clock.now() - made).total_seconds())
        except (ValueError, TypeError):
            return 0.0

    def _forget(self) -> None:
        surplus = len(self._agents) - MAX_AGENTS
        if surplus <= 0:
            return
        gone = sorted(self._agents.values(), key=lambda agent: (not agent.ended, agent.last_s))
        for agent in gone[:surplus]:
            del self._agents[agent.key]
            if self._latest.get(agent.key.job_id) == agent.key:
                del self._latest[agent.key.job_id]
