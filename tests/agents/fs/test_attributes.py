"""What an inode holds beside its bytes: extended attributes, access lists, holes."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.agents.fs import attributes
from baqup_agent.agents.fs.attributes import extents_of
from tests.agents.fs.jobs import Jobs
from tests.lacking import command, lacking

#: An access control list: owner rwx, uid 12345 r, group r-x, mask r-x, others nothing.
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, perm, who)
    for tag, perm, who in (
        (0x01, 7, 0xFFFFFFFF),
        (0x02, 4, 12345),
        (0x04, 5, 0xFFFFFFFF),
        (0x10, 5, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    )
)


def with_xattrs(path: Path, **values: bytes) -> Path:
    try:
        for key, value in values.items():
            os.setxattr(path, f"user.{key}", value)
    except OSError as error:
        lacking(f"the filesystem of temporary files has no attributes: {error.strerror}")
    return path


def by_tar(published: Path, *options: str) -> Path:
    """Let GNU tar extract an artifact."""
    out = published.parent.parent / f"by-tar-{published.name}"
    out.mkdir()
    command = ["tar", *options, "-xpf", published / "data.tar", "-C", out]
    subprocess.run(command, check=True)
    return out


def xattrs(path: Path) -> dict[str, bytes]:
    return {key: os.getxattr(path, key) for key in os.listxattr(path) if "selinux" not in key}


def test_extended_attributes_are_kept(jobs: Jobs, source: Path) -> None:
    """Attributes of files and directories come back, whatever their bytes."""
    (source / "sub").mkdir()
    (source / "empty").touch()
    (source / "full").write_bytes(b"x" * 1000)
    for name in ("sub", "empty", "full", "."):
        with_xattrs(source / name, origin=b"\0\xff\n=" + name.encode(), nothing=b"")

    out = by_tar(jobs.snapshot(source), "--xattrs", "--xattrs-include=*")

    for name in ("sub", "empty", "full", "."):
        assert xattrs(out / name) == xattrs(source / name)
        assert len(xattrs(out / name)) == 2
    assert jobs.last.codes() == {}


def test_access_lists_are_kept(jobs: Jobs, source: Path) -> None:
    """Access control lists are attributes of the system's and come back like any other."""
    (source / "file").write_bytes(b"x")
    try:
        os.setxattr(source / "file", "system.posix_acl_access", ACL)
    except OSError as error:
        lacking(f"the filesystem of temporary files has no access lists: {error.strerror}")

    out = by_tar(jobs.snapshot(source), "--xattrs", "--xattrs-include=*")

    assert os.getxattr(out / "file", "system.posix_acl_access") == ACL


def test_extended_attributes_can_be_left_out(jobs: Jobs, source: Path) -> None:
    """BAQUP_SOURCE_XATTRS=false leaves them out, without a word."""
    with_xattrs(source, origin=b"x")
    (source / "file").write_bytes(b"x")
    with_xattrs(source / "file", origin=b"x")

    out = by_tar(jobs.snapshot(source, xattrs=False), "--xattrs", "--xattrs-include=*")

    assert xattrs(out) == xattrs(out / "file") == {}
    assert jobs.last.codes() == {}


def failing(number: int, asked: list[Any]) -> Any:
    def fail(fd: int, *_: Any) -> Any:
        asked.append(fd)
        raise OSError(number, os.strerror(number))

    return fail


def test_a_filesystem_without_attributes_is_asked_once(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filesystem that has none is no trouble, and not asked again for each file."""
    for number in range(10):
        (source / str(number)).touch()
    asked: list[Any] = []
    monkeypatch.setattr(os, "listxattr", failing(errno.ENOTSUP, asked))

    jobs.snapshot(source)

    assert len(asked) == 1
    assert jobs.last.codes() == {}


@pytest.mark.parametrize("call", ["listxattr", "getxattr"])
def test_attributes_that_cannot_be_read_are_told(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A file whose attributes are refused is archived without them, and that is told."""
    (source / "file").write_bytes(b"x")
    with_xattrs(source / "file", origin=b"x")
    monkeypatch.setattr(os, call, failing(errno.EACCES, []))

    published = jobs.snapshot(source)

    assert "file" in jobs.last.paths("XATTR_UNREADABLE")
    assert (by_tar(published) / "file").read_bytes() == b"x"


def sparse(path: Path, *stretches: tuple[int, bytes], size: int) -> Path:
    with path.open("wb") as file:
        for offset, data in stretches:
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    if path.stat().st_blocks * 512 >= size:
        lacking("the filesystem of temporary files has no holes")
    return path


MIB = 1 << 20


@pytest.mark.parametrize(
    "stretches",
    [(), ((0, b"a"),), ((5 * MIB, b"b"),), ((0, b"a" * 5000), (3 * MIB, b"b" * 70_000)),
     ((MIB, b"x"), (9 * MIB - 1, b"e"))],
    ids=["nothing", "head", "middle", "two", "tail"],
)  # fmt: skip
def test_holes_are_not_read_and_come_back(
    jobs: Jobs, source: Path, stretches: tuple[tuple[int, bytes], ...]
) -> None:
    """A sparse file takes little room in the archive, and tar makes the same of it."""
    file = sparse(source / "sparse", *stretches, size=9 * MIB)

    published = jobs.snapshot(source)

    assert (published / "data.tar").stat().st_size < 300_000
    back = by_tar(published) / "sparse"
    assert back.read_bytes() == file.read_bytes()
    assert back.stat().st_blocks * 512 < MIB


def test_a_file_of_holes_beyond_number_is_archived_whole(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so many holes are told apart; what follows keeps its zero bytes."""
    monkeypatch.setattr(attributes, "MOST_EXTENTS", 3)
    stretches = [(number * MIB, b"%d" % number) for number in range(8)]
    file = sparse(source / "sparse", *stretches, size=8 * MIB)
    fd = os.open(file, os.O_RDONLY)

    extents = extents_of(fd, 8 * MIB)
    os.close(fd)

    assert extents is not None
    assert [offset for offset, _ in extents] == [0, MIB, 2 * MIB]
    assert sum(extents[-1]) == 8 * MIB
    assert (by_tar(jobs.snapshot(source)) / "sparse").read_bytes() == file.read_bytes()


def test_a_sparse_file_that_shrinks_is_told(jobs: Jobs, source: Path) -> None:
    """A sparse file cut short while it is read keeps its size, and the change is told."""
    file = sparse(source / "sparse", (0, b"a" * MIB), (8 * MIB, b"b" * MIB), size=9 * MIB)
    from baqup_agent.agents.fs.meter import Meter

    read = Meter.read

    def reading(meter: Meter, count: int) -> None:
        read(meter, count)
        os.truncate(file, 2 * MIB)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Meter, "read", reading)
        published = jobs.snapshot(source)

    assert jobs.last.codes() == {"FILE_CHANGED": 1}
    back = (by_tar(published) / "sparse").read_bytes()
    assert len(back) == 9 * MIB
    assert back[:MIB] == b"a" * MIB


def test_a_sparse_file_cut_while_its_holes_are_looked_for_is_told(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where data began there may be no file any more when its end is asked for: no sick disk."""
    file = sparse(source / "sparse", (0, b"a" * MIB), (8 * MIB, b"b"), size=9 * MIB)
    seek = os.lseek

    def cutting(fd: int, at: int, whence: int) -> int:
        if whence == os.SEEK_HOLE and at > MIB:
            os.truncate(file, MIB)
        return seek(fd, at, whence)

    monkeypatch.setattr(os, "lseek", cutting)

    published = jobs.snapshot(source)

    assert jobs.last.codes() == {"FILE_CHANGED": 1}
    assert (by_tar(published) / "sparse").read_bytes() == b"a" * MIB + bytes(8 * MIB)


def test_bsdtar_extracts_the_same(jobs: Jobs, source: Path, tmp_path: Path) -> None:
    """Another tar program makes the same of holes and attributes."""
    file = sparse(source / "sparse", (MIB, b"x" * 10_000), size=4 * MIB)
    with_xattrs(file, origin=b"\0x")
    (tmp_path / "out").mkdir()

    published = jobs.snapshot(source)
    extract = [command("bsdtar"), "-xpf", published / "data.tar", "-C", tmp_path / "out"]
    subprocess.run(extract, check=True)

    assert (tmp_path / "out" / "sparse").read_bytes() == file.read_bytes()
    assert xattrs(tmp_path / "out" / "sparse") == xattrs(file)
