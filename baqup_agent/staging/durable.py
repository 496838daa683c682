"""Steps on files that hold at every instant, also across a power cut (Contract §4).

Rules: names are relative to the descriptor of a directory that is already open, so that nobody
can swap a directory under our feet; no link is ever followed; a file is new or it is an error;
a write is finished or it is an error; what must be found after a power cut is synced, the file
first and then the directory that names it.

All functions raise OSError. What it means for the job is the caller's to say.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Modes of what we create, under the process's umask: for the user and the group (which a volume
#: shared with the controller has in common), not for everybody: backups hold other people's data.
DIRECTORY_MODE = 0o750
FILE_MODE = 0o640

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

#: What a filesystem answers that cannot sync a directory at all.
_NO_DIRECTORY_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})


def open_directory(
    name: str | os.PathLike[str], parent: int | None = None, *, follow: bool = False
) -> int:
    """Open a directory; a link in its place is refused unless ``follow`` is set."""
    flags = _DIRECTORY if follow else _DIRECTORY | os.O_NOFOLLOW
    return os.open(name, flags, dir_fd=parent)


def make_directory(name: str | os.PathLike[str], parent: int | None = None) -> bool:
    """Create a directory; False if something of that name is there already."""
    try:
        os.mkdir(name, DIRECTORY_MODE, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def create_file(name: str, directory: int) -> int:
    """Create a file that was not there before and open it for writing."""
    return os.open(name, _NEW_FILE, FILE_MODE, dir_fd=directory)


def open_regular(name: str | os.PathLike[str], directory: int | None = None) -> int:
    """Open a regular file for reading; a link, a pipe or a device is refused.

    Opened without blocking, because a pipe would otherwise wait for a writer for ever.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=directory)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(name))


def write_all(fd: int, data: ReadableBuffer) -> None:
    """Write all of ``data``.

    A filesystem that fills up takes a part and reports no error; the next write tells.
    """
    view = memoryview(data).cast("B")
    while view:
        written = os.write(fd, view)
        if written == 0:
            raise OSError(errno.EIO, "the filesystem takes no more bytes and gives no reason")
        view = view[written:]


def write_file(name: str, data: bytes, directory: int) -> None:
    """Create a file with this content and sync it; on failure it is removed again."""
    fd = create_file(name, directory)
    try:
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        # What went wrong first is what the caller must hear of.
        with suppress(OSError):
            os.unlink(name, dir_fd=directory)
        raise


def replace_file(name: str, scratch: str, data: bytes, directory: int) -> None:
    """Give the file ``name`` this content in one step; readers see the old or the new one.

    Args:
        name: what the file is called in the end.
        scratch: its name while it is being written; a leftover of that name is removed.
        data: the content.
        directory: descriptor of the directory of both.
    """
    if exists(scratch, directory):
        os.unlink(scratch, dir_fd=directory)
    write_file(scratch, data, directory)
    os.rename(scratch, name, src_dir_fd=directory, dst_dir_fd=directory)
    sync_directory(directory)


def sync_file(name: str, directory: int) -> None:
    """Sync a file that somebody else wrote and closed."""
    fd = open_regular(name, directory)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(fd: int) -> bool:
    """Sync a directory's entries; False if its filesystem knows no such thing."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno in _NO_DIRECTORY_SYNC:
            return False
        raise
    return True


def exists(name: str, directory: int) -> bool:
    """Tell whether there is anything of that name, be it a dangling link."""
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def mount_of(fd: int) -> tuple[int, str]:
    """Identify the mount that an open file lies on: device number, and the mount's id.

    Two mounts of one filesystem share the device number, and yet no file can be renamed from one
    to the other. Linux tells their ids apart; elsewhere the id is empty.
    """
    try:
        facts = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii").splitlines()
    except OSError:
        facts = []
    mount = next((line for line in facts if line.startswith("mnt_id:")), "")
    return os.fstat(fd).st_dev, mount


def empty_directory(directory: int, keep: frozenset[str] = frozenset()) -> int:
    """Remove everything in a directory but the names in ``keep``; return how many entries.

    Links are removed, never followed. A mount point below is an error (``EBUSY``), raised before
    anything in it is touched.
    """
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    doomed = [(name, is_directory) for name, is_directory in found if name not in keep]
    for name, is_directory in doomed:
        if is_directory:
            _remove_tree(name, directory)
        else:
            os.unlink(name, dir_fd=directory)
    return len(doomed)


def _remove_tree(name: str, parent: int) -> None:
    fd = open_directory(name, parent)
    try:
        if mount_of(fd) != mount_of(parent):
            raise OSError(errno.EBUSY, "a mount point", name)
        empty_directory(fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=parent)
