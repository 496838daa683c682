"""What an archive's headers cost: ``python -m tests.benchmarks.bench_archive [MEMBERS [ROUNDS]]``.

An archive of small files (a hundredth of them empty directories) is written to memory and read
from a file, by our own code and by the ``tarfile`` of Python; GNU tar lists the same file. The
rounds are interleaved. Shown are microseconds of CPU for each member, as best and median, and the
ratio to the baseline. Files have nanosecond times, as nearly all real ones do, so each member has
a pax record.

The goals: 4 microseconds for a header with nanoseconds, 2 for one without, as far as the machine
is as fast as the one that set them; what holds anywhere is the ratio to ``tarfile``.
"""

from __future__ import annotations

import io
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from baqup_agent.security.archive_reader import ArchiveReader
from baqup_agent.security.member import Kind, Member
from baqup_agent.staging.archive import ArchiveWriter
from baqup_agent.staging.archive_header import header

_NOW_NS = 1_700_000_000_123_456_789
_WHOLE_NS = _NOW_NS - _NOW_NS % 10**9


class Sink:
    """Takes an archive of headers alone."""

    def __init__(self, out: io.BufferedWriter | None = None) -> None:
        self._out = out

    def write(self, data: bytes, /) -> object:
        return self._out and self._out.write(data)

    def copy_from_fd(self, fd: int, size: int | None = None, **_: object) -> int:
        data = os.pread(fd, size or 0, 0)
        self.write(data)
        return len(data)


def members(count: int, mtime_ns: int = _NOW_NS) -> Iterator[Member]:
    """Files and directories as a tree of programs has them."""
    folder = b"usr/share/doc"
    for number in range(count):
        if number % 100 == 0:
            folder = b"usr/share/doc/package-%06d" % number
            yield Member(Kind.DIRECTORY, folder, 0o755, 1000, 1000, 0, mtime_ns)
        else:
            name = b"%b/chapter-%06d.html" % (folder, number)
            yield Member(Kind.FILE, name, 0o644, 1000, 1000, 0, mtime_ns)


def theirs(member: Member) -> tarfile.TarInfo:
    """The same for ``tarfile``."""
    info = tarfile.TarInfo(os.fsdecode(member.name))
    info.type = member.kind.value
    info.mode, info.uid, info.gid, info.mtime = 0o644, 1000, 1000, member.mtime_ns / 1e9
    return info


def write_ours(listed: list[Member]) -> None:
    archive = ArchiveWriter(Sink())
    for member in listed:
        archive.add(member)
    archive.close()


def write_theirs(listed: list[tarfile.TarInfo]) -> None:
    for info in listed:
        info.tobuf(tarfile.PAX_FORMAT)


def read_ours(path: Path) -> None:
    with path.open("rb") as file:
        for _ in ArchiveReader(file):
            pass


def read_theirs(path: Path) -> None:
    with tarfile.open(path, "r:") as archive:
        while archive.next():
            archive.members.clear()


def list_by_tar(path: Path) -> None:
    subprocess.run(["tar", "-tf", str(path)], stdout=subprocess.DEVNULL, check=True)


def make_archive(path: Path, listed: list[Member]) -> None:
    """Write an archive whose files hold 2 KiB each."""
    with path.open("wb") as out, tempfile.TemporaryFile() as content:
        content.write(os.urandom(2048))
        archive = ArchiveWriter(Sink(out))
        for member in listed:
            if member.kind is Kind.FILE:
                archive.add_file(member._replace(size=2048), content.fileno())
            else:
                archive.add(member)
        archive.close()


def cpu_s() -> float:
    """Seconds of CPU that this process and its children have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def compare(acts: dict[str, Callable[[], None]], count: int, rounds: int) -> None:
    """Measure interleaved, and print each against the first."""
    taken: dict[str, list[float]] = {name: [] for name in acts}
    walls: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            began_s, began_cpu_s = time.monotonic(), cpu_s()
            act()
            taken[name].append((cpu_s() - began_cpu_s) / count * 1e6)
            walls[name].append((time.monotonic() - began_s) / count * 1e6)
    baseline = statistics.median(next(iter(taken.values())))
    for name, figures in taken.items():
        median = statistics.median(figures)
        print(
            f"  {name:<28} {min(figures):7.2f} best {median:7.2f} median "
            f"{statistics.median(walls[name]):7.2f} wall {median / baseline:7.3f} of the first"
        )


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    listed = list(members(count))
    whole = list(members(count, _WHOLE_NS))
    infos = [theirs(member) for member in listed]
    print(f"writing {count} headers, microseconds of CPU each")
    compare(
        {
            "tarfile": lambda: write_theirs(infos),
            "ours, with nanoseconds": lambda: write_ours(listed),
            "ours, whole seconds": lambda: write_ours(whole),
            "header() alone, nanoseconds": lambda: [None for m in listed if not header(m)] and None,
        },
        count,
        rounds,
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "a.tar"
        make_archive(path, listed)
        print(f"reading {count} members of 2 KiB ({path.stat().st_size >> 20} MiB)")
        readers: dict[str, Callable[[], None]] = {
            "tarfile": lambda: read_theirs(path),
            "ours": lambda: read_ours(path),
        }
        if shutil.which("tar"):
            readers["tar -t"] = lambda: list_by_tar(path)
        compare(readers, count, rounds)


if __name__ == "__main__":
    main()
