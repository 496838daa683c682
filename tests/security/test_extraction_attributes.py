"""Extended attributes, holes, owners and modes: what a file has beside its content."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from baqup_agent.errors import DataError
from baqup_agent.security.extraction import extract
from baqup_agent.security.member import Member
from tests.security.hostile import END, file, folder, pax, sparse, symlink

AS_ROOT = os.geteuid() == 0
XATTR = b"SCHILY.xattr."

#: An access list: owner rw, user 12345 r, group r, mask r, others nothing.
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, bits, who)
    for tag, bits, who in (
        (1, 6, 2**32 - 1), (2, 4, 12345), (4, 4, 2**32 - 1), (16, 4, 2**32 - 1), (32, 0, 2**32 - 1),
    )
)  # fmt: skip


class Watcher:
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, bytes]] = []

    def member(self, member: Member, /) -> None:
        """Ignore it."""

    def data(self, count: int, /) -> None:
        """Ignore it."""

    def note(self, code: str, name: bytes, message: str, /) -> None:
        self.notes.append((code, name))


def unpack(
    target: Path, *parts: bytes, owners: bool = False, user: int | None = None
) -> list[tuple[str, bytes]]:
    watcher = Watcher()
    root = os.open(target, os.O_RDONLY)
    try:
        if user is not None:
            os.seteuid(user)
        extract(io.BytesIO(b"".join(parts) + END), root, watcher, owners=owners)
    finally:
        if user is not None:
            os.seteuid(0)
        os.close(root)
    return watcher.notes


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An empty directory on a filesystem that keeps extended attributes."""
    path = tmp_path / "target"
    path.mkdir()
    try:
        os.setxattr(tmp_path, "user.probe", b"1")
    except OSError:
        pytest.skip("the place of temporary files keeps no extended attributes")
    return path


@contextmanager
def umask(mask: int) -> Iterator[None]:
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


def test_attributes_of_files_and_directories_are_kept(target: Path) -> None:
    """What a user sets on a file or directory comes back, to the byte."""
    one = pax((XATTR + b"user.one", b"\0\xff=\n"), (XATTR + b"user.two", b""))

    notes = unpack(target, one, folder(b"d", 0o500), one, file(b"d/f", b"x", mode=0o400))

    for place in (target / "d", target / "d" / "f"):
        assert os.getxattr(place, "user.one") == b"\0\xff=\n"
        assert os.getxattr(place, "user.two") == b""
    assert notes == []
    assert stat.S_IMODE((target / "d" / "f").stat().st_mode) == 0o400


def test_access_lists_are_kept(target: Path) -> None:
    """An access list comes back, and the mode that goes with it."""
    notes = unpack(
        target, pax((XATTR + b"system.posix_acl_access", ACL)), file(b"f", b"x", mode=0o640)
    )

    if notes:
        pytest.skip("the place of temporary files keeps no access lists")
    assert os.getxattr(target / "f", "system.posix_acl_access") == ACL
    assert stat.S_IMODE((target / "f").stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o444, 0o644, 0o600, 0o000])
def test_attributes_of_what_is_read_only_are_kept_without_root(target: Path, mode: int) -> None:
    """The system asks the mode whether an attribute may be set, not how the file was opened."""
    one = pax((XATTR + b"user.one", b"1"))
    if AS_ROOT:
        os.chown(target, 12345, 12345)

    notes = unpack(
        target,
        *(one, folder(b"d", 0o555), one, file(b"f", b"x", mode=mode)),
        user=12345 if AS_ROOT else None,
    )
    kept = {name: (target / name).stat() for name in ("d", "f")}
    if not AS_ROOT:
        (target / "f").chmod(0o600)

    assert notes == []
    for name in ("d", "f"):
        assert os.getxattr(target / name, "user.one") == b"1"
    assert stat.S_IMODE(kept["d"].st_mode) == 0o555
    assert stat.S_IMODE(kept["f"].st_mode) == mode


def test_an_access_list_is_given_after_the_mode(target: Path) -> None:
    """Some archivers record the group's own rights as the mode's, which would change the mask."""
    parts = [pax((XATTR + b"user.one", b"1"), (XATTR + b"system.posix_acl_access", ACL))]
    if AS_ROOT:
        os.chown(target, 12345, 12345)

    notes = unpack(
        target,
        *(*parts, folder(b"d", 0o500), *parts, file(b"f", b"x", mode=0o400)),
        user=12345 if AS_ROOT else None,
    )

    if notes:
        pytest.skip("the place of temporary files keeps no access lists")
    for name in ("d", "f"):
        assert os.getxattr(target / name, "system.posix_acl_access") == ACL
        assert os.getxattr(target / name, "user.one") == b"1"
        assert stat.S_IMODE((target / name).stat().st_mode) == 0o640


def test_a_default_access_list_is_given_at_the_end(target: Path) -> None:
    """What a directory hands down does not change the files that are restored into it."""
    acl = pax((XATTR + b"system.posix_acl_default", ACL))

    notes = unpack(target, acl, folder(b"d"), file(b"d/f", b"x", mode=0o644))

    if notes:
        pytest.skip("the place of temporary files keeps no access lists")
    assert os.getxattr(target / "d", "system.posix_acl_default") == ACL
    assert os.listxattr(target / "d" / "f") == []
    assert stat.S_IMODE((target / "d" / "f").stat().st_mode) == 0o644


@pytest.mark.parametrize("key", [b"security.capability", b"trusted.x", b"madeup.x", b"system.x"])
def test_attributes_of_the_system_need_root(target: Path, key: bytes) -> None:
    """What bears on programs is root's to restore; for others it is told and left out."""
    parts = (pax((XATTR + key, b"\x01\0\0\x02" + bytes(16))), file(b"f", b"x"))
    if AS_ROOT:
        os.chown(target, 12345, 12345)

    notes = unpack(target, *parts, user=12345 if AS_ROOT else None)

    assert notes == [("ATTRIBUTE_NOT_RESTORED", b"f")]
    assert (target / "f").read_bytes() == b"x"


@pytest.mark.skipif(not AS_ROOT, reason="only root has attributes of the system")
def test_root_restores_attributes_of_the_system(target: Path) -> None:
    """As root, trusted attributes come back on files, directories and links."""
    trusted = pax((XATTR + b"trusted.x", b"1"))

    notes = unpack(
        target, trusted, file(b"f"), trusted, folder(b"d"), trusted, symlink(b"l", b"f"),
        owners=True,
    )  # fmt: skip

    if notes:
        pytest.skip("the place of temporary files keeps no trusted attributes")
    for name in ("f", "d", "l"):
        assert os.getxattr(target / name, "trusted.x", follow_symlinks=False) == b"1"


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"system.posix_acl_access", b"nonsense"), (b"user." + b"n" * 300, b"x"),
     (b"user.huge", b"x" * 200_000), (b"user.", b"x")],
)  # fmt: skip
def test_attributes_that_the_target_refuses_are_told(
    target: Path, key: bytes, value: bytes
) -> None:
    """A malformed access list, a name or value too long: told, and the file is there."""
    notes = unpack(target, pax((XATTR + key, value)), file(b"f", b"x"))

    assert notes == [("ATTRIBUTE_NOT_RESTORED", b"f")]
    assert (target / "f").read_bytes() == b"x"


def test_holes_stay_holes(target: Path) -> None:
    """A file with holes takes the room of its data, and reads as it did."""
    content = b"a" * 4096 + b"b" * 10
    unpack(target, sparse((65536, 4096), (2**30, 10), size=2**31, content=content, name=b"s"))

    found = (target / "s").stat()
    assert found.st_size == 2**31
    assert found.st_blocks * 512 < 2**20
    with (target / "s").open("rb") as opened:
        opened.seek(65530)
        assert opened.read(10) == bytes(6) + b"aaaa"
        opened.seek(2**30)
        assert opened.read(12) == b"b" * 10 + bytes(2)


def test_a_file_of_nothing_but_a_hole_has_its_size(target: Path) -> None:
    """A file without any data is as long as it was."""
    unpack(target, sparse(size=10**6, name=b"s"))

    assert (target / "s").read_bytes() == bytes(10**6)


def test_a_file_larger_than_files_can_be_is_refused(target: Path) -> None:
    """A size that the target's filesystem cannot hold is bad data, not trouble with the disk."""
    huge = sparse((0, 1), size=2**63 - 1, content=b"x", name=b"s")
    with (target.parent / "probe").open("wb") as probe, contextlib.suppress(OSError):
        probe.truncate(2**63 - 1)
        pytest.skip("the place of temporary files takes files of any size")

    with pytest.raises(DataError, match="larger than files can be"):
        unpack(target, huge)


@pytest.mark.parametrize("mask", [0, 0o022, 0o027, 0o077, 0o777])
@pytest.mark.parametrize("mode", [0o644, 0o666, 0o777, 0o600, 0o404, 0])
def test_modes_do_not_depend_on_the_umask(target: Path, mask: int, mode: int) -> None:
    """Whatever this process leaves out of new files, theirs are the recorded modes."""
    with umask(mask):
        unpack(target, folder(b"d", mode), file(b"f", b"x", mode=mode))

    assert stat.S_IMODE((target / "f").stat().st_mode) == mode
    assert stat.S_IMODE((target / "d").stat().st_mode) == mode


def test_a_default_access_list_of_the_target_does_not_change_modes(target: Path) -> None:
    """Where the target hands an access list down, recorded modes are set nevertheless."""
    try:
        os.setxattr(target, "system.posix_acl_default", ACL)
    except OSError:
        pytest.skip("the place of temporary files keeps no access lists")

    unpack(target, file(b"f", b"x", mode=0o664))

    assert stat.S_IMODE((target / "f").stat().st_mode) == 0o664


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_a_target_that_hands_its_group_down_does_not_change_owners(target: Path) -> None:
    """In a directory with the set-group bit, everything still gets its recorded group."""
    os.chown(target, 0, 4711)
    target.chmod(0o2755)

    unpack(target, folder(b"d"), file(b"d/f", b"x"), symlink(b"d/l", b"f"), owners=True)

    for name in ("d", "d/f", "d/l"):
        found = (target / name).lstat()
        assert (found.st_uid, found.st_gid) == (0, 0)
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o755


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_capabilities_outlive_the_change_of_owner(target: Path) -> None:
    """Attributes that a new owner would clear are set after it."""
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)

    notes = unpack(
        target,
        pax((XATTR + b"security.capability", capability)),
        file(b"f", b"x", mode=0o755, uid=4711),
        owners=True,
    )

    assert notes == []
    assert (target / "f").stat().st_uid == 4711
    assert os.getxattr(target / "f", "security.capability")[4:] == capability[4:]
