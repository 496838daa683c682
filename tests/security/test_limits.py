"""The limits that the kernel sets are found, in both versions of control groups (Contract §7)."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.security import limits
from baqup_agent.security.limits import (
    MemoryGroup,
    available_cpus,
    cpu_quota,
    memory_group,
    process_memory_bytes,
)
from tests.waiting import eventually

MIB = 1 << 20
NO_LIMIT_V1 = "9223372036854771712"


class Kernel:
    """A made-up /proc/self, and control groups beside it."""

    def __init__(self, root: Path) -> None:
        self.proc = root / "proc"
        self.proc.mkdir()
        self.groups = root / "sys fs"  # mountinfo writes the blank as \040
        self._memberships: list[str] = []
        self._mounts: list[str] = []

    def mount(self, kind: str, options: str, path: str, *, top: str = "/") -> Path:
        """Mount a hierarchy, of which ``top`` is to be seen; this process is in group ``path``."""
        point = self.groups / (options if kind == "cgroup" else "unified")
        point.mkdir(parents=True)
        number, names = ("0", "") if kind == "cgroup2" else ("4", options)
        self._memberships.append(f"{number}:{names}:{path}\n")
        where = str(point).replace(" ", "\\040")
        self._mounts.append(f"35 31 0:32 {top} {where} rw,relatime - {kind} {kind} rw,{options}\n")
        self._write()
        return point

    def _write(self) -> None:
        (self.proc / "cgroup").write_text("1:name=systemd:/\n" + "".join(self._memberships))
        (self.proc / "mountinfo").write_text(
            "22 1 254:0 / / rw - ext4 /dev/vda rw\nnonsense\n" + "".join(self._mounts)
        )


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def group(directory: Path, **files: str) -> Path:
    """A control group's directory with such files; ``memory_max`` is ``memory.max``."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("_", ".", 1)).write_text(text + "\n")
    return directory


def test_version_2_tells_its_limit(kernel: Kernel) -> None:
    """In a container the group of the process is all that is mounted."""
    top = group(kernel.mount("cgroup2", "nsdelegate", "/"), memory_max=str(512 * MIB))

    assert memory_group(kernel.proc) == MemoryGroup(top, 2, 512 * MIB)


def test_version_1_tells_its_limit(kernel: Kernel) -> None:
    """The hierarchy that knows memory is the one that counts."""
    kernel.mount("cgroup", "cpu,cpuacct", "/job")
    top = kernel.mount("cgroup", "memory", "/job")
    job = group(top / "job", memory_limit_in_bytes=str(512 * MIB))

    assert memory_group(kernel.proc) == MemoryGroup(job, 1, 512 * MIB)


@pytest.mark.parametrize(
    ("kind", "name", "none"),
    [("cgroup2", "memory_max", "max"), ("cgroup", "memory_limit_in_bytes", NO_LIMIT_V1)],
)
def test_the_tightest_limit_on_the_way_up_holds(
    kernel: Kernel, kind: str, name: str, none: str
) -> None:
    """A parent may allow less than the group itself; no limit is no limit."""
    top = kernel.mount(kind, "memory", "/a/b/c")
    group(top / "a/b/c", **{name: str(900 * MIB)})
    tight = group(top / "a/b", **{name: str(300 * MIB)})
    group(top / "a", **{name: none})
    group(top / "sibling", **{name: str(MIB)})

    found = memory_group(kernel.proc)
    assert found is not None
    assert (found.directory, found.limit_bytes) == (tight, 300 * MIB)


@pytest.mark.parametrize("text", ["max", NO_LIMIT_V1, "", "nonsense", "-1"])
def test_no_limit_is_none(kernel: Kernel, text: str) -> None:
    """Whatever a kernel writes where there is no limit."""
    group(kernel.mount("cgroup2", "rw", "/"), memory_max=text)

    assert memory_group(kernel.proc) is None


def test_a_hybrid_machine_is_asked_where_the_controller_is(kernel: Kernel) -> None:
    """Version 2 is mounted beside version 1, but memory is still limited by version 1."""
    group(kernel.mount("cgroup2", "rw", "/"), memory_max=str(MIB))
    group(kernel.mount("cgroup", "memory", "/"), memory_limit_in_bytes=str(512 * MIB))

    found = memory_group(kernel.proc)
    assert found is not None
    assert found.limit_bytes == 512 * MIB


@pytest.mark.parametrize(
    ("top", "path", "directory"),
    [
        ("/docker/abc", "/docker/abc/inner", "inner"),  # the container's part of the tree
        ("/docker/abc", "/docker/abc", ""),
        ("/docker/abc", "/docker/abcdef", ""),  # no part of it, however alike
        ("/", "/../../elsewhere", ""),  # seen from inside a namespace
        ("/", "/gone", ""),  # named, but not to be seen
    ],
)
def test_a_tree_that_is_mounted_in_part_is_understood(
    kernel: Kernel, top: str, path: str, directory: str
) -> None:
    """What lies above or beside the mounted part counts as its top."""
    point = kernel.mount("cgroup2", "rw", path, top=top)
    group(point, memory_max="max")
    for outside in (point.parent, point.parent.parent):
        group(outside, memory_max="1")
    group(point / directory, memory_max=str(512 * MIB))

    found = memory_group(kernel.proc)
    assert found is not None
    assert found.directory == point / directory


def test_a_machine_without_control_groups_has_no_limits(tmp_path: Path) -> None:
    """Neither file has to be there."""
    assert memory_group(tmp_path) is None
    assert cpu_quota(tmp_path) is None
    assert available_cpus(tmp_path) == len(os.sched_getaffinity(0))


def test_files_in_memory_are_not_counted(tmp_path: Path) -> None:
    """The kernel gives them up before it kills anybody; what was asked for stays."""
    stat = "anon 1000\ninactive_file 300\nactive_file 200\nslab_reclaimable 50\nshmem 70"
    second = group(tmp_path / "2", memory_current="2000", memory_stat=stat)
    stat = "total_inactive_file 300\ntotal_active_file 200\ninactive_file 1\nhierarchical_limit max"
    first = group(tmp_path / "1", memory_usage_in_bytes="2000", memory_stat=stat)

    assert MemoryGroup(second, 2, 4000).used_bytes() == 2000 - 550
    assert MemoryGroup(first, 1, 4000).used_bytes() == 2000 - 500


def test_a_group_whose_files_are_gone_says_so(tmp_path: Path) -> None:
    """It is an error, not a usage of nothing."""
    with pytest.raises(OSError, match=r"memory\.stat"):
        MemoryGroup(tmp_path, 2, 4000).used_bytes()


@pytest.mark.parametrize(
    ("version", "files", "machine", "swaps"),
    [
        (2, {"memory_swap.max": "max"}, 1000, True),
        (2, {"memory_swap.max": "4096"}, 1000, True),
        (2, {"memory_swap.max": "0"}, 1000, False),
        (2, {"memory_swap.max": "max"}, 0, False),
        (2, {}, 1000, False),
        (1, {"memory_memsw.limit_in_bytes": str(512 * MIB)}, 1000, False),
        (1, {"memory_memsw.limit_in_bytes": str(600 * MIB)}, 1000, True),
        (1, {}, 1000, True),
        (1, {}, 0, False),
    ],
)
def test_swap_is_found_where_there_is_any(
    tmp_path: Path, version: int, files: dict[str, str], machine: int, swaps: bool
) -> None:
    """The machine must have some, and the group must be allowed it."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal:  24000 kB\nSwapTotal:  {machine} kB\n")
    directory = group(tmp_path / "group", **files)

    assert MemoryGroup(directory, version, 512 * MIB).swaps(meminfo) is swaps


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("150000 100000", 1.5),
        ("max 100000", None),
        ("50000 100000", 0.5),
        ("", None),
        ("0 0", None),
    ],
)
def test_version_2_tells_its_quota(kernel: Kernel, text: str, quota: float | None) -> None:
    """Microseconds of processor time in each period."""
    group(kernel.mount("cgroup2", "rw", "/"), cpu_max=text)

    assert cpu_quota(kernel.proc) == quota


@pytest.mark.parametrize(
    ("quota", "period", "processors"),
    [("-1", "100000", None), ("25000", "100000", 0.25), ("400000", "100000", 4.0), ("1", "", None)],
)
def test_version_1_tells_its_quota(
    kernel: Kernel, quota: str, period: str, processors: float | None
) -> None:
    """Beside other controllers of the same hierarchy, and -1 for none."""
    top = kernel.mount("cgroup", "cpu,cpuacct", "/job")
    group(top / "job", cpu_cfs_quota_us=quota, cpu_cfs_period_us=period)

    assert cpu_quota(kernel.proc) == processors


def test_the_tightest_quota_on_the_way_up_holds(kernel: Kernel) -> None:
    """As for memory."""
    top = kernel.mount("cgroup2", "rw", "/pod/container")
    group(top / "pod/container", cpu_max="max 100000")
    group(top / "pod", cpu_max="200000 100000")
    group(top, cpu_max="800000 100000")

    assert cpu_quota(kernel.proc) == 2.0


@pytest.mark.parametrize(
    ("affinity", "quota", "workers"),
    [
        ({0, 1, 2, 3}, "max 100000", 4),
        ({0, 1, 2, 3}, "150000 100000", 2),
        ({0, 1, 2, 3}, "10000 100000", 1),
        ({3}, "400000 100000", 1),
    ],
)
def test_workers_follow_affinity_and_quota(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, affinity: set[int], quota: str, workers: int
) -> None:
    """The lesser of the two, a part of a processor counted as one, and never none."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: affinity)
    group(kernel.mount("cgroup2", "rw", "/"), cpu_max=quota)

    assert available_cpus(kernel.proc) == workers


def test_a_process_that_is_bound_to_one_processor_has_one_worker() -> None:
    """The real affinity of a real process."""
    program = (
        "import os; from baqup_agent.security.limits import available_cpus;"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(available_cpus())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout == b"1\n"


def test_own_memory_follows_what_is_held() -> None:
    """64 MiB more that are written to count, and count no more when they are gone."""
    before = process_memory_bytes()
    with mmap.mmap(-1, 64 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        for offset in range(0, 64 * MIB, 4096):
            held[offset] = 1

        assert process_memory_bytes() - before > 60 * MIB
    assert process_memory_bytes() - before < 30 * MIB


def test_a_file_that_is_mapped_is_not_held(tmp_path: Path) -> None:
    """The kernel can take its pages back at any time."""
    path = tmp_path / "large"
    path.write_bytes(bytes(64 * MIB))
    before = process_memory_bytes()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[offset] for offset in range(0, 64 * MIB, 4096)) == 0

        assert process_memory_bytes() - before < 30 * MIB


def test_a_kernel_that_tells_the_whole_only_is_believed(tmp_path: Path) -> None:
    """Some do not tell files and memory apart."""
    (tmp_path / "status").write_text("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t3\n")

    assert process_memory_bytes(tmp_path) == 2 * MIB


PIECES = st.sampled_from(
    [
        "0::",
        "4:memory:",
        "/",
        "a",
        "..",
        "\0",
        "\n",
        " - ",
        "cgroup",
        "cgroup2",
        "memory",
        " ",
        "\\040",
    ]
)


def jumble() -> st.SearchStrategy[str]:
    """Texts that look more or less like the kernel's."""
    return st.text() | st.lists(PIECES | st.text(max_size=3), max_size=30).map("".join)


@given(jumble(), jumble())
def test_nonsense_in_proc_limits_nothing(
    tmp_path_factory: pytest.TempPathFactory, cgroup: str, mountinfo: str
) -> None:
    """Whatever stands there, the answer is a number of workers and no limit."""
    proc = tmp_path_factory.mktemp("proc")
    (proc / "cgroup").write_text(cgroup)
    (proc / "mountinfo").write_text(mountinfo)

    assert memory_group(proc) is None
    assert available_cpus(proc) >= 1


@pytest.fixture
def real_group() -> Iterator[Path]:
    """A control group of this machine, with 256 MiB; it is removed with the test."""
    version, directories = limits._directories("memory", limits.PROC_SELF)
    if not directories:
        pytest.skip("this machine shows no memory controller")
    directory = directories[-1] / f"baqup-test-{os.getpid()}"
    try:
        directory.mkdir()
        (directory / limits._LIMIT[version]).write_text(str(256 * MIB))
    except OSError as error:
        with contextlib.suppress(OSError):
            directory.rmdir()
        pytest.skip(f"no control group can be made here: {os.strerror(error.errno or errno.EPERM)}")
    yield directory
    eventually(lambda: not (directory / "cgroup.procs").read_text())
    directory.rmdir()


HOLD = """
import sys
from baqup_agent.security.limits import memory_group
print("ready", flush=True)
sys.stdin.readline()
group = memory_group()
before = group.used_bytes()
held = bytearray(b"x") * (64 << 20)
path = sys.argv[1]
with open(path, "wb") as file:
    file.write(held)
    file.flush()
    __import__("os").fsync(file.fileno())
print(group.directory, group.limit_bytes, group.used_bytes() - before, flush=True)
"""


def test_a_real_control_group_is_found_and_read(real_group: Path, tmp_path: Path) -> None:
    """A process in it finds its limit, and its usage grows by what it holds, not what it wrote."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    (real_group / "cgroup.procs").write_text(str(child.pid))
    answer, _ = child.communicate("go\n", timeout=60)

    directory, limit, grown = answer.split()
    assert Path(directory) == real_group
    assert int(limit) == 256 * MIB
    assert 60 * MIB < int(grown) < 100 * MIB
