"""The mark of a target to which a restore has not been completed."""

from __future__ import annotations

import os
from collections.abc import Callable

from baqup_agent.errors import IOFailure, OutputError
from baqup_agent.security.syncing import sync_filesystem

#: Name of the file that lies in a target until all of it is restored.
MARKER = ".baqup-incomplete"

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def mark(root: int, text: str, *, sync: bool) -> None:
    """Put the mark into an empty directory.

    Args:
        root: the directory's descriptor.
        text: what somebody reads who finds it.
        sync: make sure that it outlives a power cut.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        fd = os.open(MARKER, _NEW, 0o644, dir_fd=root)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
        if sync:
            os.fsync(root)
    except OSError as error:
        raise OutputError(
            f"BAQUP_TARGET_PATH cannot be written: {error.strerror}; "
            "it must be a directory that the agent may fill"
        ) from error


def unmark(root: int) -> None:
    """Take the mark away.

    Raises:
        IOFailure: it cannot be removed.
    """
    _or_failure(lambda: os.unlink(MARKER, dir_fd=root), f"{MARKER!r} cannot be removed")


def sync_all(root: int) -> None:
    """Wait until everything in the target is on the disk.

    Raises:
        IOFailure: something of it could not be written.
    """
    _or_failure(lambda: sync_filesystem(root), "what was restored cannot be brought to the disk")


def _or_failure(action: Callable[[], None], what: str) -> None:
    try:
        action()
    except OSError as error:
        raise IOFailure(
            f"{what}: {error.strerror}; the target stays incomplete, restore into another one"
        ) from error
