"""What waits in outboxes: that of this process, and before it those of dead ones (Contract §3).

A process that was killed leaves an outbox behind. The next one that works on the same job finds
it, and sends what is in it first, so that events of a job stay in order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from attrs import frozen

from baqup_agent.bus.outage import BusUnavailable, MessageRejected
from baqup_agent.bus.outbox import Outbox, Record
from baqup_agent.bus.outbox.record import EVENT, STATUS
from baqup_agent.bus.stored import EventReader
from baqup_agent.bus.topology import Wire, entry_id
from baqup_agent.bus.transport import Transport
from baqup_agent.errors import BusRefused, describe
from baqup_agent.observability.sink import LogSink

#: Most records, and bytes of them, that are sent at a time. A script holds up the server while it
#: runs, so a batch is kept to a few milliseconds.
BATCH_RECORDS = 500
BATCH_BYTES = 256 * 1024

#: How often ids are decided anew for one batch before the writers of a job are told to wait.
_NEW_BASES = 10


@frozen
class Batch:
    """Records of one outbox and one kind, in order; at least one.

    Attributes:
        outbox: where they wait.
        messages: what they say.
        tickets: under which they wait.
    """

    outbox: Outbox
    messages: Sequence[Wire]
    tickets: Sequence[int]

    @property
    def is_status(self) -> bool:
        """Whether it is a status, which is sent alone."""
        return bool(self.messages[0]["type"] == "status")

    def settle(self) -> None:
        """Note that the batch has arrived, or never will."""
        self.outbox.acknowledge(self.tickets[-1])

    def deliver(
        self, transport: Transport, *, must_count: bool = False
    ) -> Iterator[tuple[Batch, Exception | None]]:
        """Send it; if the bus takes offence at it, message by message.

        One bad message must not hold up the others. It is let go as those are that have arrived.

        Args:
            transport: the way to the bus.
            must_count: whether a status is rejected in whose place the bus holds a newer one.

        Yields:
            What was sent, and why the bus will never take it, or None. It is let go once the next
            is asked for.

        Raises:
            BusUnavailable: the bus did not confirm; what was not yielded may be sent again.
            BusRefused: the credentials do not allow it.
            OSError: the outbox cannot be read at present.
        """
        rejected: Exception | None = None
        try:
            counts = self.send(transport)
        except (BusUnavailable, BusRefused, OSError):
            raise  # none of them is a message's fault
        except Exception as error:  # noqa: BLE001  whatever it is, another time will not do better
            if len(self.messages) > 1:
                for single in self._single():
                    yield from single.deliver(transport)
                return
            rejected = error
        else:
            if must_count and not counts:
                rejected = MessageRejected("the bus holds a newer status of this job")
        yield self, rejected
        self.settle()

    def send(self, transport: Transport) -> bool:
        """Deliver it; see `Transport` for what is raised.

        Returns:
            Whether it counts; False for a status in whose place the bus holds a newer one.
        """
        if self.is_status:
            return transport.send(self.messages[0])
        rest = self
        for _ in range(_NEW_BASES):
            base_ms = _base_ms(rest.outbox, transport, rest.messages[0])
            taken = transport.append(rest.messages, base_ms)
            if taken == len(rest.messages):
                return True
            # Another process has written on this job. What is there is let go before the others
            # get new ids: a repetition must find each of them under the id that it was given.
            if taken:
                rest.outbox.acknowledge(rest.tickets[taken - 1])
                _, rest = rest.split(taken)
            rest.outbox.set_base_ms(transport.top_ms(rest.messages[0]["job_id"]) + 1)
        raise BusUnavailable("other processes keep writing on this job")

    def split(self, at: int) -> tuple[Batch, Batch]:
        """Return the first ``at`` messages and the others."""
        return (
            Batch(self.outbox, self.messages[:at], self.tickets[:at]),
            Batch(self.outbox, self.messages[at:], self.tickets[at:]),
        )

    def _single(self) -> Iterator[Batch]:
        """Yield its messages one by one."""
        for message, ticket in zip(self.messages, self.tickets, strict=True):
            yield Batch(self.outbox, [message], [ticket])


class Backlog:
    """The outboxes of one job, used by the publisher's thread.

    Args:
        own: the outbox of this process.
        find_orphans: returns those of dead processes of the same job, oldest first; asked once.
        log: told what became of them.

    Attributes:
        troubled: whether an outbox could not be read, so that it is worth trying again later.
    """

    def __init__(
        self, own: Outbox, find_orphans: Callable[[], Iterable[Outbox]], log: LogSink
    ) -> None:
        self._own = own
        self._find_orphans = find_orphans
        self._log = log
        self._orphans: Iterator[Outbox] | None = None
        self._orphan: Outbox | None = None
        self._queue: list[Batch] = []
        self._reader = EventReader()
        self.troubled = False

    def next_batch(self) -> Batch | None:
        """Return what to send next, or None while nothing waits or can be read."""
        try:
            while not self._queue:
                source = self._source()
                records = source.read(BATCH_RECORDS, BATCH_BYTES)
                if records:
                    self._queue = self._batches(source, records)
                elif source is self._own:
                    self.troubled = False
                    return None
                else:
                    self._finish(source)
        except OSError as error:
            # Out of descriptors, for instance. Nothing is lost: it is read again in a while.
            if not self.troubled:
                self._log.error("an outbox cannot be read now", reason=describe(error))
            self.troubled = True
            return None
        self.troubled = False
        return self._queue.pop(0)

    def hold_back(self, batch: Batch, seq: int) -> Batch | None:
        """Keep for later what of a batch was published after number ``seq`` of this process.

        Returns:
            What was published before, if there is any.
        """
        early = 0
        if batch.outbox is self._own:
            early = sum(message["seq"] < seq for message in batch.messages)
        if early == len(batch.messages):
            return batch
        first, late = batch.split(early)
        self._queue.insert(0, late)
        return first if early else None

    def rewind(self) -> None:
        """Read again from the first record that has not arrived."""
        self._queue.clear()
        for outbox in filter(None, (self._orphan, self._own)):
            outbox.rewind()

    def sync(self) -> None:
        """Bring to the disk what has not arrived."""
        self._own.sync()

    def close(self) -> None:
        """Let go of the orphan; what is left in it can be found again."""
        if self._orphan is not None:
            self._orphan.close()
            self._orphan = None
        self._orphans = iter(())

    def _source(self) -> Outbox:
        if self._orphan is None:
            if self._orphans is None:
                self._orphans = iter(self._find_orphans())
            self._orphan = next(self._orphans, None)
            if self._orphan is not None:
                self._log.info(
                    "an earlier process left messages of this job; they are sent first",
                    agent=self._orphan.identity.agent_id,
                )
        return self._orphan or self._own

    def _finish(self, orphan: Outbox) -> None:
        orphan.close()
        self._orphan = None
        agent = orphan.identity.agent_id
        if orphan.corrupt:
            self._log.warn(
                "damaged messages of an earlier process are lost",
                agent=agent,
                records=orphan.corrupt,
            )
        if orphan.dropped:
            self._log.warn("an earlier process had given up events", agent=agent, **orphan.dropped)
        if orphan.leftover is not None:
            self._log.warn("an outbox could not be removed", agent=agent, reason=orphan.leftover)

    def _batches(self, outbox: Outbox, records: Sequence[Record]) -> list[Batch]:
        """Cut at each status, which is written in another way than events."""
        batches: list[Batch] = []
        for _, run in groupby(records, key=lambda record: record.ticket * (record.kind == STATUS)):
            read = [(record.ticket, self._message(record)) for record in run]
            if whole := [(ticket, message) for ticket, message in read if message is not None]:
                tickets, messages = zip(*whole, strict=True)
                batches.append(Batch(outbox, messages, tickets))
            if len(whole) < len(read):
                self._log.error(
                    "messages in an outbox are damaged and given up",
                    agent=outbox.identity.agent_id,
                    records=len(read) - len(whole),
                )
        if not batches:
            outbox.acknowledge(records[-1].ticket)
        return batches

    def _message(self, record: Record) -> Wire | None:
        """Return what a record says; None if that is no message."""
        if record.kind == EVENT and (stored := self._reader.read(record.text)) is not None:
            return stored
        try:
            message = json.loads(record.text)
            entry_id(message)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        whole = type(message["seq"]) is int and message["type"] == record.kind
        return message if whole and isinstance(message["job_id"], str) else None


def _base_ms(outbox: Outbox, transport: Transport, first: Wire) -> int:
    """Return the lowest time of the outbox's ids, decided and kept before any of them is used."""
    if outbox.base_ms is None:
        top_ms = transport.top_ms(first["job_id"])
        outbox.set_base_ms(top_ms + 1 if top_ms else 0)
    return outbox.base_ms or 0
