"""Archives in tests: written and read by us, by GNU tar and by bsdtar."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from baqup_agent.security.archive_reader import ArchiveReader
from baqup_agent.security.member import Kind, Member
from baqup_agent.staging.archive import ArchiveWriter
from tests.lacking import lacking

NOW_NS = 1_700_000_000_123_456_789

_PACKAGES = {"tar": "tar", "bsdtar": "libarchive-tools", "setfacl": "acl"}


class Sink(io.BytesIO):
    """Keeps an archive in memory, and takes open files as an artifact's writer does."""

    def copy_from_fd(
        self,
        fd: int,
        size: int | None = None,
        *,
        offset: int | None = None,
        on_bytes: Callable[[int], object] | None = None,
    ) -> int:
        assert size is not None
        taken = 0
        while taken < size:
            wanted = min(size - taken, 65536)
            data = os.read(fd, wanted) if offset is None else os.pread(fd, wanted, offset + taken)
            if not data:
                break
            self.write(data)
            taken += len(data)
            if on_bytes:
                on_bytes(len(data))
        return taken


@contextmanager
def content_of(data: bytes) -> Iterator[int]:
    """An open file that holds ``data``, at its beginning."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file.fileno()


def archived(*items: tuple[Member, bytes] | Member) -> bytes:
    """Write an archive; files come with their whole content, holes included."""
    out = Sink()
    archive = ArchiveWriter(out)
    for item in items:
        member, content = (item, None) if isinstance(item, Member) else item
        if content is None:
            archive.add(member)
        else:
            with content_of(content) as fd:
                archive.add_file(member, fd)
    archive.close()
    return out.getvalue()


def a_file(name: bytes, content: bytes = b"", **attributes: object) -> tuple[Member, bytes]:
    """A file of our time, with its content."""
    return Member(Kind.FILE, name, 0o644, size=len(content), mtime_ns=NOW_NS)._replace(
        **attributes
    ), content


def read(data: bytes) -> list[tuple[Member, bytes]]:
    """Every member with its stored content, as our reader finds them."""
    reader = ArchiveReader(io.BytesIO(data))
    return [(member, b"".join(reader.content())) for member in reader]


def whole(member: Member, stored: bytes) -> bytes:
    """A file's content with its holes filled."""
    if member.extents is None:
        return stored
    content = bytearray(member.size)
    at = 0
    for offset, length in member.extents:
        content[offset : offset + length] = stored[at : at + length]
        at += length
    return bytes(content)


def need(program: str) -> None:
    """Go on only where an oracle is there."""
    if shutil.which(program) is None:
        lacking(f"{program} is absent, an oracle of this test: package {_PACKAGES[program]}")


def run(arguments: Sequence[str | bytes | Path], stdin: bytes | None = None) -> bytes:
    """Run a program that has to succeed without a word of complaint; returns its output."""
    need(str(arguments[0]))
    done = subprocess.run(
        arguments,
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return done.stdout


def tar(*arguments: str | bytes | Path, stdin: bytes | None = None) -> bytes:
    """Run GNU tar."""
    # What a header says of its character set is of use to bsdtar alone.
    return run(["tar", "--warning=no-unknown-keyword", *arguments], stdin)


def bsdtar(*arguments: str | bytes | Path, stdin: bytes | None = None) -> bytes:
    """Run bsdtar."""
    return run(["bsdtar", *arguments], stdin)


class Seen(NamedTuple):
    """All that an archive must keep of one thing on disk."""

    kind: Kind
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    content: bytes
    first_name: bytes
    xattrs: dict[bytes, bytes]


def look(root: Path) -> dict[bytes, Seen]:
    """Every thing of a tree by its path; the root is empty, linked files have their least name."""
    first_names: dict[tuple[int, int], bytes] = {}
    seen: dict[bytes, Seen] = {}
    for name, path in sorted(walk(root)):
        found = path.lstat()
        kind = KINDS[stat.S_IFMT(found.st_mode)]
        content = b""
        if kind is Kind.FILE:
            content = path.read_bytes()
        elif kind is Kind.SYMLINK:
            content = os.readlink(os.fsencode(path))  # noqa: PTH115  a Path would tidy the text
        seen[name] = Seen(
            kind,
            stat.S_IMODE(found.st_mode),
            (found.st_uid, found.st_gid),
            found.st_mtime_ns,
            content,
            first_names.setdefault((found.st_dev, found.st_ino), name),
            xattrs_of(path),
        )
    return seen


KINDS = {stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFREG: Kind.FILE, stat.S_IFLNK: Kind.SYMLINK}


def walk(root: Path) -> Iterator[tuple[bytes, Path]]:
    """Everything in a tree by name, the root with an empty name.

    What a directory holds follows it at once: tar programs set its time when they leave it.
    """

    def below(folder: Path) -> Iterator[tuple[bytes, Path]]:
        yield os.fsencode(folder.relative_to(root)) if folder != root else b"", folder
        if folder.is_dir() and not folder.is_symlink():
            for path in sorted(folder.iterdir(), key=os.fsencode):
                yield from below(path)

    return below(root)


def unlike(found: dict[bytes, Seen], expected: dict[bytes, Seen]) -> list[str]:
    """What differs between two trees, in few words: a long difference takes minutes to print."""
    names = [f"{name[:40]!r} is on one side" for name in found.keys() ^ expected.keys()]
    return names + [
        f"{name[:40]!r}: {field} {str(one)[:60]} is {str(other)[:60]}"
        for name in found.keys() & expected.keys()
        for field, one, other in zip(Seen._fields, found[name], expected[name], strict=True)
        if one != other
    ]


def xattrs_of(path: Path) -> dict[bytes, bytes]:
    """What a backup keeps of a thing's extended attributes; SELinux has its own policy."""
    return {
        os.fsencode(name): os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if name != "security.selinux"
    }


def data_extents(fd: int, size: int) -> tuple[tuple[int, int], ...] | None:
    """Where the filesystem has data of an open file; None if it is one piece."""
    found: list[tuple[int, int]] = []
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # the rest is a hole
            break
        end = os.lseek(fd, start, os.SEEK_HOLE)
        found.append((start, end - start))
    os.lseek(fd, 0, os.SEEK_SET)
    return None if sum(length for _, length in found) == size else tuple(found)


def archive_of(root: Path) -> bytes:
    """Write a tree with all that the archive format can keep of it."""
    out = Sink()
    archive = ArchiveWriter(out)
    things, written = look(root), dict[bytes, bytes]()
    for name, _ in walk(root):
        seen = things[name]
        original = written.setdefault(seen.first_name, name)
        member = Member(
            seen.kind, name, seen.mode, *seen.owner, 0, seen.mtime_ns, xattrs=seen.xattrs
        )
        if seen.kind is Kind.SYMLINK:
            archive.add(member._replace(link=seen.content))
        elif original != name:
            archive.add(member._replace(kind=Kind.HARDLINK, link=original))
        elif seen.kind is Kind.DIRECTORY:
            archive.add(member)
        else:
            with (root / os.fsdecode(name)).open("rb", buffering=0) as file:
                extents = data_extents(file.fileno(), len(seen.content))
                member = member._replace(size=len(seen.content), extents=extents)
                assert archive.add_file(member, file.fileno()) == member.stored_bytes
    archive.close()
    return out.getvalue()


def seen_in(data: bytes) -> dict[bytes, Seen]:
    """What our reader finds in an archive, in the words of `look`."""
    seen: dict[bytes, Seen] = {}
    for member, stored in read(data):
        owner = (member.uid, member.gid)
        if member.kind is Kind.HARDLINK:
            together = [
                name for name in seen if seen[name].first_name == seen[member.link].first_name
            ]
            least = min(member.name, *together)
            for name in (*together, member.name):
                seen[name] = seen[member.link]._replace(first_name=least)
            continue
        content = member.link if member.kind is Kind.SYMLINK else whole(member, stored)
        seen[member.name] = Seen(
            member.kind, member.mode, owner, member.mtime_ns, content, member.name,
            dict(member.xattrs),
        )  # fmt: skip
    return seen
