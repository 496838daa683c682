"""Whose a message is, when it was made, and its number (Contract §3)."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

from attrs import field, frozen

from baqup_agent.bus.plain import plain_text
from baqup_agent.clock import Clock, TimestampWriter, microseconds, reader_ns, timestamp
from baqup_agent.contract import MESSAGE_TTL_S

#: How far ahead of ours the clock of another process may have been, microseconds.
_AHEAD_US = MESSAGE_TTL_S * 1_000_000


@frozen
class Stamp:
    """What every message says about itself.

    Attributes:
        job_id: the job that the message is about.
        agent_id: the agent process that sent it.
        moment: when it was made; later than that of the stamp before.
        seq: its number within the agent process, from 1.
    """

    job_id: str = field(converter=plain_text)
    agent_id: str = field(converter=plain_text)
    moment: datetime
    seq: int

    def to_wire(self) -> dict[str, Any]:
        """Return the members that this stamp gives to its message."""
        return {
            "job_id": self.job_id,
            "agent_id": self.agent_id,
            "timestamp": timestamp(self.moment),
            "seq": self.seq,
        }


class Stamper:
    """Makes the stamps of one agent process; any thread may ask for one.

    Args:
        job_id: goes into every stamp.
        agent_id: likewise.
        clock: tells the time. Each stamp is later than the one before, by a microsecond if the
            clock stands still or steps back, because a reader discards whatever is not newer than
            what it has.
    """

    def __init__(self, job_id: str, agent_id: str, clock: Clock) -> None:
        self.job_id = job_id
        self.agent_id = agent_id
        self._read_ns = reader_ns(clock)
        self._lock = threading.Lock()
        self._writer = TimestampWriter()
        self._latest_us = self._read_ns() // 1000 - 1
        self._seq = 0

    def next(self) -> Stamp:
        """Return the next stamp."""
        text, seq = self.next_text()
        return Stamp(self.job_id, self.agent_id, datetime.fromisoformat(text), seq)

    def next_text(self) -> tuple[str, int]:
        """Return the timestamp and the number of the next stamp."""
        with self._lock:
            time_us = self._read_ns() // 1000
            if time_us <= self._latest_us:
                time_us = self._latest_us + 1
            self._latest_us = time_us
            self._seq = seq = self._seq + 1
            return self._writer.write(time_us), seq

    def follow(self, moment: str) -> None:
        """Stamp later than ``moment`` from here on, a timestamp that another process has written.

        Its clock may have been ahead; what it said would hide what this one says. A time that is
        further ahead than messages are kept is nobody's clock and is passed over.
        """
        try:
            other = datetime.fromisoformat(moment)
        except ValueError:
            return
        if other.tzinfo is None or microseconds(other) - self._read_ns() // 1000 > _AHEAD_US:
            return
        with self._lock:
            self._latest_us = max(self._latest_us, microseconds(other))
