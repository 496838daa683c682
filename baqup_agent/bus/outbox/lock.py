"""Who owns an outbox: a file lock that lasts exactly as long as the owner's process.

``flock`` and not a POSIX record lock: the latter is lost as soon as the process closes *any*
descriptor of the file, which an agent does that backs up the directory of its own outbox. A
``flock`` has a flaw of its own, a forked child shares it and would keep it beyond its parent's
death; so children close the descriptor first of all. Programs that are executed never get it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import weakref

LOCK_NAME = "lock"

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Lock:
    """A lock that is held; obtained from `take`.

    Args:
        fd: descriptor of the locked file.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        _held.add(self)

    def is_named(self, directory: int) -> bool:
        """Whether the locked file is the one that the directory names, not one removed since."""
        try:
            named = os.stat(LOCK_NAME, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._fd))

    def release(self) -> None:
        """Let go of the lock; harmless when repeated."""
        fd, self._fd = self._fd, -1
        _held.discard(self)
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _let_go_in_child() -> None:
    for lock in list(_held):
        lock.release()


class _AtFork:
    """Registers the handler once, when the first lock is taken: importing changes nothing."""

    registered = False


def take(directory: int, *, create: bool) -> Lock | None:
    """Lock the outbox in ``directory`` if nobody else has it.

    Args:
        directory: descriptor of the outbox's directory.
        create: make the lock's file if it is missing.

    Returns:
        The lock; None if another process, or another outbox of this one, holds it.

    Raises:
        OSError: the file cannot be opened or locked; ``FileNotFoundError`` if there is none.
    """
    if not _AtFork.registered:
        _AtFork.registered = True
        os.register_at_fork(after_in_child=_let_go_in_child)
    lock = Lock(_open(directory, create=create))
    try:
        fcntl.flock(lock._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # noqa: SLF001  its maker
    except BlockingIOError:
        lock.release()
        return None
    except OSError:
        lock.release()
        raise
    return lock


def _open(directory: int, *, create: bool) -> int:
    flags = os.O_CREAT | _FLAGS if create else _FLAGS
    try:
        return os.open(LOCK_NAME, os.O_RDWR | flags, 0o600, dir_fd=directory)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(LOCK_NAME, os.O_RDONLY | _FLAGS, dir_fd=directory)
