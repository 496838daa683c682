"""Reads an outbox ahead, so that its next records are parsed while the bus takes those before."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

from baqup_agent.bus.backlog import BATCH_BYTES, BATCH_RECORDS
from baqup_agent.bus.outbox import Outbox, Record
from baqup_agent.bus.outbox.record import EVENT
from baqup_agent.bus.stored import EventReader
from baqup_agent.bus.topology import Wire
from baqup_agent.errors import describe


class Parsed(NamedTuple):
    """A record, and what it says.

    Attributes:
        ticket: under which it waits.
        kind: what the outbox holds it for.
        message: what it says; None if it is no message of that kind.
        problem: why it is none.
    """

    ticket: int
    kind: str
    message: Wire | None
    problem: str | None


class ReadAhead:
    """The records of one outbox in pieces; a context manager, used by one thread.

    Args:
        outbox: what is read; nobody else may read it meanwhile, acknowledging is free.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._reader = EventReader()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="replay")
        self._next: Future[list[Parsed]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown()

    def each(self, send: Callable[[list[Parsed]], None]) -> bool:
        """Hand the next piece to ``send``; return whether there was one.

        What ``send`` raises goes through, and the next call begins again with the first record
        that was not acknowledged: a part of the piece may have arrived.

        Raises:
            OSError: the outbox cannot be read now.
        """
        try:
            records = self._next.result() if self._next is not None else self._read()
            if records:
                self._next = self._pool.submit(self._read)
                send(records)
        except BaseException:
            self._forget()
            raise
        return bool(records)

    def _forget(self) -> None:
        if self._next is not None:
            self._next.exception()  # it reads no more; what it found is read again
            self._next = None
        self._outbox.rewind()

    def _read(self) -> list[Parsed]:
        records = self._outbox.read(BATCH_RECORDS, BATCH_BYTES)
        return [_parsed(record, self._reader) for record in records]


def _parsed(record: Record, reader: EventReader) -> Parsed:
    if record.kind == EVENT and (stored := reader.read(record.text)) is not None:
        return Parsed(record.ticket, record.kind, stored, None)
    try:
        message = json.loads(record.text)
    except (ValueError, RecursionError) as error:
        return Parsed(record.ticket, record.kind, None, describe(error))
    if not isinstance(message, dict) or message.get("type") != record.kind:
        return Parsed(record.ticket, record.kind, None, f"it is no {record.kind}")
    return Parsed(record.ticket, record.kind, message, None)
