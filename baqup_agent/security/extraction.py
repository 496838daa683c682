"""Writes an archive's members to an empty directory, and nowhere else (Contract §7).

An archive is not trusted, wherever it comes from. The rules:

* a name is relative and without ``..``; its directories are opened one by one and never through
  a link, so a link that the archive brings along cannot redirect what follows;
* everything is created anew: a second member of the same name is refused, and so is a member
  whose directory the archive has not brought before;
* a symbolic link points to a place in the tree, however it is combined with the others;
* a hard link stands for a file that the archive has written already;
* devices, sockets and fifos are refused;
* set-id bits are kept only where the recorded owner could be kept too.

Directories stay writable while the archive is read and get their own modes and times at the end.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from baqup_agent.errors import BaqupError, DataError, IOFailure, LimitExceeded, PathEscape
from baqup_agent.security.archive_reader import (
    HEADER_BYTES,
    ArchiveReader,
    ByteSource,
)
from baqup_agent.security.beneath import Components, Tree, climb, climbs_back, resolve
from baqup_agent.security.member import SET_ID_MASK, Kind, Member, printable, split

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE_FILE = 0o600
_PRIVATE_DIRECTORY = 0o700


class Limits(NamedTuple):
    """How much an archive may hold; 0 is no limit.

    Attributes:
        max_files: members other than directories.
        max_depth: components of a name.
        max_bytes: content of all files together.
        header_bytes: headers of one member.
    """

    max_files: int = 0
    max_depth: int = 0
    max_bytes: int = 0
    header_bytes: int = HEADER_BYTES


class Observer(Protocol):
    """Is told how the extraction goes, and may end it by raising."""

    def member(self, member: Member, /) -> None:
        """A member is about to be written."""

    def data(self, count: int, /) -> None:
        """So many more bytes of content were written."""

    def note(self, code: str, name: bytes, message: str, /) -> None:
        """Something about a member could not be kept; the extraction goes on."""


def extract(
    source: ByteSource,
    root: int,
    observer: Observer,
    *,
    owners: bool,
    limits: Limits | None = None,
) -> None:
    """Write every member of a tar stream beneath ``root``.

    Args:
        source: the archive, uncompressed.
        root: descriptor of an empty directory.
        observer: is told of every member.
        owners: give members their recorded owner and group, by number.
        limits: how much the archive may hold.

    Raises:
        PathEscape: a member or a link leads out of the root.
        DataError: the archive is damaged, or holds what is refused.
        LimitExceeded: it holds more than ``limits`` allow.
        IOFailure: the system refused to write.
    """
    with Tree(root) as tree, Tree(root) as originals:
        _Extraction(source, tree, originals, observer, limits or Limits(), owners=owners).run()


class _Extraction:
    def __init__(
        self,
        source: ByteSource,
        tree: Tree,
        originals: Tree,
        observer: Observer,
        limits: Limits,
        *,
        owners: bool,
    ) -> None:
        self._reader = ArchiveReader(source, limits.header_bytes)
        self._tree = tree
        #: A second set of descriptors: a hard link needs two directories open at once.
        self._originals = originals
        self._observer = observer
        self._limits = limits
        self._owners = owners
        self._files = 0
        self._bytes = 0
        #: Every directory written, parents before children.
        self._directories: dict[Components, Member] = {}
        #: Links whose place depends on other links, checked when all of them stand.
        self._entangled: list[Member] = []

    def run(self) -> None:
        for member in self._reader:
            self._observer.member(member)
            path = member.path
            self._admit(member, path)
            with _blaming(member):
                self._write(member, path)
        for member in self._entangled:
            with _blaming(member):
                self._check_entangled(member)
        for path, member in reversed(self._directories.items()):
            with _blaming(member):
                self._finish_directory(path, member)

    def _admit(self, member: Member, path: Components) -> None:
        self._files += member.kind is not Kind.DIRECTORY
        self._bytes += member.size
        _within(self._files, self._limits.max_files, "files", member)
        _within(len(path), self._limits.max_depth, "levels of directories", member)
        _within(self._bytes, self._limits.max_bytes, "bytes", member)

    def _write(self, member: Member, path: Components) -> None:
        if member.kind is Kind.DIRECTORY:
            self._make_directory(member, path)
            return
        if not path:
            raise DataError(f"the archive's root is a {member.kind.name}, not a directory")
        parent, leaf = self._tree.enter(path[:-1]), path[-1]
        if member.kind is Kind.FILE:
            self._make_file(member, parent, leaf)
        elif member.kind is Kind.SYMLINK:
            self._make_symlink(member, path, parent)
        else:
            self._make_hardlink(member, parent, leaf)

    def _make_directory(self, member: Member, path: Components) -> None:
        if path:
            os.mkdir(path[-1], _PRIVATE_DIRECTORY, dir_fd=self._tree.enter(path[:-1]))
        elif path in self._directories:
            raise FileExistsError(errno.EEXIST, "the root occurs twice")
        self._directories[path] = member

    def _make_file(self, member: Member, parent: int, leaf: bytes) -> None:
        fd = os.open(leaf, _NEW_FILE, _PRIVATE_FILE, dir_fd=parent)
        try:
            for piece in self._reader.content():
                _write_all(fd, piece)
                self._observer.data(len(piece))
            self._dress(fd, member)
        finally:
            os.close(fd)

    def _make_symlink(self, member: Member, path: Components, parent: int) -> None:
        if not member.link or b"\0" in member.link:
            raise DataError(f"link {printable(member.name)!r} has an empty text or a zero byte")
        if member.link.startswith(b"/") or climb(member.link) > len(path) - 1:
            raise _escape(member)
        os.symlink(member.link, path[-1], dir_fd=parent)
        if climbs_back(member.link):
            self._entangled.append(member)
        if self._owners:
            with self._tolerating_owner(member):
                os.chown(path[-1], member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        times = (member.mtime_ns, member.mtime_ns)
        os.utime(path[-1], ns=times, dir_fd=parent, follow_symlinks=False)

    def _make_hardlink(self, member: Member, parent: int, leaf: bytes) -> None:
        original = split(member.link)
        if not original:
            raise DataError(f"hard link {printable(member.name)!r} stands for the root directory")
        directory = self._originals.enter(original[:-1])
        # The target was empty at the start: a regular file in it is one of the archive's.
        found = os.stat(original[-1], dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise PathEscape(
                f"hard link {printable(member.name)!r} stands for {printable(member.link)!r}, "
                "which is no file"
            )
        os.link(original[-1], leaf, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)

    def _check_entangled(self, member: Member) -> None:
        path = member.path
        if resolve(self._tree, path[:-1], member.link).place is None:
            os.unlink(path[-1], dir_fd=self._tree.enter(path[:-1]))
            raise _escape(member)

    def _finish_directory(self, path: Components, member: Member) -> None:
        fd = self._tree.enter(path)
        try:
            self._dress(fd, member)
        except PermissionError:
            # The root may be somebody else's, a mounted volume for instance.
            if path:
                raise
            self._observer.note(
                "PERMISSION_DENIED", b"", "the target's own mode and time are not ours to set"
            )

    def _dress(self, fd: int, member: Member) -> None:
        """Give an open file or directory its owner, mode and time, in this order."""
        if self._owners:
            with self._tolerating_owner(member):
                os.fchown(fd, member.uid, member.gid)
        os.fchmod(fd, self._mode(fd, member))
        os.utime(fd, ns=(member.mtime_ns, member.mtime_ns))

    def _mode(self, fd: int, member: Member) -> int:
        if not member.mode & SET_ID_MASK:
            return member.mode
        found = os.fstat(fd)
        if (found.st_uid, found.st_gid) == (member.uid, member.gid):
            return member.mode
        self._observer.note(
            "SET_ID_CLEARED", member.name, "set-id bits without the recorded owner were cleared"
        )
        return member.mode & ~SET_ID_MASK

    @contextmanager
    def _tolerating_owner(self, member: Member) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Root in a container may lack the capability, or the number may not be mapped.
            if error.errno not in {errno.EPERM, errno.EINVAL}:
                raise
            self._observer.note(
                "OWNER_NOT_RESTORED", member.name, "the system refused the recorded owner"
            )


def _within(count: int, limit: int, what: str, member: Member) -> None:
    if limit and count > limit:
        raise LimitExceeded(
            f"the archive holds more than {limit} {what} (at {printable(member.name)!r}); "
            "raise the limit if that is intended"
        )


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def _escape(member: Member) -> PathEscape:
    return PathEscape(
        f"link {printable(member.name)!r} points out of the target to {printable(member.link)!r}; "
        "links of an archive stay inside it"
    )


#: What the archive is to blame for: the system's answers to impossible names.
_REFUSALS = {
    errno.EEXIST: (DataError, "occurs twice"),
    errno.ENOENT: (DataError, "needs a directory or file that the archive has not brought before"),
    errno.ENOTDIR: (PathEscape, "leads through something that is no directory"),
    errno.ELOOP: (PathEscape, "leads through a link"),
    errno.ENAMETOOLONG: (DataError, "has a name longer than the target allows"),
    errno.EINVAL: (DataError, "has a name that the target does not allow"),
}


@contextmanager
def _blaming(member: Member) -> Iterator[None]:
    """Translate the system's answers to writing one member."""
    try:
        yield
    except BaqupError:
        raise
    except OSError as error:
        name = printable(member.name)
        refusal = _REFUSALS.get(error.errno or 0)
        if refusal is None:
            raise IOFailure(f"{name!r} cannot be written: {error.strerror}") from error
        kind, reason = refusal
        raise kind(f"member {name!r} {reason}") from error
