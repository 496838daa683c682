"""The directories that outboxes lie in, entered one by one so that nobody can lead us astray.

`BAQUP_BUS_FALLBACK_DIR` is by default in a directory that everybody may write to. So no link is
followed, and a directory that belongs to another user is not ours to write to, or to believe.
The uppermost one may belong to root: a volume that a container runtime mounts often does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Protocol

MODE = 0o700
FILE_MODE = 0o600

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

#: Longest name of a file in bytes, on any file system that matters.
_NAME_MAX = 255


class ForeignDirectory(OSError):
    """A directory is there, but it is not ours."""


def check_component(what: str, name: str) -> None:
    """See whether ``name`` can name a directory of its own.

    Raises:
        ForeignDirectory: it cannot, or would name something else.
    """
    if name in {"", ".", ".."} or "/" in name or "\0" in name or name.startswith("."):
        raise ForeignDirectory(f"the {what} {name[:80]!r} cannot name a directory")
    if len(os.fsencode(name)) > _NAME_MAX:
        raise ForeignDirectory(f"the {what} is longer than {_NAME_MAX} bytes")


def enter_root(path: Path, *, create: bool) -> int:
    """Open the directory of all outboxes and return its descriptor.

    Raises:
        OSError: it cannot be made or opened, or is foreign.
    """
    if create and not os.path.lexists(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=MODE)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=MODE)
    return _enter(os.fspath(path), None, path, {os.geteuid(), 0})


class Enter(Protocol):
    """A way to open a directory below another one."""

    def __call__(self, name: str, parent: int, shown: Path) -> int:
        """Open the directory ``name``; ``shown`` is its path, for messages."""
        ...


def enter(name: str, parent: int, shown: Path) -> int:
    """Open a directory below; see `enter_root`."""
    return _enter(name, parent, shown, {os.geteuid()})


def make(name: str, parent: int) -> None:
    """Make a directory below unless there is something of that name."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, MODE, dir_fd=parent)


def enter_any(name: str | os.PathLike[str], parent: int | None, shown: Path) -> int:
    """Open a directory that somebody asked for by name; root may enter everybody's."""
    owners = {os.geteuid(), 0}
    return _enter(os.fspath(name), parent, shown, None if os.geteuid() == 0 else owners)


def _enter(name: str, parent: int | None, shown: Path, owners: set[int] | None) -> int:
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR} and shown.is_symlink():
            raise ForeignDirectory(f"{shown} is a symbolic link") from error
        raise OSError(error.errno, error.strerror, str(shown)) from error
    try:
        owner = os.fstat(fd).st_uid
    except BaseException:
        os.close(fd)
        raise
    if owners is not None and owner not in owners:
        os.close(fd)
        raise ForeignDirectory(f"{shown} belongs to another user (uid {owner})")
    return fd


def read_file(name: str, parent: int, most_bytes: int) -> bytes | None:
    """Return what a small file holds, at most so many bytes of it.

    Returns:
        None if there is no file of that name, but nothing at all or, say, a link or a pipe.

    Raises:
        OSError: there may be one, but at present it cannot be opened or read.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(name, flags, dir_fd=parent)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENXIO}:
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        pieces = []
        while most_bytes > 0 and (piece := os.read(fd, most_bytes)):
            pieces.append(piece)
            most_bytes -= len(piece)
        return b"".join(pieces)
    finally:
        os.close(fd)


def directories_in(fd: int) -> list[str]:
    """Return the names of the directories in a directory, sorted; hidden ones and links not."""
    with os.scandir(fd) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and stat.S_ISDIR(_mode(entry))
        )


def _mode(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_mode
    except OSError:  # it went away meanwhile
        return 0
