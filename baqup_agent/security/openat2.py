"""Directories opened beneath another by the kernel itself: ``openat2`` (Linux 5.6, Contract §7).

The whole way is walked in one call that follows no link, no magic link of ``/proc`` and no ``..``
out of the directory it begins at, however names are swapped meanwhile. Python has no function for
it, so it is called by its number. Sandboxes that know no such call refuse it; `available` finds
out once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import cache

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

#: The call's number; newer than the time when architectures numbered by themselves.
_SYS_OPENAT2 = 437

_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_RESOLVE = _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH

#: Most bytes of a path that the kernel takes at once, its zero byte included.
_PATH_MAX = 4096

#: The kernel gives up where somebody renames directories meanwhile (EAGAIN); so often in a row
#: only if that is done on purpose.
_ATTEMPTS = 64


@cache
def available() -> bool:
    """Whether the system lets this process use the call."""
    try:
        fd = os.open("/", _DIRECTORY)
    except OSError:
        return False
    try:
        os.close(_call()(fd, b"."))
    except (OSError, AttributeError, ImportError):
        return False
    finally:
        os.close(fd)
    return True


def open_directory(start: int, path: bytes) -> int:
    """Open a directory beneath another one.

    Args:
        start: descriptor of the directory that the path begins at.
        path: relative, of less than 4096 bytes.

    Returns:
        Its descriptor, the caller's to close.

    Raises:
        OSError: the way leads through a link (ELOOP), out of ``start`` (EXDEV) or through what is
            no directory (ENOTDIR), or it is missing (ENOENT).
    """
    if b"\0" in path:  # C would take the rest for no part of it
        raise ValueError("embedded null byte")
    call = _call()
    for _ in range(_ATTEMPTS - 1):
        try:
            return call(start, path)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
    return call(start, path)


def fits(path: bytes) -> bool:
    """Whether the kernel takes a path of that length at once."""
    return len(path) < _PATH_MAX


@cache
def _call() -> Callable[[int, bytes], int]:
    """The call, for reading directories."""
    import ctypes  # for whoever opens deep paths only

    class OpenHow(ctypes.Structure):
        _fields_ = (
            ("flags", ctypes.c_uint64),
            ("mode", ctypes.c_uint64),
            ("resolve", ctypes.c_uint64),
        )

    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    how = OpenHow(_DIRECTORY, 0, _RESOLVE)
    number, size = ctypes.c_long(_SYS_OPENAT2), ctypes.c_size_t(ctypes.sizeof(how))

    def call(start: int, path: bytes) -> int:
        fd = syscall(number, ctypes.c_int(start), ctypes.c_char_p(path), ctypes.byref(how), size)
        if fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), os.fsdecode(path))
        return int(fd)

    return call
