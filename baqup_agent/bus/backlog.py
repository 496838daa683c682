"""What waits in outboxes: that of this process, and before it those of dead ones (Contract §3).

A process that was killed leaves an outbox behind. The next one that works on the same job finds
it, and sends what is in it first, so that events of a job stay in order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from attrs import frozen

from baqup_agent.bus.outbox import Outbox, Record
from baqup_agent.bus.topology import Wire
from baqup_agent.bus.transport import Transport
from baqup_agent.observability.sink import LogSink

#: Most records, and bytes of them, that are sent at a time. A script holds up the server while it
#: runs, so a batch is kept to a few milliseconds.
BATCH_RECORDS = 500
BATCH_BYTES = 256 * 1024


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

    def send(self, transport: Transport) -> None:
        """Deliver it; see `Transport` for what is raised."""
        if self.is_status:
            transport.send(self.messages[0])
            return
        transport.append(self.messages, _base_ms(self.outbox, transport, self.messages[0]))

    def split(self, at: int) -> tuple[Batch, Batch]:
        """Return the first ``at`` messages and the others."""
        return (
            Batch(self.outbox, self.messages[:at], self.tickets[:at]),
            Batch(self.outbox, self.messages[at:], self.tickets[at:]),
        )

    def single(self) -> Iterator[Batch]:
        """Yield its messages one by one."""
        for message, ticket in zip(self.messages, self.tickets, strict=True):
            yield Batch(self.outbox, [message], [ticket])


class Backlog:
    """The outboxes of one job, used by the publisher's thread.

    Args:
        own: the outbox of this process.
        find_orphans: returns those of dead processes of the same job, oldest first; asked once.
        log: told what became of them.
    """

    def __init__(
        self, own: Outbox, find_orphans: Callable[[], Sequence[Outbox]], log: LogSink
    ) -> None:
        self._own = own
        self._find_orphans = find_orphans
        self._log = log
        self._orphans: list[Outbox] | None = None
        self._queue: list[Batch] = []

    def next_batch(self) -> Batch | None:
        """Return what to send next, or None while nothing waits."""
        if self._orphans is None:
            self._orphans = list(self._find_orphans())
        while not self._queue:
            source = self._orphans[0] if self._orphans else self._own
            self._queue = _batches(source, source.read(BATCH_RECORDS, BATCH_BYTES))
            if self._queue:
                break
            if source is self._own:
                return None
            self._finish(self._orphans.pop(0))
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

    def _finish(self, orphan: Outbox) -> None:
        orphan.close()
        agent = orphan.identity.agent_id
        if orphan.corrupt:
            self._log.warn("damaged messages of an earlier process are lost",
                           agent=agent, records=orphan.corrupt)  # fmt: skip
        if orphan.dropped:
            self._log.warn("an earlier process had given up events",
                           agent=agent, **orphan.dropped)  # fmt: skip
        if orphan.leftover is not None:
            self._log.warn("an outbox could not be removed", agent=agent, reason=orphan.leftover)

    def rewind(self) -> None:
        """Read again from the first record that has not arrived."""
        self._queue.clear()
        for outbox in (*(self._orphans or ()), self._own):
            outbox.rewind()

    def sync(self) -> None:
        """Bring to the disk what has not arrived."""
        self._own.sync()

    def close(self) -> None:
        """Let go of the orphans; what is left in them can be found again."""
        for outbox in self._orphans or ():
            outbox.close()
        self._orphans = []


def _batches(outbox: Outbox, records: Sequence[Record]) -> list[Batch]:
    """Cut at each status, which is written in another way than events."""
    batches = []
    for _, run in groupby(records, key=lambda record: record.ticket * (record.kind == "status")):
        group = list(run)
        messages = [json.loads(record.text) for record in group]
        batches.append(Batch(outbox, messages, [record.ticket for record in group]))
    return batches


def _base_ms(outbox: Outbox, transport: Transport, first: Wire) -> int:
    """Return the lowest time of the outbox's ids, decided and kept before any of them is used."""
    if outbox.base_ms is None:
        top_ms = transport.top_ms(first["job_id"])
        outbox.set_base_ms(top_ms + 1 if top_ms else 0)
    return outbox.base_ms or 0
