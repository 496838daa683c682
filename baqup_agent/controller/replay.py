"""Publishes what dead agents left: their outboxes, and the statuses they wrote (Contract §3).

It goes over the very transports that an agent uses, so that repeating it does no harm: an event
that is there already is not written twice, and a newer status is not overwritten. Whatever the
bus has not confirmed stays where it is.

What lies on a disk need not be what was written. A record of which nothing can be made is given up
as an agent would give it up, and no source keeps another from being sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from attrs import evolve

from baqup_agent.bus.backlog import Batch
from baqup_agent.bus.backoff import Backoff
from baqup_agent.bus.configured import open_transport
from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.outbox import Found, Outbox
from baqup_agent.bus.outbox.record import STATUS
from baqup_agent.bus.topology import Wire
from baqup_agent.bus.transport import Transport
from baqup_agent.config.settings import BusSettings
from baqup_agent.controller.read_ahead import Parsed, ReadAhead
from baqup_agent.controller.replay_sources import (
    FOUND,
    PUBLISHED,
    UNUSABLE,
    WAITING,
    Orphan,
    Outcome,
    Source,
    counted,
    look,
    outcome_of,
    outcome_of_orphan,
    outcome_of_outbox,
    unopened,
)
from baqup_agent.errors import BusRefused, describe

#: Attempts in a row that fail until the bus counts as out of reach.
ATTEMPTS = 4


class Replay:
    """Publishes sources to one bus.

    Args:
        settings: the bus, and the prefix of keys where a source does not tell it.
        key_prefix: overrides what sources tell.
        remove_status: whether orphan status files are removed once the bus has them.
        open_bus: opens the way to the bus.
        pause: waits for so many seconds between two attempts.
    """

    def __init__(
        self,
        settings: BusSettings,
        *,
        key_prefix: str | None = None,
        remove_status: bool = False,
        open_bus: Callable[[BusSettings, str], Transport] = open_transport,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._key_prefix = key_prefix
        self._remove_status = remove_status
        self._open_bus = open_bus
        self._pause = pause
        self._backoff = Backoff("exponential", ATTEMPTS)
        self._connected = False
        #: Why the bus is out of reach; None while it is not.
        self.outage: str | None = None

    def run(self, sources: Sequence[Source]) -> Iterator[Outcome]:
        """Publish the sources in order and tell of each; once the bus is gone, none is sent.

        Raises:
            BusRefused: the bus cannot be used with this configuration.
        """
        for source in sources:
            if self.outage is not None:
                seen = look(source)
                yield evolve(seen, result=WAITING) if seen.result == FOUND else seen
            else:
                yield self._publish(source)

    def _publish(self, source: Source) -> Outcome:
        try:
            if isinstance(source, Orphan):
                return self._publish_orphan(source)
            return self._publish_outbox(source)
        except BusRefused:
            raise
        except Exception as error:  # noqa: BLE001  one odd source must not hold up the others
            return evolve(outcome_of(source), result=UNUSABLE, problem=describe(error))

    def _publish_orphan(self, orphan: Orphan) -> Outcome:
        outcome = outcome_of_orphan(orphan)
        message = orphan.message
        if message is None:
            return outcome
        with self._bus(orphan.job_id, None) as transport:
            try:
                self._persist(transport, lambda: transport.send(message))
            except BusUnavailable as error:
                self.outage = str(error)
                return evolve(outcome, result=WAITING)
            except BusRefused:
                raise
            except Exception as error:  # noqa: BLE001  as a publisher gives up a message
                return evolve(outcome, result=UNUSABLE, rejected=1, problem=describe(error))
        if self._remove_status:
            orphan.path.unlink(missing_ok=True)
        return evolve(outcome, result=PUBLISHED)

    def _publish_outbox(self, found: Found) -> Outcome:
        outcome = outcome_of_outbox(found)
        if outcome.result != FOUND:
            return outcome
        try:
            outbox = found.open()
        except OSError as error:
            return unopened(outcome, error)
        outcome = counted(outcome, outbox)
        prefix = outbox.identity.key_prefix
        with closing(outbox), self._bus(outbox.identity.job_id, prefix) as transport:
            lost: list[str] = []
            try:
                self._drain(outbox, transport, lost)
            except BusUnavailable as error:
                self.outage = str(error)
                return evolve(outcome, result=WAITING, rejected=len(lost), problem=_named(lost))
            except OSError as error:
                problem = f"{error.strerror or error}; what is left of it is kept"
                return evolve(outcome, result=WAITING, rejected=len(lost), problem=problem)
        problems = filter(None, [_named(lost), outbox.leftover])
        return evolve(
            outcome,
            result=PUBLISHED,
            corrupt=outbox.corrupt,
            rejected=len(lost),
            problem="; ".join(problems) or None,
        )

    def _drain(self, outbox: Outbox, transport: Transport, lost: list[str]) -> None:
        """Send all of an outbox; note in ``lost`` what was given up, and why.

        Raises:
            BusUnavailable: the bus failed too often.
            OSError: the outbox cannot be read now.
        """

        def send(records: list[Parsed]) -> None:
            for batch in _batches(outbox, records, lost):
                for sent, rejected in batch.deliver(transport):
                    if rejected is not None:
                        lost.append(f"record {sent.tickets[0]}: {describe(rejected)}")

        with ReadAhead(outbox) as ahead:
            while self._persist(transport, lambda: ahead.each(send)):
                pass

    def _persist(self, transport: Transport, send: Callable[[], bool]) -> bool:
        """Do it and return its answer, connecting again and again while the bus fails.

        Raises:
            BusUnavailable: it failed too often.
        """
        failures = 0
        while True:
            try:
                if failures or not self._connected:
                    transport.connect()
                    self._connected = True
                return send()
            except BusUnavailable:
                failures += 1
                if failures == ATTEMPTS:
                    raise
                self._pause(self._backoff.pause_s(failures))

    @contextmanager
    def _bus(self, job_id: str, told: str | None) -> Iterator[Transport]:
        """Open the way to the bus; ``told`` is the prefix of keys that the source tells."""
        prefixes = (self._key_prefix, told, self._settings.key_prefix)
        prefix = next(prefix for prefix in prefixes if prefix is not None)
        self._connected = False
        with closing(self._open_bus(evolve(self._settings, key_prefix=prefix), job_id)) as bus:
            yield bus


def _batches(outbox: Outbox, records: Sequence[Parsed], lost: list[str]) -> Iterator[Batch]:
    """Yield what can be sent together: events that follow each other, or a status.

    Each has to be settled before the next is asked for. A record that holds no message is noted
    in ``lost`` and let go.
    """
    waiting: list[tuple[int, Wire]] = []
    for ticket, kind, message, problem in records:
        if waiting and (problem or kind == STATUS):
            yield _batch(outbox, waiting)
            waiting = []
        if message is None:
            lost.append(f"record {ticket}: {problem}")
            outbox.acknowledge(ticket)
        elif kind == STATUS:
            yield _batch(outbox, [(ticket, message)])
        else:
            waiting.append((ticket, message))
    if waiting:
        yield _batch(outbox, waiting)


def _batch(outbox: Outbox, read: Sequence[tuple[int, Wire]]) -> Batch:
    return Batch(outbox, [message for _, message in read], [ticket for ticket, _ in read])


def _named(lost: Sequence[str]) -> str | None:
    """Name what was given up: the first of it, and how many more."""
    if not lost:
        return None
    more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
    return f"given up: {lost[0]}{more}"
