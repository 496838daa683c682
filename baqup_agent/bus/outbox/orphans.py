"""The outboxes that dead processes left behind."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from baqup_agent.bus.outbox import directory, lock
from baqup_agent.bus.outbox.cursor import CURSOR_NAME
from baqup_agent.bus.outbox.incarnation import (
    METADATA_NAME,
    Identity,
    Incarnation,
    closing_on_error,
    discard,
    read_metadata,
    seize,
)
from baqup_agent.bus.outbox.opening import open_incarnation
from baqup_agent.bus.outbox.outbox import Outbox
from baqup_agent.bus.outbox.reserve import RESERVE_NAME
from baqup_agent.bus.outbox.room import Sizes
from baqup_agent.bus.outbox.segment_files import found_segments
from baqup_agent.clock import timestamp
from baqup_agent.errors import describe

#: A dead outbox needs no reserve.
_SIZES = Sizes(reserve_bytes=0)

#: Longest time, in seconds, that a live process leaves its new directory without a lock.
_BIRTH_S = 60.0


def adopt(root: Path, job_id: str, own_agent_id: str) -> Iterator[Outbox]:
    """Take over the outboxes that dead processes of a job left, oldest first, one by one.

    Those of live processes are left alone, and so is what is no outbox, or not ours, or cannot
    be opened or read at present: that is for whoever tries next.

    Args:
        root: ``BAQUP_BUS_FALLBACK_DIR``.
        job_id: the job.
        own_agent_id: this process, whose own outbox is not looked at.

    Yields:
        An outbox, locked. Closing it removes it once all of it is acknowledged. Each is opened
        when it is asked for: with the one before closed, no more than one is open at a time.
    """
    for name in _by_age(root, job_id, own_agent_id):
        adopted = None
        with contextlib.suppress(OSError), _job_directory(root, job_id) as parent:
            path = root / job_id / name
            adopted = _open(path, parent, enter=directory.enter, repair=True)
        if adopted is not None:
            yield adopted


def _by_age(root: Path, job_id: str, own_agent_id: str) -> list[str]:
    """Return what may be outboxes of a job, oldest first, and sweep away what was never one."""
    found: list[tuple[str, str, str]] = []
    with contextlib.suppress(OSError), _job_directory(root, job_id) as parent:
        for name in directory.directories_in(parent):
            if name != own_agent_id:
                with contextlib.suppress(OSError):
                    identity = _identity_in(root / job_id / name, parent)
                    found.append((identity.created_at, identity.agent_id, name))
        _sweep(parent)
    return [name for _, _, name in sorted(found)]


@contextmanager
def _job_directory(root: Path, job_id: str) -> Iterator[int]:
    directory.check_component("job id", job_id)
    base = directory.enter_root(root, create=False)
    try:
        parent = directory.enter(job_id, base, root / job_id)
    finally:
        os.close(base)
    try:
        yield parent
    finally:
        os.close(parent)


def _identity_in(path: Path, parent: int) -> Identity:
    fd = directory.enter(path.name, parent, path)
    try:
        return _identity(path, fd)
    finally:
        os.close(fd)


@frozen
class Found:
    """An outbox that was found on disk.

    Attributes:
        path: its directory.
        identity: whose it is.
        alive: whether its process lives.
        unusable: why it cannot be opened, as one line; None if it can.
    """

    path: Path
    identity: Identity
    alive: bool
    unusable: str | None = None

    def open(self, *, repair: bool = True) -> Outbox:
        """Lock and open it.

        Args:
            repair: False to look only: nothing on disk is changed.

        Raises:
            OSError: it cannot be opened; ``BlockingIOError`` if its process lives.
        """
        parent = directory.enter_any(self.path.parent, None, self.path.parent)
        try:
            return _open(self.path, parent, enter=directory.enter_any, repair=repair)
        finally:
            os.close(parent)


def outboxes(root: Path) -> list[Found]:
    """Find every outbox in a directory.

    Args:
        root: the directory of all outboxes, that of one job, or that of one outbox.

    Returns:
        What was found, by job and then oldest first; nothing is locked or changed.

    Raises:
        OSError: the directory cannot be read.
    """
    found: list[Found] = []
    _search(root, 2, found)
    return sorted(found, key=lambda it: (it.identity.job_id, it.identity.created_at, it.path))


def _search(path: Path, depth: int, found: list[Found]) -> None:
    fd = directory.enter_any(path, None, path)
    try:
        if _is_outbox(fd):
            found.append(_look(path, fd))
            return
        names = directory.directories_in(fd) if depth else []
    finally:
        os.close(fd)
    for name in names:
        try:
            _search(path / name, depth - 1, found)
        except FileNotFoundError:  # it went away meanwhile
            continue
        except OSError as error:
            unknown = Identity(name if depth > 1 else path.name, name, None, "")
            reason = error.strerror or str(error)
            found.append(Found(path / name, unknown, alive=False, unusable=reason))


def _is_outbox(fd: int) -> bool:
    with os.scandir(fd) as entries:
        names = {entry.name for entry in entries}
    ours = {METADATA_NAME, CURSOR_NAME, lock.LOCK_NAME, RESERVE_NAME}
    return METADATA_NAME in names or len(ours & names) > 1 or bool(found_segments(fd))


def _look(path: Path, fd: int) -> Found:
    identity = _identity(path, fd)
    try:
        seize(fd, create=False).release()
    except BlockingIOError:
        return Found(path, identity, alive=True)
    except FileNotFoundError:
        return Found(path, identity, alive=False)
    except OSError as error:
        return Found(path, identity, alive=False, unusable=describe(error))
    return Found(path, identity, alive=False)


def _open(path: Path, parent: int, *, enter: directory.Enter, repair: bool) -> Outbox:
    with closing_on_error() as opened:
        parent = os.dup(parent)
        opened.append(parent)
        fd = enter(path.name, parent, path)
        opened.append(fd)
        held = _seize(fd, repair=repair)
        try:
            identity = _identity(path, fd)
        except BaseException:
            if held is not None:
                held.release()
            raise
    incarnation = Incarnation(path, identity, parent, fd, held)
    return open_incarnation(incarnation, _SIZES, repair=repair)


def _seize(fd: int, *, repair: bool) -> lock.Lock | None:
    # A directory without a lock is nobody's; and one that holds nothing either, no outbox.
    try:
        return seize(fd, create=repair and bool(found_segments(fd)))
    except FileNotFoundError:
        if repair:
            raise
        return None


def _identity(path: Path, fd: int) -> Identity:
    """Return what the outbox says of itself; as far as it does not, what its place says."""
    found = read_metadata(fd)
    if found is not None:
        texts = (found[name] for name in ("job_id", "agent_id", "key_prefix", "created_at"))
        return Identity(*texts)
    made = timestamp(datetime.fromtimestamp(os.fstat(fd).st_mtime, UTC))
    return Identity(path.parent.name, path.name, None, made)


def _sweep(parent: int) -> None:
    """Remove what processes left that were killed while they made their directory."""
    with os.scandir(parent) as entries:
        hidden = [entry.name for entry in entries if entry.name.startswith(".")]
    for name in hidden:
        with contextlib.suppress(OSError):
            fd = directory.enter(name, parent, Path(name))
            try:
                _sweep_one(name, fd, parent)
            finally:
                os.close(fd)


def _sweep_one(name: str, fd: int, parent: int) -> None:
    try:
        held = seize(fd, create=False)
    except FileNotFoundError:  # killed before it had a lock, unless it was made this very instant
        if time.time() - os.fstat(fd).st_mtime > _BIRTH_S:
            os.rmdir(name, dir_fd=parent)
        return
    try:
        discard(name, fd, parent)
    finally:
        held.release()
