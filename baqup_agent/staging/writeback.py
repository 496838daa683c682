"""Having the kernel write early, so that a file's last sync finds little left to do (Contract §4).

Without it the kernel gathers what was written for seconds, and the sync that publication needs
waits for all of it at once. ``sync_file_range`` only begins to write: it is no sync, and nothing
rests on it, so where it is missing or refused nothing is lost but time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

#: Bytes after which the kernel is asked to begin.
WRITEBACK_BYTES = 8 << 20

#: ``SYNC_FILE_RANGE_WRITE``: begin to write what is dirty, wait for nothing.
_WRITE = 2


def begin_writeback(fd: int, offset: int) -> None:
    """Ask the kernel to begin writing a file to disk, from ``offset`` to its end so far.

    Args:
        fd: the open file.
        offset: bytes before this place were asked for earlier.
    """
    _sync_file_range()(fd, offset, 0, _WRITE)


@cache
def _sync_file_range() -> Callable[[int, int, int, int], object]:
    try:
        import ctypes

        function = ctypes.CDLL(None).sync_file_range
    except (ImportError, OSError, AttributeError):  # another system, or another C library
        return lambda _fd, _offset, _size, _flags: None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    function.restype = ctypes.c_int
    return function
