"""What is wrong on a bus: all of it counted, each kind of it told once."""

from __future__ import annotations

from collections import deque
from typing import Any

from baqup_agent.controller.messages import BusMessage

#: Most kinds of trouble that are told; the bus is open to anybody, and notes are for people.
_MOST_TOLD = 20

#: Most broken keys that are remembered, so that each is counted once.
_MOST_STORED = 10_000


class Complaints:
    """Counts what cannot be understood, and keeps notes on it until somebody asks.

    Attributes:
        unreadable: how many things were no messages, or had members that break the contract.
    """

    def __init__(self) -> None:
        self.unreadable = 0
        self._stored: dict[str, object] = {}
        self._told: set[str] = set()
        self._notes: deque[str] = deque()  # filled by one thread, emptied by another

    def refuse(self, where: str, why: str) -> None:
        """Count something that is no message."""
        self._count(f"{where} is passed over: {why}")

    def refuse_stored(self, where: str, kind: str, why: str, seen: object) -> None:
        """Count what a key holds, once for each thing that it holds.

        Args:
            where: the key.
            kind: what should be stored there.
            why: what is wrong with it.
            seen: what tells it from another thing under the same key.
        """
        if self._stored.get(where) == seen:
            return
        if len(self._stored) >= _MOST_STORED:
            self._stored.clear()
        self._stored[where] = seen
        self.refuse(f"a stored {kind}", why)

    def answer(self, where: str, kind: str, answer: Any) -> Any:
        """Return a server's answer about a key, or nothing if the key holds something else.

        Raises:
            Exception: the answer, if it is any other error: it concerns more than this key.
        """
        if not isinstance(answer, Exception):
            return answer
        if "WRONGTYPE" not in str(answer):
            raise answer
        self.refuse_stored(where, kind, "the key holds another type of value", "WRONGTYPE")
        return []

    def inspect(self, message: BusMessage) -> None:
        """Count a message that has flaws."""
        if message.flaws:
            self._count(
                f"a {message.kind} breaks the contract in {', '.join(message.flaws)}; "
                "these members are set aside"
            )

    def note(self, text: str) -> None:
        """Keep a note."""
        self._notes.append(text)

    def take(self) -> list[str]:
        """Return the notes since last asked."""
        return [self._notes.popleft() for _ in range(len(self._notes))]

    def _count(self, text: str) -> None:
        self.unreadable += 1
        if text not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(text)
            self.note(f"{text}; more like it are only counted")
