"""Events as they were stored: sent on as the texts they are, without being taken apart.

What a process has stored in its outbox, it has written in one form, the one of
`baqup_agent.bus.event_text`. Such a text holds, ready quoted, all that an entry of a stream is made
of. One pattern checks it from end to end, in a fifth of the time that it takes to read the JSON and
to write it again. Whatever has another form is read as any JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from baqup_agent.bus.topology import milliseconds

#: A JSON text as ours are written: the escapes are those of Python's encoder, and no others.
_PLAIN = r'[^"\\\x00-\x1f]*'
_TEXT = rf'"{_PLAIN}(?:\\(?:["\\bfnrt]|u00[01][0-9a-f]){_PLAIN})*"'
_NUMBER = r"(0|[1-9][0-9]{0,17})"

_match_head = re.compile(
    rf'\{{"type":"event","job_id":({_TEXT}),"agent_id":({_TEXT}),"timestamp":'
).match


def _rest(text: str) -> Callable[[str, int], re.Match[str] | None]:
    """Return what matches an event behind its head, given the pattern of its texts."""
    return re.compile(
        rf'"([0-9TZ:.-]*)","seq":{_NUMBER},"severity":({text}),"code":({text}),"message":({text}),'
        rf'"first_occurrence":({text}),"last_occurrence":({text}),"count":{_NUMBER},'
        rf'"sample_paths":(\[(?:{text}(?:,{text})*)?\])\}}'
    ).fullmatch


_match_plain = _rest(f'"{_PLAIN}"')  # most events have no escapes, for which this is quicker
_match_any = _rest(_TEXT)


class Producer(NamedTuple):
    """Whose events begin with a certain text.

    Attributes:
        head: the text, up to the timestamp.
        job_id: the job.
        agent_id: the agent process.
    """

    head: str
    job_id: str
    agent_id: str


class StoredEvent(Mapping[str, Any]):
    """An event in wire form, of which only the text is known until somebody asks for more.

    Attributes:
        text: its JSON.
        producer: whose it is.
    """

    __slots__ = ("_seq", "_time_ms", "_values", "_wire", "producer", "text")

    def __init__(self, text: str, producer: Producer, parts: re.Match[str]) -> None:
        self.text = text
        self.producer = producer
        # One text rather than nine in a tuple: the fewer containers, the less for the collector.
        moment, self._seq, severity, code, message, first, last, count, paths = parts.groups()
        self._values = (
            f'"{moment}","{self._seq}",{severity},{code},{message},{first},{last},"{count}",'
            f"{encode_basestring(paths)}]"
        )
        self._time_ms = milliseconds(moment)
        self._wire: dict[str, Any] | None = None

    def entry_json(self, base_ms: int) -> str:
        """Return its stream id and the values of its fields, as a JSON array of texts.

        The fields are those that `baqup_agent.bus.redis_scripts.APPEND_STORED` names. Their values
        are the ones that `baqup_agent.bus.encoding.to_fields` gives.

        Args:
            base_ms: see `baqup_agent.bus.topology.entry_id`.
        """
        return f'["{max(self._time_ms, base_ms)}-{self._seq}",{self._values}'

    def __getitem__(self, name: str) -> Any:
        """Return a member; the text is read for the first that is not at hand."""
        if self._wire is None:
            if name == "type":
                return "event"
            if name == "seq":
                return int(self._seq)
            if name == "job_id":
                return self.producer.job_id
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of its members."""
        return iter(self._read())

    def _read(self) -> dict[str, Any]:
        if self._wire is None:
            wire: dict[str, Any] = json.loads(self.text)
            self._wire = wire
            return wire
        return self._wire

    def __len__(self) -> int:
        """Return the number of its members."""
        return sum(1 for _ in self)


class EventReader:
    """Reads the stored events of one producer after the other; for one thread at a time."""

    def __init__(self) -> None:
        self._producer = Producer("", "", "")

    def read(self, text: str) -> StoredEvent | None:
        """Return the event; None if its text is not of our own form, which says nothing of it."""
        if not text.isascii() and not _is_unicode(text):
            return None
        producer = self._producer
        if not producer.head or not text.startswith(producer.head):
            head = _match_head(text)
            if head is None:
                return None
            producer = Producer(head[0], json.loads(head[1]), json.loads(head[2]))
            self._producer = producer
        match = _match_any if "\\" in text else _match_plain
        rest = match(text, len(producer.head))
        if rest is None:
            return None
        try:
            return StoredEvent(text, producer, rest)
        except ValueError:  # its timestamp is none
            return None


def _is_unicode(text: str) -> bool:
    """Whether a text is free of half characters, which no server would take."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def stored_by_one(events: Sequence[Mapping[str, Any]]) -> list[StoredEvent]:
    """Return the events if all of them are stored ones of one producer; else nothing."""
    stored = [event for event in events if type(event) is StoredEvent]
    whose = {event.producer for event in stored}
    return stored if len(whose) == 1 and len(stored) == len(events) else []
