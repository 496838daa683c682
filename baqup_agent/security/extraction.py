"""Writes an archive's members to an empty directory, and nowhere else (Contract §7).

An archive is not trusted, wherever it comes from. The rules:

* a name is relative and without ``..``; its directories are opened beneath the root and never
  through a link, so neither a link that the archive brings along nor one that somebody puts in
  the way meanwhile can redirect what follows;
* everything is created anew: a second member of the same name is refused, and so is a member
  whose directory the archive has not brought before;
* symbolic links are made when everything else stands; one points to a place in the tree, however
  it is combined with the others;
* a hard link stands for a file that the archive has written already, never for one of ours;
* devices, sockets and fifos are refused;
* set-id bits are kept only together with the recorded owner.

Directories stay writable while the archive is read and get their own modes and times at the end.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple, Protocol

from baqup_agent.errors import DataError, IOFailure, PathEscape
from baqup_agent.security.archive_reader import ArchiveReader, ByteSource
from baqup_agent.security.beneath import Components, Tree, climbs_back, resolve
from baqup_agent.security.caps import Caps, Limits
from baqup_agent.security.choosing import Chooser, Wanted
from baqup_agent.security.dressing import PRIVATE_DIRECTORY, Dresser
from baqup_agent.security.ledger import Ledger
from baqup_agent.security.member import Kind, Member, printable, split
from baqup_agent.security.refusals import (
    blame,
    blaming,
    check_symlink,
    link_escape,
    original_of,
)

__all__ = ["Limits", "Observer", "Selection", "extract"]

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Observer(Protocol):
    """Is told how the extraction goes, and may end it by raising."""

    def member(self, member: Member, /) -> None:
        """A member is about to be written."""

    def data(self, count: int, /) -> None:
        """So many more bytes of content were written; 0 if a member was passed over."""

    def note(self, code: str, name: bytes, message: str, /) -> None:
        """Something about a member could not be kept; the extraction goes on."""


class Selection(NamedTuple):
    """A part of an archive.

    Attributes:
        wanted: tells which names belong to it.
        reopen: opens the archive once more. A second name of a file may belong to it where the
            first does not, and the content is gone by then.
    """

    wanted: Wanted
    reopen: Callable[[], AbstractContextManager[ByteSource]]


def extract(
    source: ByteSource,
    root: int,
    observer: Observer,
    *,
    owners: bool,
    limits: Limits | None = None,
    selection: Selection | None = None,
    reserved: bytes | None = None,
    seal: Callable[[], None] | None = None,
) -> bool:
    """Write the members of a tar stream beneath ``root``.

    Args:
        source: the archive, uncompressed.
        root: descriptor of an empty directory.
        observer: is told of every member.
        owners: give members their recorded owner and group, by number, and their set-id bits.
        limits: how much the archive may hold.
        selection: what to write of it; None for everything.
        reserved: a name that is in use in the target; a member of that name is left out.
        seal: called when all is written and only the root's own attributes are missing.

    Returns:
        Whether the archive held anything that was asked for.

    Raises:
        PathEscape: a member or a link leads out of the root.
        DataError: the archive is damaged, or holds what is refused.
        LimitExceeded: it holds more than ``limits`` allow.
        IOFailure: the system refused to write.
    """
    with ExitStack() as stack:
        extraction = _Extraction(source, root, observer, limits or Limits(), stack, owners=owners)
        return extraction.run(selection, reserved, seal)


class _Extraction:
    def __init__(
        self,
        source: ByteSource,
        root: int,
        observer: Observer,
        limits: Limits,
        stack: ExitStack,
        *,
        owners: bool,
    ) -> None:
        self._reader = ArchiveReader(source, limits.header_bytes)
        self._limits = limits
        self._root = root
        #: Path of what is in the target already.
        self._reserved: Components | None = None
        self._observer = observer
        self._dresser = Dresser(root, observer.note, owners=owners)
        self._tree = stack.enter_context(Tree(root))
        #: A second set of descriptors: a hard link needs two directories open at once.
        self._originals = stack.enter_context(Tree(root))
        #: The directory that the last member went to: most are followed by more of the same.
        self._parent, self._parent_fd = b"", root
        self._root_member: Member | None = None
        #: Every directory written but the root, parents before children.
        self._directories = stack.enter_context(Ledger(root))
        self._symlinks = stack.enter_context(Ledger(root))
        #: Whether any link's place depends on other links.
        self._entangled = False
        #: Hard links whose file was not chosen, by the file's name.
        self._strays: dict[bytes, list[Member]] = {}

    def run(
        self,
        selection: Selection | None,
        reserved: bytes | None,
        seal: Callable[[], None] | None,
    ) -> bool:
        self._reserved = None if reserved is None else split(reserved)
        chooser = Chooser(selection.wanted if selection else None)
        admit = Caps(self._limits).admit
        for member in self._reader:
            admit(member)
            if member.name == reserved:
                self._observer.note(
                    "SPECIAL_FILE_SKIPPED",
                    member.name,
                    "left out: the restore itself uses the name",
                )
            elif selection is None:
                self._take(member)
            else:
                self._take_chosen(chooser.choose(member))
        if selection is not None and self._strays:
            self._fetch_strays(selection)
        self._make_symlinks()
        self._finish_directories()
        if seal is not None:
            seal()
        self._finish_root()
        return selection is None or chooser.found

    def _take_chosen(self, chosen: Sequence[Member]) -> None:
        for each in chosen:
            self._take(each, strays=True)
        if not chosen:
            self._observer.data(0)

    def _take(self, member: Member, *, strays: bool = False) -> None:
        self._observer.member(member)
        try:
            if member.kind is Kind.FILE:
                self._make_file(member)
            elif member.kind is Kind.DIRECTORY:
                self._make_directory(member)
            elif member.kind is Kind.SYMLINK:
                self._note_symlink(member)
            else:
                self._make_hardlink(member, strays=strays)
        except (OSError, ValueError, OverflowError) as error:
            raise blame(member.name, error) from error

    def _enter(self, parent: bytes) -> int:
        """Return a descriptor of the directory, good until another one is entered."""
        if parent != self._parent:
            self._parent_fd = self._tree.enter(split(parent))
            self._parent = parent
        return self._parent_fd

    def _leave(self) -> None:
        self._parent, self._parent_fd = b"", self._root

    def _make_directory(self, member: Member) -> None:
        name = member.name
        if not name:
            if self._root_member is not None:
                raise FileExistsError(errno.EEXIST, "the root occurs twice")
            self._root_member = member
            return
        parent, _, leaf = name.rpartition(b"/")
        os.mkdir(leaf, PRIVATE_DIRECTORY, dir_fd=self._enter(parent))
        xattrs = tuple(member.xattrs.items())
        self._directories.append(
            (name, member.mode, member.uid, member.gid, member.mtime_ns, xattrs)
        )

    def _make_file(self, member: Member) -> None:
        parent, _, leaf = member.name.rpartition(b"/")
        if not leaf:
            raise _no_root(member)
        directory = self._parent_fd if parent == self._parent else self._enter(parent)
        mode, complete = self._dresser.birth(member)
        fd = os.open(leaf, _NEW_FILE, mode, dir_fd=directory)
        try:
            if member.extents is not None:
                self._write_extents(fd, member)
            elif member.size:
                self._write_all(fd, member.size)
            if complete:
                os.utime(fd, ns=(member.mtime_ns, member.mtime_ns))
            else:
                self._dresser.file(fd, member, mode)
        finally:
            os.close(fd)

    def _write_all(self, fd: int, missing: int) -> None:
        while missing and (piece := self._reader.piece()):
            written = os.write(fd, piece)
            while written < len(piece):
                written += os.write(fd, memoryview(piece)[written:])
            missing -= written
            self._observer.data(written)

    def _write_extents(self, fd: int, member: Member) -> None:
        """Write what is between the holes; the size is set first, so an absurd one fails early."""
        os.ftruncate(fd, member.size)
        extents = iter(member.extents or ())
        at = left = 0
        for piece in self._reader.content():
            view = memoryview(piece)
            while view:
                while not left:
                    at, left = next(extents, (0, -1))
                if left < 0 or at < 0 or at + left > member.size:
                    raise DataError(
                        f"member {printable(member.name)!r} has data beyond its size; "
                        "take another copy"
                    )
                written = os.pwrite(fd, view[:left], at)
                view, at, left = view[written:], at + written, left - written
            self._observer.data(len(piece))

    def _note_symlink(self, member: Member) -> None:
        if not member.name:
            raise _no_root(member)
        check_symlink(member)
        entangled = climbs_back(member.link)
        self._entangled = self._entangled or entangled
        xattrs = tuple(member.xattrs.items())
        self._symlinks.append(
            (member.name, member.link, entangled, member.uid, member.gid, member.mtime_ns, xattrs)
        )

    def _make_hardlink(self, member: Member, *, strays: bool) -> None:
        parent, _, leaf = member.name.rpartition(b"/")
        if not leaf:
            raise _no_root(member)
        original = original_of(member)
        if original == self._reserved:
            raise DataError(
                f"hard link {printable(member.name)!r} stands for {printable(member.link)!r}, "
                "a name that the restore itself uses; restore without the link"
            )
        directory = self._enter(parent)
        try:
            self._link(original, directory, leaf, member)
        except FileNotFoundError:
            if not strays:
                raise
            self._strays.setdefault(member.link, []).append(member)

    def _link(self, original: Components, directory: int, leaf: bytes, member: Member) -> None:
        there = self._originals.enter(original[:-1])
        # The target was empty at the start: a regular file in it is one of the archive's.
        found = os.stat(original[-1], dir_fd=there, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise PathEscape(
                f"hard link {printable(member.name)!r} stands for {printable(member.link)!r}, "
                "which is no file"
            )
        os.link(original[-1], leaf, src_dir_fd=there, dst_dir_fd=directory, follow_symlinks=False)

    def _fetch_strays(self, selection: Selection) -> None:
        """Read the archive once more for files of which only another name was chosen."""
        with selection.reopen() as source:
            self._reader = ArchiveReader(source, self._limits.header_bytes)
            for member in self._reader:
                self._observer.data(0)
                if member.kind is Kind.FILE and member.name in self._strays:
                    self._make_stray(member)
        for original, links in self._strays.items():
            raise blame(links[0].name, FileNotFoundError(errno.ENOENT, printable(original)))

    def _make_stray(self, member: Member) -> None:
        first, *others = self._strays.pop(member.name)
        with blaming(first.name):
            self._make_file(member._replace(name=first.name))
        for other in others:
            with blaming(other.name):
                self._make_hardlink(other._replace(link=first.name), strays=False)

    def _make_symlinks(self) -> None:
        for name, text, _, uid, gid, mtime_ns, xattrs in self._symlinks:
            parent, _, leaf = name.rpartition(b"/")
            with blaming(name):
                directory = self._enter(parent)
                os.symlink(text, leaf, dir_fd=directory)
                self._dresser.symlink(directory, name, uid, gid, mtime_ns, xattrs)
        self._leave()
        if self._entangled:
            for name, text, entangled, *_ in self._symlinks:
                if entangled:
                    with blaming(name):
                        self._check_entangled(split(name), text)

    def _check_entangled(self, path: Components, text: bytes) -> None:
        if resolve(self._tree, path[:-1], text).place is None:
            os.unlink(path[-1], dir_fd=self._tree.enter(path[:-1]))
            raise link_escape(b"/".join(path), text)

    def _finish_directories(self) -> None:
        for name, mode, uid, gid, mtime_ns, xattrs in reversed(self._directories):
            with blaming(name):
                fd = self._tree.enter(split(name))
                self._dresser.directory(fd, name, mode, uid, gid, mtime_ns, xattrs)

    def _finish_root(self) -> None:
        member = self._root_member
        if member is None:
            return
        try:
            self._dresser.directory(
                self._root,
                b"",
                member.mode,
                member.uid,
                member.gid,
                member.mtime_ns,
                member.xattrs.items(),
            )
        except PermissionError:
            # It may be somebody else's, a mounted volume for instance.
            self._observer.note(
                "PERMISSION_DENIED", b"", "the target's own mode and time are not ours to set"
            )
        except OSError as error:
            raise IOFailure(f"the target itself cannot be changed: {error.strerror}") from error


def _no_root(member: Member) -> DataError:
    return DataError(f"the archive's root is a {member.kind.name}, not a directory")
