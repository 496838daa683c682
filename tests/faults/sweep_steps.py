"""The steps of an agent that touch its staging area, found by a tracer, and faults at each.

A step is a system call, counted among those of its thread that have the same name and concern the
same path: this is how ``strace`` counts when it is told a path.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.lacking import command, lacking

#: Calls that change what is on the disk, or when it gets there. A question mark: a call that some
#: processors do not have.
_CALLS = (
    "?open,?creat,openat,write,?writev,?pwrite64,fsync,fdatasync,?sync_file_range,?ftruncate,"
    "?fallocate,?rename,renameat,?renameat2,?link,linkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir"
)

#: Calls whose failure is a fault of the disk.
FAILING = frozenset(
    {"write", "writev", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2"}
)

#: Stops at nothing but the calls that are asked for. A signal cannot be injected this way.
_QUICK = "--seccomp-bpf"

_LINE = re.compile(r"^(?P<thread>\d+)\s+(?P<call>\w+)\((?P<rest>.*)$")
_OPENED = re.compile(r"(?:\d+|AT_FDCWD)<([^>]*)>")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Step(NamedTuple):
    """One step.

    Attributes:
        call: the system call.
        path: what the tracer knows it by: an open file's path, or the name that is given.
        nth: which of the thread's calls on that path it is, from 1.
    """

    call: str
    path: str
    nth: int

    def fault(self, fault: str) -> list[str]:
        """Return the command that runs another one with a fault at this step.

        Args:
            fault: ``signal=KILL`` to die right before it, ``error=EIO`` to have it fail.
        """
        quick = [] if fault.startswith("signal=") else [_QUICK]
        return [
            *tracer(), *quick,
            "-o", os.devnull, "-P", self.path,
            "-e", f"trace={self.call}",
            "-e", f"inject={self.call}:{fault}:when={self.nth}",
        ]  # fmt: skip


def tracer() -> list[str]:
    """Return the command of a tracer that follows threads and children, once it was seen to work.

    Where tracing is not permitted the test is skipped; in CI that is a failure.
    """
    begin = [command("strace"), "-f", "-qq"]
    probe = [*begin, "-o", os.devnull, "-e", "trace=exit_group", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    if done.returncode:
        lacking(f"the tracer cannot trace here: {done.stderr.strip()}")
    return begin


def recording(file: Path) -> list[str]:
    """Return the command that runs another one and writes its calls to a file."""
    return [*tracer(), _QUICK, "-y", "-s", "0", "-o", str(file), "-e", f"trace={_CALLS}"]


def steps_of(trace: Iterable[str], below: Path) -> list[Step]:
    """Return the steps of a recording that change something at or below a directory, in order."""
    root = str(below)
    seen: Counter[tuple[str, str, str]] = Counter()
    found: dict[Step, None] = {}
    for line in trace:
        if (parsed := _LINE.match(line)) is None:
            continue
        thread, call = parsed["thread"], parsed["call"]
        asked = parsed["rest"].rpartition(" = ")[0] or parsed["rest"].partition("<unfinished")[0]
        opened, texts = _OPENED.findall(asked), _named(call, asked)
        for path in {*opened, *texts}:
            seen[thread, call, path] += 1
        path = texts[0] if texts else opened[0] if opened else ""
        place = os.path.join(*opened[:1], path)  # noqa: PTH118  an absolute path stays itself
        changes = "open" not in call or "O_CREAT" in asked
        if changes and (place == root or place.startswith(root + "/")):
            found[Step(call, path, seen[thread, call, path])] = None
    return list(found)


def _named(call: str, asked: str) -> list[str]:
    """The paths among the arguments; what is written is none."""
    return [] if "write" in call else _TEXT.findall(asked)


def spread(steps: Sequence[Step], per_call: int, moments: random.Random) -> Iterator[Step]:
    """Pick some steps of each call: one at random of each equal stretch of the run."""
    for call in dict.fromkeys(step.call for step in steps):
        own = [step for step in steps if step.call == call]
        count = min(per_call, len(own))
        for number in range(count):
            stretch = own[number * len(own) // count : (number + 1) * len(own) // count]
            yield moments.choice(stretch)
