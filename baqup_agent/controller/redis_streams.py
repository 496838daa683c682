"""The streams of events on a Redis bus, each read from where it was left.

A stream is read by XRANGE from behind the last entry that was read, which is XREAD of one stream
without waiting, and works in a cluster, where XREAD cannot take streams of several nodes. With
each page the stream's first and last entries are looked at. If the last lies before what we have
read, or the first is another one than before, the stream was made anew (its key expired, or the
server lost it) or was trimmed: it is then read from its beginning, and what was told from it
before is known by its producer and number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple, TypeAlias

from attrs import define

from baqup_agent.bus.topology import key
from baqup_agent.controller.complaints import Complaints
from baqup_agent.controller.messages import BusMessage, Malformed, about, read_hash
from baqup_agent.controller.novelty import Novelty
from baqup_agent.controller.redis_access import Command, RedisAccess

#: Entries that are read of a stream at once.
_PAGE = 1000

_Entry: TypeAlias = tuple[bytes, dict[bytes, bytes]]


class Page(NamedTuple):
    """What a look at one stream showed.

    Attributes:
        job_id: whose stream it is.
        first: its first entry, or nothing.
        last: its last entry, or nothing.
        entries: those that follow what was read before.
    """

    job_id: str
    first: list[_Entry]
    last: list[_Entry]
    entries: list[_Entry]


@define
class _Stream:
    """How far a job's stream was read.

    Attributes:
        first: id of its first entry when it was read last.
        last: id of the last entry that was read.
        told: highest id that was ever read; what stands up to there may have been told from
            another place.
    """

    first: bytes = b""
    last: bytes = b""
    told: bytes = b"0-0"


class Streams:
    """Reads the streams of any number of jobs.

    Args:
        prefix: what every key begins with.
        novelty: knows what was told.
        complaints: is told what cannot be understood.
    """

    def __init__(self, prefix: str, novelty: Novelty, complaints: Complaints) -> None:
        self._prefix = prefix
        self._novelty = novelty
        self._complaints = complaints
        self._streams: dict[str, _Stream] = {}

    def jobs(self) -> set[str]:
        """The jobs whose streams were looked at."""
        return set(self._streams)

    def forget(self, job_ids: Collection[str]) -> None:
        """Forget how far these jobs' streams were read."""
        for job_id in job_ids:
            self._streams.pop(job_id, None)

    def look(self, bus: RedisAccess, jobs: list[str]) -> list[Page]:
        """Look at the streams of some jobs, all at once."""
        places = [key(self._prefix, "event", job_id) for job_id in jobs]
        commands: list[Command] = []
        for job_id, where in zip(jobs, places, strict=True):
            last = self._streams.setdefault(job_id, _Stream()).last.decode()
            commands += [
                ("XRANGE", where, "-", "+", "COUNT", 1),
                ("XREVRANGE", where, "+", "-", "COUNT", 1),
                ("XRANGE", where, f"({last}" if last else "-", "+", "COUNT", _PAGE),
            ]
        answers = bus.ask(commands)
        found = [
            self._complaints.answer(places[number // 3], "stream of events", answer)
            for number, answer in enumerate(answers)
        ]
        return [Page(job, *found[3 * n : 3 * n + 3]) for n, job in enumerate(jobs)]

    def take(self, page: Page) -> tuple[list[BusMessage], bool]:
        """Take in a page.

        Returns:
            The events that are new, and whether there is more to be read.
        """
        stream = self._streams[page.job_id]
        if _is_other(stream, page):
            self._streams[page.job_id] = _Stream(told=stream.told)
            return [], True
        events = list(self._events(page, told=_number(stream.told)))
        stream.first = page.first[0][0] if page.first else b""
        if page.entries:
            stream.last = page.entries[-1][0]
            stream.told = max(stream.told, stream.last, key=_number)
        return events, len(page.entries) == _PAGE

    def _events(self, page: Page, *, told: tuple[int, int]) -> Iterator[BusMessage]:
        for entry_id, fields in page.entries:
            try:
                message = about(page.job_id, read_hash("event", fields, entry_id=entry_id.decode()))
            except Malformed as error:
                self._complaints.refuse("an entry of a stream", str(error))
                continue
            if self._novelty.admit_event(message, again=_number(entry_id) <= told):
                yield message


def _is_other(stream: _Stream, page: Page) -> bool:
    """Whether a stream is not simply what it was, and perhaps more."""
    if not stream.last:
        return False
    if not page.first or not page.last:
        return True
    lost = _number(page.last[0][0]) < _number(stream.last)
    return lost or page.first[0][0] != stream.first


def _number(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition(b"-")
    return int(milliseconds), int(number)
