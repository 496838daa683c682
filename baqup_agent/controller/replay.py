"""Publishes what dead agents left: their outboxes, and the statuses they wrote (Contract §3).

It goes over the very transports that an agent uses, so that repeating it does no harm: an event
that is there already is not written twice, and a newer status is not overwritten. Whatever the
bus has not confirmed stays where it is.

What lies on a disk need not be what was written. A record of which nothing can be made is given up
as an agent would give it up, and no source keeps another from being sent.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from baqup_agent.bus.backlog import BATCH_BYTES, BATCH_RECORDS, Batch
from baqup_agent.bus.backoff import Backoff
from baqup_agent.bus.client import open_transport
from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.outbox import Found, Outbox, Record, outboxes
from baqup_agent.bus.outbox.record import STATUS
from baqup_agent.bus.transport import Transport
from baqup_agent.config.settings import BusSettings
from baqup_agent.contract import ORPHAN_STATUS_NAME
from baqup_agent.controller.messages import MAX_MESSAGE_BYTES, Malformed, about, read_json
from baqup_agent.errors import BusRefused, UsageError, describe

#: Attempts in a row that fail until the bus counts as out of reach.
ATTEMPTS = 4

#: What became of a source.
PUBLISHED = "published"
FOUND = "found"
WAITING = "waiting"
ALIVE = "alive"
UNUSABLE = "unusable"

#: What ails the machine rather than the file, and may pass.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EINTR})


@frozen
class Orphan:
    """An orphan status file.

    Attributes:
        path: the file.
        job_id: the job whose directory it is in.
        message: the status; None if the file holds none.
        problem: why it holds none, as one line.
        size_bytes: length of the file.
    """

    path: Path
    job_id: str
    message: dict[str, Any] | None
    problem: str | None
    size_bytes: int


#: Anything that can be replayed.
Source = Found | Orphan


@frozen
class Outcome:
    """What a source holds, and what became of it.

    Attributes:
        path: the outbox's directory, or the status file.
        kind: ``outbox`` or ``status``.
        job_id: whose it is.
        agent_id: likewise.
        result: ``published`` (all of it, and an outbox is gone), ``found`` (nothing was to be
            sent), ``waiting`` (the bus was out of reach, or the files for now: it is
            kept), ``alive`` (its process lives, which sends it by itself) or ``unusable``.
        events: how many it holds that the bus has not confirmed before.
        statuses: likewise.
        size_bytes: how many bytes those have.
        corrupt: how many records are damaged, and skipped.
        rejected: how many the bus will never take.
        dropped: how many events its process refused for want of room, by severity.
        problem: why it is unusable or waits, which records were given up, or what could not be
            removed, as one line.
    """

    path: Path
    kind: str
    job_id: str
    agent_id: str | None
    result: str = FOUND
    events: int = 0
    statuses: int = 0
    size_bytes: int = 0
    corrupt: int = 0
    rejected: int = 0
    dropped: dict[str, int] = field(factory=dict)
    problem: str | None = None


def find(directory: Path) -> list[Source]:
    """Return what can be replayed of a directory: outboxes by job and age, then statuses.

    Args:
        directory: ``BAQUP_BUS_FALLBACK_DIR``, or one job's or one agent's directory in it; or a
            staging root, or a job's directory in it.

    Raises:
        UsageError: it is no directory that can be read.
    """
    try:
        real = directory.resolve()  # the one that was named may be a link
        return [*outboxes(real), *_orphans(real)]
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"{directory} cannot be searched: {reason}; name a fallback directory of agents, "
            "a staging root, or a job's directory in one of them"
        ) from error


def look(source: Source) -> Outcome:
    """Tell what a source holds, without changing anything."""
    if isinstance(source, Orphan):
        return _outcome_of_orphan(source)
    outcome = _outcome_of_outbox(source)
    if outcome.result != FOUND:
        return outcome
    try:
        with closing(source.open(repair=False)) as outbox:
            return _counted(outcome, outbox)
    except OSError as error:
        return _unopened(outcome, error)
    except Exception as error:  # noqa: BLE001  one odd source must not hide the others
        return evolve(outcome, result=UNUSABLE, problem=describe(error))


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
            return evolve(_outcome_of(source), result=UNUSABLE, problem=describe(error))

    def _publish_orphan(self, orphan: Orphan) -> Outcome:
        outcome = _outcome_of_orphan(orphan)
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
        outcome = _outcome_of_outbox(found)
        if outcome.result != FOUND:
            return outcome
        try:
            outbox = found.open()
        except OSError as error:
            return _unopened(outcome, error)
        outcome = _counted(outcome, outbox)
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

        def send_some() -> bool:
            # After a failure it is read anew: a part of what was read may have been confirmed.
            outbox.rewind()
            records = outbox.read(BATCH_RECORDS, BATCH_BYTES)
            for batch in _batches(outbox, records, lost):
                self._deliver(batch, transport, lost)
            return bool(records)

        while self._persist(transport, send_some):
            pass

    def _deliver(self, batch: Batch, transport: Transport, lost: list[str]) -> None:
        try:
            batch.send(transport)
        except (BusUnavailable, BusRefused, OSError):
            raise  # none of them is the message's fault
        except Exception as error:  # noqa: BLE001  one bad message must not hold up the others
            if len(batch.messages) > 1:
                for single in batch.single():
                    self._deliver(single, transport, lost)
                return
            lost.append(f"record {batch.tickets[0]}: {describe(error)}")
        batch.settle()

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


def _batches(outbox: Outbox, records: Sequence[Record], lost: list[str]) -> Iterator[Batch]:
    """Yield what can be sent together: events that follow each other, or a status.

    Each has to be settled before the next is asked for. A record that holds no message is noted
    in ``lost`` and let go.
    """
    waiting: list[tuple[int, dict[str, Any]]] = []
    for record in records:
        message, problem = _message(record)
        if waiting and (problem or record.kind == STATUS):
            yield _batch(outbox, waiting)
            waiting = []
        if message is None:
            lost.append(f"record {record.ticket}: {problem}")
            outbox.acknowledge(record.ticket)
        elif record.kind == STATUS:
            yield _batch(outbox, [(record.ticket, message)])
        else:
            waiting.append((record.ticket, message))
    if waiting:
        yield _batch(outbox, waiting)


def _batch(outbox: Outbox, read: Sequence[tuple[int, dict[str, Any]]]) -> Batch:
    return Batch(outbox, [message for _, message in read], [ticket for ticket, _ in read])


def _message(record: Record) -> tuple[dict[str, Any] | None, str | None]:
    """Return what a record says, or else why it says nothing."""
    try:
        message = json.loads(record.text)
    except (ValueError, RecursionError) as error:
        return None, describe(error)
    if not isinstance(message, dict) or message.get("type") != record.kind:
        return None, f"it is no {record.kind}"
    return message, None


def _orphans(directory: Path) -> Iterator[Orphan]:
    """Find the status files in a staging root, or in one job's directory."""
    yield from _orphan_in(directory, directory.name)
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for name in names:
        yield from _orphan_in(directory / name, name)


def _orphan_in(directory: Path, job_id: str) -> Iterator[Orphan]:
    path = directory / ORPHAN_STATUS_NAME
    if not os.path.lexists(path):
        return
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123  never through a link
            content = file.read(MAX_MESSAGE_BYTES + 1)
    except OSError as error:
        yield Orphan(path, job_id, None, error.strerror or str(error), 0)
        return
    try:
        message = about(job_id, read_json(content))
    except Malformed as error:
        yield Orphan(path, job_id, None, str(error), len(content))
        return
    if message.kind != "status":
        yield Orphan(path, job_id, None, f"it is a {message.kind}", len(content))
        return
    yield Orphan(path, job_id, dict(message.wire), None, len(content))


def _outcome_of(source: Source) -> Outcome:
    if isinstance(source, Orphan):
        return _outcome_of_orphan(source)
    return _outcome_of_outbox(source)


def _named(lost: Sequence[str]) -> str | None:
    """Name what was given up: the first of it, and how many more."""
    if not lost:
        return None
    more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
    return f"given up: {lost[0]}{more}"


def _outcome_of_orphan(orphan: Orphan) -> Outcome:
    message = orphan.message
    if message is None:
        problem = f"it holds no status of this job: {orphan.problem}"
        return Outcome(
            orphan.path, "status", orphan.job_id, None, UNUSABLE, corrupt=1, problem=problem
        )
    agent_id = message.get("agent_id")
    return Outcome(
        orphan.path,
        "status",
        orphan.job_id,
        agent_id if isinstance(agent_id, str) else None,
        statuses=1,
        size_bytes=orphan.size_bytes,
    )


def _outcome_of_outbox(found: Found) -> Outcome:
    identity = found.identity
    result = ALIVE if found.alive else UNUSABLE if found.unusable else FOUND
    return Outcome(
        found.path, "outbox", identity.job_id, identity.agent_id, result, problem=found.unusable
    )


def _unopened(outcome: Outcome, error: OSError) -> Outcome:
    if isinstance(error, BlockingIOError):
        return evolve(outcome, result=ALIVE)
    if error.errno in _PASSING:
        return evolve(outcome, result=WAITING, problem=error.strerror or str(error))
    return evolve(outcome, result=UNUSABLE, problem=error.strerror or str(error))


def _counted(outcome: Outcome, outbox: Outbox) -> Outcome:
    return evolve(
        outcome,
        events=outbox.found_events,
        statuses=outbox.found_statuses,
        size_bytes=outbox.used_bytes,
        corrupt=outbox.corrupt,
        dropped=dict(outbox.dropped),
    )
