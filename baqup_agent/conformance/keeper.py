"""The process above one agent: starts it, tells how it ended, and leaves nothing of it behind.

Run as a program of its own, without the package. Whatever the agent starts, even what moves into
sessions of its own and survives its parents, stays below this process, because the kernel hands
it the orphans (``PR_SET_CHILD_SUBREAPER``). When its standard input ends, which happens too when
the suite is killed, it kills all of them and ends.

Standard input: one line of JSON, then nothing until its end. Standard output: a line of JSON for
the start and one for the end. Times are of the monotonic clock, which the whole machine shares.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import time
from typing import Any, NoReturn

_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_MS_REC_PRIVATE = 0x44000
_MS_NOSUID_NODEV_NOEXEC = 0xE

#: Seconds for everything below to be gone after it was killed.
_KILL_S = 10.0

#: Seconds between two looks where nothing is heard: who cannot be killed yet says nothing.
_LOOK_S = 0.05

_LIBC = ctypes.CDLL(None, use_errno=True)


class _Refused(Exception):
    """The kernel does not allow it."""


def main() -> None:
    """Keep one agent."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever ends the suite is answered by the suite
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    request = json.loads(_line())
    try:
        agent = _start(request)
    except _Refused as error:
        _tell(refused=str(error))
    except OSError as error:
        _tell(failed=error.strerror)
    else:
        _watch(agent, wake_read)
    _kill_all(wake_read)


def _line() -> bytes:
    text = b""
    while not text.endswith(b"\n"):
        if not (more := os.read(0, 65536)):
            os._exit(0)
        text += more
    return text


def _tell(**facts: Any) -> None:
    try:
        os.write(1, json.dumps({**facts, "at_s": time.monotonic()}).encode() + b"\n")
    except OSError:  # the suite is gone; the end of its line is what ends us
        return


def _start(request: dict[str, Any]) -> int:
    """Start the agent and return its pid once the program itself runs.

    Raises:
        OSError: it cannot be started.
        _Refused: a namespace is not to be had.
    """
    if request["pid1"]:
        _unshare(_CLONE_NEWPID | _CLONE_NEWNS)
    failed_read, failed_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(request, failed_write)
    os.close(failed_write)
    for stream in (request["stdout"], request["stderr"]):
        os.close(stream)
    reason = os.read(failed_read, 4096).decode()
    os.close(failed_read)
    if reason:
        os.waitpid(pid, 0)
        kind, _, text = reason.partition(":")
        if kind == "refused":
            raise _Refused(text)
        raise OSError(int(kind), os.strerror(int(kind)))
    _tell(started=pid)
    return pid


def _become(request: dict[str, Any], failed: int) -> NoReturn:
    """Be the agent, in the child; what fails is told over a pipe that starting it closes."""
    try:
        os.setsid()
        if request["offline"]:
            _unshare(_CLONE_NEWNET)
        if request["pid1"]:
            _mount_proc()
        os.chdir(request["cwd"])
        _connect(request["stdout"], request["stderr"])
        _restore_signals()
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606
    except _Refused as error:
        os.write(failed, f"refused:{error}".encode())
    except OSError as error:
        os.write(failed, f"{error.errno}:".encode())
    finally:
        os._exit(127)


def _connect(stdout: int, stderr: int) -> None:
    """Make two pipes the streams of this process; there is nothing to read."""
    for number, source in enumerate((os.open(os.devnull, os.O_RDONLY), stdout, stderr)):
        os.dup2(source, number)
    for other in (stdout, stderr):
        os.set_inheritable(other, False)  # noqa: FBT003  its one argument


def _restore_signals() -> None:
    """Give every signal its default behaviour, those too that Python ignores from its start."""
    signal.set_wakeup_fd(-1)
    for number in range(1, signal.NSIG):
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)


def _unshare(flags: int) -> None:
    uid, gid = os.getuid(), os.getgid()
    if uid != 0:
        flags |= _CLONE_NEWUSER
    if _LIBC.unshare(flags) != 0:
        raise _Refused(f"no new namespaces: {os.strerror(ctypes.get_errno())}")
    if uid != 0:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def _mount_proc() -> None:
    """Show the processes of the new namespace, as a container does."""
    refused = _LIBC.mount(b"none", b"/", None, _MS_REC_PRIVATE, None) or _LIBC.mount(
        b"proc", b"/proc", b"proc", _MS_NOSUID_NODEV_NOEXEC, None
    )
    if refused:
        raise _Refused(f"no /proc of its own: {os.strerror(ctypes.get_errno())}")


def _watch(agent: int, wake: int) -> None:
    """Wait for the end of standard input; tell the end of the agent, and reap all others.

    The agent stays unreaped, so that its number cannot pass to a process of somebody else while
    the suite still sends signals.
    """
    told = False
    while True:
        if not told and (end := os.waitid(os.P_PID, agent, os.WEXITED | os.WNOHANG | os.WNOWAIT)):
            told = True
            by_signal = end.si_code != os.CLD_EXITED
            _tell(ended=-end.si_status if by_signal else end.si_status)
        for child in _children(os.getpid()):
            if child != agent:
                _reap(child)
        readable, _, _ = select.select([0, wake], [], [])
        if wake in readable:
            os.read(wake, 65536)
        if 0 in readable and not os.read(0, 65536):
            return


def _reap(child: int) -> None:
    try:
        os.waitpid(child, os.WNOHANG)
    except ChildProcessError:
        return


def _kill_all(wake: int) -> None:
    """End all that descends from here, and what that starts meanwhile."""
    deadline_s = time.monotonic() + _KILL_S
    while time.monotonic() < deadline_s:
        left = below(os.getpid())
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        for child in _children(os.getpid()):
            _reap(child)
        # Who is a grandchild is ours, and heard of, once its parent has gone.
        if select.select([wake], [], [], _LOOK_S)[0]:
            os.read(wake, 65536)


def _parents() -> dict[int, int]:
    parents = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  quickly, and before anything else
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123
                    parents[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue  # it ended while we looked
    return parents


def _children(pid: int) -> list[int]:
    return [child for child, parent in _parents().items() if parent == pid]


def below(pid: int) -> list[int]:
    """Return the processes that descend from one, itself aside."""
    parents = _parents()
    found, level = [], [pid]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


if __name__ == "__main__":
    main()
