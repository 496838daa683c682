"""What the kernel allows this process and what it takes: memory and processors (Contract §7).

Control groups of both versions are understood, also where they are mounted in part, as in a
container. A limit may stand at any level above the process: the tightest one holds. Memory that the
kernel takes back by itself before it kills anybody, files kept in memory above all, does not count
as taken: a backup that reads a terabyte fills every limit with it.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

#: Where the kernel describes this process.
PROC_SELF = Path("/proc/self")

#: A limit in bytes from which on there is none: version 1 writes a number near 2**63 for that.
_NO_LIMIT = 1 << 60

#: How mountinfo writes a character that would end a field: a backslash and three octal digits.
_ESCAPED = re.compile(r"\\([0-7]{3})")

#: Of the memory that a control group is charged with, what the kernel can take back.
_RECLAIMABLE = {
    1: ("total_inactive_file", "total_active_file"),
    2: ("inactive_file", "active_file", "slab_reclaimable"),
}
_USAGE = {1: "memory.usage_in_bytes", 2: "memory.current"}
_LIMIT = {1: "memory.limit_in_bytes", 2: "memory.max"}


@frozen
class MemoryGroup:
    """A control group that limits this process's memory, and that of its children.

    Attributes:
        directory: where the kernel shows it.
        version: of control groups, 1 or 2.
        limit_bytes: what it may take.
    """

    directory: Path
    version: int
    limit_bytes: int

    def used_bytes(self) -> int:
        """Return what it takes and the kernel could not take back at once.

        Raises:
            OSError: the kernel does not tell any more.
            ValueError: it does not tell numbers.
        """
        stat = _table(self.directory / "memory.stat")
        used = int((self.directory / _USAGE[self.version]).read_text())
        return max(0, used - sum(stat.get(name, 0) for name in _RECLAIMABLE[self.version]))

    def swaps(self, meminfo: Path = Path("/proc/meminfo")) -> bool:
        """Return whether memory above the limit would be swapped out instead of ending anybody."""
        try:
            if _table(meminfo).get("SwapTotal", 0) == 0:
                return False
        except OSError:
            return False
        if self.version == 2:  # noqa: PLR2004
            return _text(self.directory / "memory.swap.max") not in {"", "0"}
        both = _bytes(self.directory / "memory.memsw.limit_in_bytes")
        return both is None or both > self.limit_bytes


def memory_group(proc: Path = PROC_SELF) -> MemoryGroup | None:
    """Return the group with the tightest limit on this process's memory; None without a limit.

    Args:
        proc: the kernel's description of the process.
    """
    version, directories = _directories("memory", proc)
    groups = [
        MemoryGroup(directory, version, limit)
        for directory in directories
        if (limit := _bytes(directory / _LIMIT[version])) is not None
    ]
    return min(groups, key=lambda group: group.limit_bytes, default=None)


def cpu_quota(proc: Path = PROC_SELF) -> float | None:
    """Return how many processors' time this process may take; None without a limit.

    Args:
        proc: the kernel's description of the process.
    """
    version, directories = _directories("cpu", proc)
    read = _quota_v1 if version == 1 else _quota_v2
    return min((quota for d in directories if (quota := read(d)) is not None), default=None)


def available_cpus(proc: Path = PROC_SELF) -> int:
    """Return how many workers this process can keep busy: by affinity and quota, at least one.

    A quota that is no whole number is rounded up, as the runtimes of Java and Go do.

    Args:
        proc: the kernel's description of the process.
    """
    cpus = len(os.sched_getaffinity(0))
    quota = cpu_quota(proc)
    return cpus if quota is None else min(cpus, math.ceil(quota))


def process_memory_bytes(proc: Path = PROC_SELF) -> int:
    """Return the memory that this process holds itself: resident, and not a file's.

    Args:
        proc: the kernel's description of the process.

    Raises:
        OSError: the kernel does not tell.
        ValueError: it does not tell numbers.
    """
    status = _table(proc / "status")
    if "RssAnon" not in status:  # a kernel that does not tell the two apart
        return status.get("VmRSS", 0) * 1024
    return (status["RssAnon"] + status.get("RssShmem", 0)) * 1024


def _directories(controller: str, proc: Path) -> tuple[int, list[Path]]:
    """The version of a controller, and its directories from the process's own upwards."""
    paths = dict(_memberships(proc))
    try:
        mounts = (proc / "mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        mounts = []
    for version, name, kind in ((1, controller, "cgroup"), (2, "", "cgroup2")):
        if name in paths:
            for root, mount in _mounts(mounts, kind, name):
                return version, _upwards(root, mount, paths[name])
    return 2, []


def _memberships(proc: Path) -> Iterator[tuple[str, str]]:
    """Each controller with the path of this process's group; version 2 has the name ''."""
    for line in _text(proc / "cgroup").splitlines():
        _number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        yield from ((name, path) for name in names.split(","))


def _mounts(lines: list[str], kind: str, controller: str) -> Iterator[tuple[str, Path]]:
    """Mounts of a kind that show a controller: the path shown at the top, and where."""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        where, what = fields.split()[3:5], rest.split()
        if what[:1] != [kind] or len(where) < 2:  # noqa: PLR2004  root and mount point
            continue
        if not controller or controller in what[-1].split(","):
            yield _unescaped(where[0]), Path(_unescaped(where[1]))


def _upwards(root: str, mount: Path, path: str) -> list[Path]:
    prefix = root.rstrip("/") + "/"
    # A path that is not below what is mounted cannot be seen from here; the top of it can.
    inside = path.removeprefix(prefix) if path.startswith(prefix) else ""
    directory = mount if ".." in inside.split("/") else mount / inside
    candidates = [directory, *directory.parents]
    return candidates[: candidates.index(mount) + 1]


def _quota_v1(directory: Path) -> float | None:
    return _share(
        _text(directory / "cpu.cfs_quota_us") + " " + _text(directory / "cpu.cfs_period_us")
    )


def _quota_v2(directory: Path) -> float | None:
    return _share(_text(directory / "cpu.max"))


def _share(text: str) -> float | None:
    try:
        quota, period = (int(number) for number in text.split())
    except ValueError:  # 'max', or nothing at all
        return None
    return quota / period if quota > 0 and period > 0 else None


def _bytes(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() and int(text) < _NO_LIMIT else None


def _table(path: Path) -> dict[str, int]:
    """The numbers of a file with a name and a number in each line."""
    rows = (line.replace(":", " ").split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


def _text(path: Path) -> str:
    """What a file holds, without the white space around it; '' if it cannot be read."""
    try:
        return path.read_text(errors="surrogateescape").strip()
    except OSError:
        return ""


def _unescaped(field: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), field)
