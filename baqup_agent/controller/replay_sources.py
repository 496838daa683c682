"""What dead agents left that can be replayed, and what is told of it (Contract §3)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from baqup_agent.bus.outbox import Found, Outbox, outboxes
from baqup_agent.contract import ORPHAN_STATUS_NAME
from baqup_agent.controller.messages import MAX_MESSAGE_BYTES, Malformed, about, read_json
from baqup_agent.errors import UsageError, describe

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
        return outcome_of_orphan(source)
    outcome = outcome_of_outbox(source)
    if outcome.result != FOUND:
        return outcome
    try:
        with closing(source.open(repair=False)) as outbox:
            return counted(outcome, outbox)
    except OSError as error:
        return unopened(outcome, error)
    except Exception as error:  # noqa: BLE001  one odd source must not hide the others
        return evolve(outcome, result=UNUSABLE, problem=describe(error))


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


def outcome_of(source: Source) -> Outcome:
    """Return what a source says of itself, before it is opened."""
    if isinstance(source, Orphan):
        return outcome_of_orphan(source)
    return outcome_of_outbox(source)


def outcome_of_orphan(orphan: Orphan) -> Outcome:
    """Return what a status file holds."""
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


def outcome_of_outbox(found: Found) -> Outcome:
    """Return whose an outbox is, and whether it can be opened at all."""
    identity = found.identity
    result = ALIVE if found.alive else UNUSABLE if found.unusable else FOUND
    return Outcome(
        found.path, "outbox", identity.job_id, identity.agent_id, result, problem=found.unusable
    )


def unopened(outcome: Outcome, error: OSError) -> Outcome:
    """Return what becomes of an outbox that could not be opened."""
    if isinstance(error, BlockingIOError):
        return evolve(outcome, result=ALIVE)
    if error.errno in _PASSING:
        return evolve(outcome, result=WAITING, problem=error.strerror or str(error))
    return evolve(outcome, result=UNUSABLE, problem=error.strerror or str(error))


def counted(outcome: Outcome, outbox: Outbox) -> Outcome:
    """Return the outcome with what an outbox holds."""
    return evolve(
        outcome,
        events=outbox.found_events,
        statuses=outbox.found_statuses,
        size_bytes=outbox.used_bytes,
        corrupt=outbox.corrupt,
        dropped=dict(outbox.dropped),
    )
