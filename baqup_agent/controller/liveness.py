"""Whether an agent is alive, as a controller judges it from its heartbeats (Contract §1).

    age of the latest beat     what it means               what is due
    below 15 s                 fresh
    15 s to 30 s               late (shown amber)
    30 s, three beats          presumed dead (shown red)   a probe: SIGUSR1
    5 s after the probe        dead                        a kill: SIGKILL

An intent adds its ``expected_duration_seconds`` to the 30 seconds. Ten minutes without a beat are
the hard ceiling whatever was announced: the probe is due at the latest 5 seconds before them. A
beat revives, even after the kill was due, and the heartbeat of a final state or a status ends the
watching.

**Which clock.** Agent and controller may stand on machines whose clocks differ by minutes, so a
beat's timestamp is never compared with the controller's time. The age is measured on the
controller's own monotonic clock from the moment at which a beat arrived; a beat that was found
stored is as much older as the bus itself says (the time for which its key has lived). Timestamps
are compared only with each other, those of one agent, and its numbers likewise: a beat of which
neither is above all that were seen is a repetition or stale, and no sign of life. Either suffices,
because the clock of an agent may be set back while its numbers go on.

An agent that was told to beat more seldom than every 10 seconds is probed between its beats, and
answers.

**Blindness.** While the bus cannot be read, silence says nothing, and the agent is not to blame:
its patience begins anew when the bus is back, because the agent has to reconnect as well. The same
holds for a controller that did not look for some time; whoever it missed is probed before killed.

Pure logic: times are handed in, as seconds of one monotonic clock.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import define, field, frozen

from baqup_agent.contract import AgentState
from baqup_agent.controller.messages import BusMessage, Heartbeat, Status

#: The states after which no beat is owed.
FINAL = frozenset({AgentState.TERMINATED, AgentState.FAILED})


class Life(StrEnum):
    """What is thought of an agent."""

    FRESH = "fresh"
    LATE = "late"
    PRESUMED_DEAD = "presumed_dead"
    DEAD = "dead"
    ENDED = "ended"


class Action(StrEnum):
    """What a controller has to do."""

    PROBE = "probe"
    KILL = "kill"


@frozen
class Patience:
    """The times of Contract §1, seconds.

    Attributes:
        late_s: age of the latest beat from which an agent is late.
        presumed_dead_s: age from which it is presumed dead, if it announced nothing.
        probe_s: how long a probe may stay unanswered.
        ceiling_s: age at which it is dead whatever it announced.
    """

    late_s: float = 15.0
    presumed_dead_s: float = 30.0
    probe_s: float = 5.0
    ceiling_s: float = 600.0


@frozen
class LifeVerdict:
    """What is thought of one agent at one moment.

    Attributes:
        life: the word.
        age_s: age of the latest beat, or time since the watching began; without blind times.
        action: what is due now, if anything.
    """

    life: Life
    age_s: float
    action: Action | None = None


@define
class Liveness:
    """Watches one agent.

    Attributes:
        since_s: when the watching began.
        patience: the limits.
    """

    since_s: float
    patience: Patience = field(factory=Patience)
    _intent_s: float = 0.0
    _order: str = ""
    _seq: int = 0
    _probed_s: float | None = None
    _killed: bool = False
    _blind: bool = False
    _ended: bool = False

    def take(self, message: BusMessage, now_s: float) -> bool:
        """Take in a message of this agent that arrived at ``now_s``; True for a sign of life."""
        if isinstance(message, Status):
            self._ended = True
        elif isinstance(message, Heartbeat):
            expected_s = message.intent and message.intent.expected_duration_seconds
            arrived_s = now_s - message.age_s
            news = self.beat(
                arrived_s, order=message.order, seq=message.seq or 0, intent_s=expected_s or 0.0
            )
            if news:
                self._ended = self._ended or message.state in FINAL
            return news
        return False

    def beat(
        self, arrived_s: float, *, order: str = "", seq: int = 0, intent_s: float = 0.0
    ) -> bool:
        """Take in one beat; False if it is no sign of life.

        Args:
            arrived_s: when it reached the bus or us.
            order: its timestamp, in a form that can be compared; empty ones always count.
            seq: its number within the agent's process; 0 if it has none.
            intent_s: the expected duration of an operation that it announces, seconds.
        """
        if order and order <= self._order and seq <= self._seq:
            return False
        self._order, self._seq = max(order, self._order), max(seq, self._seq)
        self._intent_s = max(0.0, intent_s)
        self._restart(max(self.since_s, arrived_s))
        return True

    def look(self, now_s: float, *, seeing: bool = True) -> LifeVerdict:
        """Judge.

        Args:
            now_s: the present.
            seeing: whether the bus could be read lately; if not, nothing is due.
        """
        if self._ended:
            return LifeVerdict(Life.ENDED, self._age_s(now_s))
        if not seeing or self._blind:
            self._blind = not seeing
            self._restart(now_s)
        age_s = self._age_s(now_s)
        if age_s >= self._due_s():
            return self._overdue(age_s, now_s)
        return LifeVerdict(Life.LATE if age_s >= self.patience.late_s else Life.FRESH, age_s)

    @property
    def ended(self) -> bool:
        """Whether nothing more is owed by the agent."""
        return self._ended

    def probed(self, now_s: float) -> None:
        """Note that the probe which was due was sent."""
        self._probed_s = now_s

    def killed(self) -> None:
        """Note that the kill which was due was sent."""
        self._killed = True

    def _due_s(self) -> float:
        """The age at which the agent is presumed dead."""
        latest_s = self.patience.ceiling_s - self.patience.probe_s
        return min(self.patience.presumed_dead_s + self._intent_s, latest_s)

    def _overdue(self, age_s: float, now_s: float) -> LifeVerdict:
        if self._probed_s is None:
            beyond = age_s >= self.patience.ceiling_s
            return LifeVerdict(Life.DEAD if beyond else Life.PRESUMED_DEAD, age_s, Action.PROBE)
        if now_s - self._probed_s < self.patience.probe_s:
            return LifeVerdict(Life.PRESUMED_DEAD, age_s)
        return LifeVerdict(Life.DEAD, age_s, None if self._killed else Action.KILL)

    def _age_s(self, now_s: float) -> float:
        return max(0.0, now_s - self.since_s)

    def _restart(self, now_s: float) -> None:
        self.since_s = now_s
        self._probed_s = None
        self._killed = False
