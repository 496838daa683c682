"""The outboxes that dead processes left behind."""

from __future__ import annotations

import contextlib
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from baqup_agent.bus.outbox import directory, lock
from baqup_agent.bus.outbox.cursor import CURSOR_NAME
from baqup_agent.bus.outbox.disk import Disk
from baqup_agent.bus.outbox.incarnation import (
    METADATA_NAME,
    Identity,
    Incarnation,
    closing_on_error,
    discard,
    read_metadata,
    seize,
)
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


def adopt(root: Path, job_id: str, own_agent_id: str) -> list[Outbox]:
    """Take over the outboxes that dead processes of a job left, oldest first.

    Those of live processes are left alone, and so is what is no outbox, or not ours.

    Args:
        root: ``BAQUP_BUS_FALLBACK_DIR``.
        job_id: the job.
        own_agent_id: this process, whose own outbox is not looked at.

    Returns:
        The outboxes, locked. Closing one removes it once all of it is acknowledged.
    """
    adopted: list[Outbox] = []
    with contextlib.suppress(OSError):
        directory.check_component("job id", job_id)
        base = directory.enter_root(root, create=False)
        try:
            parent = directory.enter(job_id, base, root / job_id)
        finally:
            os.close(base)
        try:
            for name in directory.directories_in(parent):
                if name != own_agent_id:
                    with contextlib.suppress(OSError):
                        adopted.append(_adopt(root / job_id / name, parent))
            _sweep(parent)
        finally:
            os.close(parent)
    return sorted(adopted, key=lambda it: (it.identity.created_at, it.identity.agent_id))


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


def _adopt(path: Path, parent: int) -> Outbox:
    return _open(path, parent, enter=directory.enter, repair=True)


def _open(path: Path, parent: int, *, enter: directory.Enter, repair: bool) -> Outbox:
    with closing_on_error() as opened:
        parent = os.dup(parent)
        opened.append(parent)
        fd = enter(path.name, parent, path)
        opened.append(fd)
        held = _seize(fd, repair=repair)
        identity = _identity(path, fd)
    incarnation = Incarnation(path, identity, parent, fd, held)
    try:
        return Outbox(identity, Disk(incarnation, _SIZES, repair=repair), _SIZES)
    except BaseException:
        incarnation.close()
        raise


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
