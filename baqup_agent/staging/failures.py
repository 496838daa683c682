"""What the operating system refuses, told in one line with a remedy (Contract §5)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from baqup_agent.errors import BaqupError

_Kind = TypeVar("_Kind", bound=BaqupError)

_ACCESS = "give this user write access there, or set BAQUP_STAGING_DIR to a place it may write to"
_MOUNT = "unmount what is mounted below it; staging must be one filesystem"

_REMEDIES = {
    errno.ENOSPC: "free space on that filesystem, or set BAQUP_STAGING_DIR to a larger one",
    errno.EDQUOT: "raise this user's quota, or set BAQUP_STAGING_DIR to another filesystem",
    errno.EROFS: "mount that filesystem writable, or set BAQUP_STAGING_DIR to one that is",
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.ENOENT: "create its parent directory, and keep other processes away from staging",
    errno.ENOTDIR: "put a directory there, not a file or a link",
    errno.ELOOP: "replace the link by what it points to",
    errno.EXDEV: _MOUNT,
    errno.EBUSY: _MOUNT,
    errno.EFBIG: "split the artifact, or raise the limit on the size of a file",
    errno.EMFILE: "close unused artifacts, or raise the limit on open files",
    errno.EIO: "check the device and the kernel's log",
}


def failure(kind: type[_Kind], action: str, path: str | os.PathLike[str], error: OSError) -> _Kind:
    """Make an error of ``kind`` that says what could not be done where, why, and the way out.

    Args:
        kind: the class of the error tree, which decides the exit code.
        action: a verb, for instance ``write``.
        path: what it was done to.
        error: what the operating system said.
    """
    reason = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0, "check the filesystem that holds it")
    return kind(f"cannot {action} {os.fspath(path)!r}: {reason}; {remedy}")


@contextmanager
def translated(kind: type[BaqupError], action: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError of the block into an error of ``kind``; see `failure`."""
    try:
        yield
    except OSError as error:
        raise failure(kind, action, path, error) from error
