"""Runs a command whose staging directory is spoiled: full, read-only or forbidden.

Run as a program of its own, without the package:

    confined.py KIND STAGING KEPT COMMAND...

The file systems are mounted in a namespace that ends with the command, so what is left in staging
is copied to KEPT before. A machine that refuses is told by the file ``refused`` in there.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

#: Bytes of the full file system: one page, which a manifest and an artifact cannot share.
_PAGE = 4096

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_RDONLY = 0x1
_MS_REMOUNT = 0x20
_MS_REC_PRIVATE = 0x44000
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE = 1
_CAPABILITIES = range(64)

_LIBC = ctypes.CDLL(None, use_errno=True)


class _Refused(Exception):
    """The kernel does not allow it."""


def main(kind: str, staging: str, kept: str, *command: str) -> NoReturn:
    """Run the command as the module's text says, and end as it does."""
    try:
        if kind == "forbidden":
            _become_ordinary()
            os.execvp(command[0], command)  # noqa: S606  the agent's own command
        _mount(staging, read_only=kind == "read-only")
    except _Refused as error:
        Path(kept, "refused").write_text(str(error))
        sys.exit(125)
    child = os.fork()
    if child == 0:
        os.execvp(command[0], command)  # noqa: S606  the agent's own command
    _, status = os.waitpid(child, 0)
    shutil.copytree(staging, kept, symlinks=True, dirs_exist_ok=True)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _become_ordinary() -> None:
    """Give root's powers over other people's files away; any other user has none."""
    if os.getuid() == 0:
        for number in _CAPABILITIES:
            _LIBC.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # numbers beyond the last one fail
        kept = _LIBC.prctl(_PR_CAPBSET_READ, _CAP_DAC_OVERRIDE, 0, 0, 0)
        _require(kept, "root cannot become ordinary")


def _mount(staging: str, *, read_only: bool) -> None:
    uid, gid = os.getuid(), os.getgid()
    flags = _CLONE_NEWNS | (_CLONE_NEWUSER if uid else 0)
    _require(_LIBC.unshare(flags), "no new namespace")
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _require(_LIBC.mount(b"none", b"/", None, _MS_REC_PRIVATE, None), "no mounts of its own")
    place = os.fsencode(staging)
    size = f"size={_PAGE}".encode()
    _require(_LIBC.mount(b"tmpfs", place, b"tmpfs", 0, size), "no tmpfs")
    if read_only:
        spoiled = _LIBC.mount(b"tmpfs", place, b"tmpfs", _MS_REMOUNT | _MS_RDONLY, size)
        _require(spoiled, "no read-only tmpfs")


def _require(result: int, what: str) -> None:
    if result != 0:
        raise _Refused(f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(*sys.argv[1:])
