"""Everything of one filesystem brought to the disk by a single call (Contract §4)."""

from __future__ import annotations

import os


def sync_filesystem(fd: int) -> None:
    """Wait until all that was written to the filesystem of an open file is on the disk.

    One call for a whole tree: an ``fsync`` of each file would cost more than writing it.

    Raises:
        OSError: something could not be written.
    """
    import ctypes  # the standard library has no function for it

    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:  # a C library of another system
        os.sync()
    elif call(ctypes.c_int(fd)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
