"""The directory of one agent process: ``{fallback}/{job_id}/{agent_id}``.

It appears in one step, complete and locked: it is made under a hidden name and then renamed. So
whoever finds one that is not locked knows that its process is dead.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, frozen

from baqup_agent.bus.outbox import directory, lock
from baqup_agent.bus.outbox.cursor import CURSOR_NAME, CursorFile
from baqup_agent.bus.outbox.reserve import RESERVE_NAME
from baqup_agent.bus.outbox.segment_files import found_segments, name_of

METADATA_NAME = "outbox.json"
_METADATA_SCRATCH = METADATA_NAME + ".new"

#: The version of all that an incarnation's directory holds.
VERSION = 1

#: How often a directory is made anew that somebody removes while it is being made.
_ATTEMPTS = 5

_MAX_METADATA_BYTES = 64 * 1024


@frozen
class Identity:
    """Whose outbox it is.

    Attributes:
        job_id: the job.
        agent_id: the agent process.
        key_prefix: what the keys of its messages begin with; None if it is not known.
        created_at: when it was made, as a timestamp.
    """

    job_id: str
    agent_id: str
    key_prefix: str | None
    created_at: str


class Incarnation:
    """An incarnation's directory, open and locked.

    Args:
        path: its path, for messages.
        identity: whose it is.
        parent: descriptor of the job's directory; taken over.
        fd: descriptor of the directory itself; taken over.
        held: the lock; None for one that is only looked at and has none.
        made: whether it was made just now, so that nothing is lost with it.

    Attributes:
        fd: descriptor of the directory.
        made: see above.
    """

    def __init__(
        self,
        path: Path,
        identity: Identity,
        parent: int,
        fd: int,
        held: lock.Lock | None,
        *,
        made: bool = False,
    ) -> None:
        self.path = path
        self.identity = identity
        self.fd = fd
        self._parent = parent
        self._lock = held
        self.made = made
        self._names_synced = False

    def sync_names(self, *, changed: bool) -> None:
        """Make sure that the files in the directory can be found after a power cut.

        Raises:
            OSError: they may not be.
        """
        if changed or not self._names_synced:
            os.fsync(self.fd)
        if not self._names_synced:
            os.fsync(self._parent)
            root = os.open(self.path.parent.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(root)
            finally:
                os.close(root)
            self._names_synced = True

    def remove(self) -> str | None:
        """Delete the directory and what an outbox puts into it, and the job's if it is empty.

        Returns:
            What is left, as one line; None if nothing is.
        """
        ours = [METADATA_NAME, _METADATA_SCRATCH, CURSOR_NAME, RESERVE_NAME]
        with contextlib.suppress(OSError):
            ours += [name_of(number) for number in found_segments(self.fd)]
        for name in (*ours, lock.LOCK_NAME):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self.fd)
        try:
            os.rmdir(self.path.name, dir_fd=self._parent)
        except OSError as error:
            return f"{self.path} stays: {error.strerror}; see what is in it and remove it by hand"
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()
        return None

    def close(self) -> None:
        """Let go of the directory, which stays."""
        for fd in (self.fd, self._parent):
            with contextlib.suppress(OSError):
                os.close(fd)
        if self._lock is not None:
            self._lock.release()


def create_or_reopen(root: Path, identity: Identity) -> Incarnation:
    """Make an incarnation's directory, or take over what a dead namesake left.

    Raises:
        OSError: it cannot be had.
    """
    directory.check_component("job id", identity.job_id)
    directory.check_component("agent id", identity.agent_id)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _create_or_reopen(root, identity)
        except FileNotFoundError:  # the last outbox of the job went, and the job's directory too
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _create_or_reopen(root: Path, identity: Identity) -> Incarnation:
    path = root / identity.job_id / identity.agent_id
    with closing_on_error() as opened:
        base = directory.enter_root(root, create=True)
        try:
            directory.make(identity.job_id, base)
            with _no_empty_directory(identity.job_id, base):
                parent = directory.enter(identity.job_id, base, path.parent)
                opened.append(parent)
                return _of_job(parent, path, identity, opened)
        finally:
            os.close(base)


@contextmanager
def _no_empty_directory(name: str, parent: int) -> Iterator[None]:
    """Remove a directory if the block fails, provided that nothing is in it."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=parent)
        raise


def _of_job(parent: int, path: Path, identity: Identity, opened: list[int]) -> Incarnation:
    if not _is_there(identity.agent_id, parent) and (made := _create(parent, identity)):
        fd, held = made
        return Incarnation(path, identity, parent, fd, held, made=True)
    fd = directory.enter(identity.agent_id, parent, path)
    opened.append(fd)
    held = seize(fd, create=True)
    try:
        known = read_metadata(fd)
        if known is not None:
            identity = evolve(identity, created_at=known["created_at"])
        _write_metadata(fd, identity)
    except BaseException:
        held.release()
        raise
    return Incarnation(path, identity, parent, fd, held)


def _create(parent: int, identity: Identity) -> tuple[int, lock.Lock] | None:
    """Make the directory; None if somebody else was quicker."""
    hidden = f".new-{os.urandom(8).hex()}"
    directory.make(hidden, parent)
    with _no_empty_directory(hidden, parent):
        fd = directory.enter(hidden, parent, Path(hidden))
    try:
        held = seize(fd, create=True)
        try:
            _write_metadata(fd, identity)
            CursorFile(fd).close()
            os.rename(hidden, identity.agent_id, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            held.release()
            raise
    except OSError:
        discard(hidden, fd, parent)
        os.close(fd)
        if _is_there(identity.agent_id, parent):
            return None
        raise
    return fd, held


def discard(hidden: str, fd: int, parent: int) -> None:
    """Remove a directory that was not finished, as far as it is possible."""
    with contextlib.suppress(OSError):
        for name in (METADATA_NAME, _METADATA_SCRATCH, CURSOR_NAME, lock.LOCK_NAME):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=fd)
        os.rmdir(hidden, dir_fd=parent)


def seize(fd: int, *, create: bool) -> lock.Lock:
    """Lock an incarnation's directory.

    Raises:
        BlockingIOError: its process is alive.
        OSError: there is no lock, or it cannot be had.
    """
    held = lock.take(fd, create=create)
    if held is None:
        raise BlockingIOError("another process uses it")
    try:
        named = held.is_named(fd)
    except BaseException:
        held.release()
        raise
    if not named:
        held.release()
        raise FileNotFoundError("the outbox was removed meanwhile")
    return held


@contextmanager
def closing_on_error() -> Iterator[list[int]]:
    """Close the descriptors that were put into the list if the block fails."""
    opened: list[int] = []
    try:
        yield opened
    except BaseException:
        for fd in opened:
            os.close(fd)
        raise


def read_metadata(fd: int) -> dict[str, Any] | None:
    """Return what ``outbox.json`` says; None if it is missing, damaged or of another version.

    Raises:
        OSError: it cannot be read at present.
    """
    try:
        found = json.loads(directory.read_file(METADATA_NAME, fd, _MAX_METADATA_BYTES) or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        return None
    texts = ("job_id", "agent_id", "key_prefix", "created_at")
    return found if all(isinstance(found.get(name), str) for name in texts) else None


def _write_metadata(fd: int, identity: Identity) -> None:
    content = json.dumps({"version": VERSION, **asdict(identity)}).encode() + b"\n"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    new = os.open(_METADATA_SCRATCH, flags, directory.FILE_MODE, dir_fd=fd)
    try:
        if os.write(new, content) != len(content):
            raise OSError(f"{METADATA_NAME} could not be written whole")
    finally:
        os.close(new)
    os.rename(_METADATA_SCRATCH, METADATA_NAME, src_dir_fd=fd, dst_dir_fd=fd)


def _is_there(name: str, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
