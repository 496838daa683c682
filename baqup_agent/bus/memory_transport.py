"""A bus in memory, for tests of agents: it behaves as a real one and can be told to fail."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any

from baqup_agent.bus.encoding import to_fields, to_json
from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.supersession import Supersession
from baqup_agent.bus.topology import NOTIFY_WORD, PLACES, Wire, key, topic
from baqup_agent.errors import BusRefused


class MemoryTransport:
    """Keeps what a Redis server would keep.

    Args:
        prefix: what every key begins with.

    Attributes:
        hashes: fields of each hash by key.
        streams: entries of each stream by key, oldest first.
        ttl_s: seconds that each key would live after its last message.
        notifications: what was published on ``{prefix}notify``, oldest first.
        messages: every message that was taken, in wire form, oldest first.
        down: set it, and the bus is out of reach until it is cleared.
        refusing: set it, and the bus refuses the credentials.
    """

    def __init__(self, prefix: str = "baqup:") -> None:
        self.prefix = prefix
        self.channel = prefix + NOTIFY_WORD
        self.hashes: dict[str, dict[str, str]] = {}
        self.streams: dict[str, list[dict[str, str]]] = {}
        self.ttl_s: dict[str, int] = {}
        self.notifications: list[str] = []
        self.messages: list[dict[str, Any]] = []
        self.down = False
        self.refusing = False
        self._delivered = Supersession()
        self._connected = False
        self._lock = threading.Lock()

    @property
    def display(self) -> str:
        """What logs call this bus."""
        return "memory"

    def connect(self) -> None:
        """Succeed, unless told otherwise.

        Raises:
            BusUnavailable: `down` is set.
            BusRefused: `refusing` is set.
        """
        self._connected = False
        self._check()
        self._connected = True

    def send(self, message: Wire) -> bool:
        """Take one message, unless it is stale or was taken before.

        Returns:
            Whether it counts; False if a newer one was taken before.

        Raises:
            BusUnavailable: `down` is set, or the bus was not connected.
            BusRefused: `refusing` is set.
        """
        self._check_connected()
        with self._lock:
            if not self._delivered.stale(message):
                self._take(message)
                return True
        return bool(message["type"] == "event")

    def append(self, events: Sequence[Wire], base_ms: int = 0) -> int:  # noqa: ARG002
        """Take events one by one.

        Returns:
            How many: all of them.

        Raises:
            BusUnavailable: `down` is set, or the bus was not connected.
            BusRefused: `refusing` is set.
        """
        for event in events:
            self.send(event)
        return len(events)

    def newest(self, job_id: str) -> str:  # noqa: ARG002
        """Return nothing: no other process writes here.

        Raises:
            BusUnavailable: `down` is set, or the bus was not connected.
            BusRefused: `refusing` is set.
        """
        self._check_connected()
        return ""

    def top_ms(self, job_id: str) -> int:  # noqa: ARG002
        """Return 0: no other process writes here.

        Raises:
            BusUnavailable: `down` is set, or the bus was not connected.
            BusRefused: `refusing` is set.
        """
        self._check_connected()
        return 0

    def close(self) -> None:
        """Disconnect; what was taken is kept for inspection."""
        self._connected = False

    def _check(self) -> None:
        if self.refusing:
            raise BusRefused("the bus in memory refuses the credentials, as it was told to")
        if self.down:
            self._connected = False
            raise BusUnavailable("the bus in memory is down, as it was told to be")

    def _check_connected(self) -> None:
        self._check()
        if not self._connected:
            raise BusUnavailable("the bus in memory is not connected")

    def _take(self, message: Wire) -> None:
        place = PLACES[message["type"]]
        where = key(self.prefix, message["type"], message[place.owner])
        if place.structure == "hash":
            self.hashes[where] = to_fields(message)
        else:
            self.streams.setdefault(where, []).append(to_fields(message))
        self.ttl_s[where] = place.ttl_s
        self.notifications.append(to_json(message))
        self.messages.append(copy.deepcopy(dict(message)))
        self._delivered.note(message)

    def latest(self, kind: str, owner: str) -> dict[str, Any] | None:
        """Return the newest message of a kind for an agent's or a job's id, if there is one."""
        wanted = f"{PLACES[kind].word}:{owner}"
        with self._lock:
            found = [message for message in self.messages if topic(message) == wanted]
        return found[-1] if found else None
