"""Which messages say nothing new: for transports that cannot ask a server (Contract §3)."""

from __future__ import annotations

from baqup_agent.bus.topology import PLACES, Wire, topic


class Supersession:
    """Remembers what was delivered, so that no stale or repeated message is delivered again."""

    def __init__(self) -> None:
        self._latest: dict[str, str] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    def stale(self, message: Wire) -> bool:
        """Whether a newer message of its kind, or the very same one, was delivered before."""
        if PLACES[message["type"]].structure == "stream":
            return bool(message["seq"] <= self._numbers.get(_producer(message), 0))
        return bool(message["timestamp"] < self._latest.get(topic(message), ""))

    @property
    def latest(self) -> str:
        """The newest timestamp of a status or progress; empty for none."""
        known = [
            moment for where, moment in self._latest.items() if not where.startswith("heartbeat")
        ]
        return max(known, default="")

    def note(self, message: Wire) -> None:
        """Remember that ``message`` was delivered."""
        if PLACES[message["type"]].structure == "stream":
            producer = _producer(message)
            self._numbers[producer] = max(message["seq"], self._numbers.get(producer, 0))
        else:
            where = topic(message)
            self._latest[where] = max(message["timestamp"], self._latest.get(where, ""))


def _producer(message: Wire) -> tuple[str, str]:
    return topic(message), message["agent_id"]
