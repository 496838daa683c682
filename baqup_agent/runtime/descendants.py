"""Finds and ends what the agent's process has started, orphans included (Contract §1)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections import defaultdict
from collections.abc import Collection

_PR_SET_CHILD_SUBREAPER = 36

#: Pause between two looks at whether descendants have gone, seconds. The kernel tells of the end of
#: a child, not of a grandchild's, and of no fork; so the whole tree is looked at anew.
_LOOK_EVERY_S = 0.02


def adopt_orphans() -> bool:
    """Make orphaned descendants children of this process, so that none gets out of sight.

    Returns:
        Whether the kernel agreed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def end_descendants(grace_s: float, spare: Collection[int] = ()) -> int:
    """End every descendant of this process: SIGTERM, and SIGKILL after ``grace_s`` seconds.

    Args:
        grace_s: seconds between the two signals.
        spare: processes that are left alone.

    Returns:
        How many were found.
    """
    found = descendants(spare)
    _signal(found, signal.SIGTERM)
    patience = time.monotonic() + grace_s
    while (left := descendants(spare)) and time.monotonic() < patience:
        time.sleep(_LOOK_EVERY_S)
    # A process may fork while it is being ended: look until nothing is left.
    patience = time.monotonic() + 1.0
    while left and time.monotonic() < patience:
        _signal(left, signal.SIGKILL)
        time.sleep(_LOOK_EVERY_S)
        left = descendants(spare)
    return len(found)


def descendants(spare: Collection[int] = ()) -> set[int]:
    """Return the live descendants of this process; those that have ended are reaped."""
    children = defaultdict(list)
    for pid, parent, state in _processes():
        children[parent].append((pid, state))
    found: set[int] = set()
    unseen = [os.getpid()]
    while unseen:
        for pid, state in children[unseen.pop()]:
            if pid in spare:
                continue
            unseen.append(pid)
            if state == "Z":
                _reap(pid)
            else:
                found.add(pid)
    return found


def _processes() -> list[tuple[int, int, str]]:
    """Every process as (pid, parent's pid, state)."""
    rows = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:
                # The second field is the command in parentheses and may hold anything.
                state, parent = stat.read().rpartition(b")")[2].split()[:2]
                rows.append((int(name), int(parent), state.decode()))
    return rows


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _signal(pids: Collection[int], signum: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)
