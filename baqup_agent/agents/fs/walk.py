"""Walks the source: finds what belongs to the backup, directories before their contents.

Everything is reached by descriptors from the source's root, so that a directory that is replaced
by a link meanwhile leads nowhere else. A directory's files are handed out while it is read; only
the names of directories still to be entered are kept, never a list of files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from baqup_agent.agents.fs.excludes import Excluded
from baqup_agent.agents.fs.links import LinkPolicy
from baqup_agent.agents.fs.notes import Note, note_missed
from baqup_agent.errors import IOFailure, LimitExceeded
from baqup_agent.security.beneath import Components, Tree
from baqup_agent.security.member import printable


class What(Enum):
    """Kinds of things that a backup keeps."""

    DIRECTORY = "directory"
    FILE = "file"
    LINK = "link"


class Found(NamedTuple):
    """One thing in the source.

    Attributes:
        what: its kind.
        name: its path from the root, components joined by ``/``; empty for the root.
        attributes: its metadata; None for a file, which has to be opened for them.
        directory: descriptor of the directory it stands in, valid until the walk goes on.
        leaf: its name there.
        text: what a link says.
        followed: whether it stands in the place of a link.
    """

    what: What
    name: bytes
    attributes: os.stat_result | None = None
    directory: int = -1
    leaf: bytes = b""
    text: bytes = b""
    followed: bool = False


class _Pending(NamedTuple):
    """A directory to be entered.

    Attributes:
        name: its path in the backup.
        place: where it really stands; differs below a followed link.
        depth: how many components its name has.
        parent: the directory it was found in.
    """

    name: bytes
    place: Components
    depth: int
    parent: _Pending | None


class Rules(NamedTuple):
    """What a walk goes by.

    Attributes:
        excluded: says what is left out.
        links: decides on symbolic links.
        max_files: most things other than directories; 0 for no limit.
        max_depth: most components of a path; 0 for no limit.
    """

    excluded: Excluded
    links: LinkPolicy
    max_files: int = 0
    max_depth: int = 0


class Walk:
    """One walk over a source.

    Args:
        tree: the source.
        rules: what to leave out, follow and refuse.
        note: told of what is left out and why.

    Attributes:
        files: things found so far, other than directories.
        excluded: things that a pattern left out; an excluded directory counts once.

    Iterating raises `LimitExceeded`, `DataError` for a link that the policy refuses, and
    `IOFailure` when a directory cannot be read.
    """

    def __init__(self, tree: Tree, rules: Rules, note: Note) -> None:
        self.files = 0
        self.excluded = 0
        self._tree = tree
        self._rules = rules
        self._note = note
        self._pending: list[_Pending] = []

    def __iter__(self) -> Iterator[Found]:
        self._pending.append(_Pending(b"", (), 0, None))
        while self._pending:
            directory = self._pending.pop()
            try:
                yield from self._enter(directory)
            except OSError as error:
                raise IOFailure(
                    f"directory {printable(directory.name) or '.'!r} of the source cannot be read: "
                    f"{error.strerror}"
                ) from error

    def _enter(self, directory: _Pending) -> Iterator[Found]:
        fd = self._open(directory)
        if fd is None:
            yield from self._closed(directory)
            return
        yield Found(What.DIRECTORY, directory.name, os.fstat(fd))
        with os.scandir(fd) as entries:
            for entry in entries:
                yield from self._consider(entry, directory, fd)

    def _open(self, directory: _Pending) -> int | None:
        try:
            return self._tree.enter(directory.place)
        except OSError as error:
            if not note_missed(self._note, directory.name, error):
                raise
            return None

    def _closed(self, directory: _Pending) -> Iterator[Found]:
        """Find a directory that cannot be read but is there: it is kept, empty."""
        try:
            parent = self._tree.enter(directory.place[:-1])
            found = os.stat(directory.place[-1], dir_fd=parent, follow_symlinks=False)
        except (OSError, IndexError):
            return  # it was noted when it could not be opened
        if stat.S_ISDIR(found.st_mode):
            yield Found(What.DIRECTORY, directory.name, found)

    def _consider(self, entry: os.DirEntry[str], directory: _Pending, fd: int) -> Iterator[Found]:
        leaf = os.fsencode(entry.name)
        name = directory.name + b"/" + leaf if directory.name else leaf
        is_directory = entry.is_dir(follow_symlinks=False)
        if self._rules.excluded(name, is_directory):
            self.excluded += 1
            return
        self._within(directory.depth + 1, self._rules.max_depth, "MAX_DEPTH", name)
        if is_directory:
            place = (*directory.place, leaf)
            self._defer(_Pending(name, place, directory.depth + 1, directory))
        elif entry.is_file(follow_symlinks=False):
            yield self._count(Found(What.FILE, name, None, fd, leaf))
        elif entry.is_symlink():
            yield from self._link(name, leaf, directory, fd)
        else:
            self._special(name, leaf, fd)

    def _link(self, name: bytes, leaf: bytes, directory: _Pending, fd: int) -> Iterator[Found]:
        try:
            text = os.readlink(leaf, dir_fd=fd)
            found = os.stat(leaf, dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            if note_missed(self._note, name, error):
                return
            raise
        verdict = self._rules.links.decide(directory.place, leaf, text)
        if verdict.code is not None:
            self._note(verdict.code, name, verdict.message)
        if verdict.text is not None:
            yield self._count(Found(What.LINK, name, found, fd, leaf, verdict.text))
        elif verdict.place is not None:
            yield from self._follow(name, directory, verdict.place)

    def _follow(self, name: bytes, directory: _Pending, place: Components) -> Iterator[Found]:
        try:
            found = self._rules.links.stat(place)
        except OSError:
            self._note("SYMLINK_SKIPPED", name, "leads to nothing that can be reached")
            return
        if stat.S_ISDIR(found.st_mode):
            self._defer(_Pending(name, place, directory.depth + 1, directory))
        elif stat.S_ISREG(found.st_mode) and place:
            parent = self._rules.links.directory(place)
            yield self._count(Found(What.FILE, name, None, parent, place[-1], followed=True))
        else:
            self._note("SYMLINK_SKIPPED", name, "leads in circles, or to a special file")

    def _defer(self, directory: _Pending) -> None:
        """Keep a directory for later, unless it is one that the walk stands in."""
        # Without followed links no directory can stand in itself.
        ancestor = directory.parent if self._rules.links.follows else None
        while ancestor is not None:
            if ancestor.place == directory.place:
                self._note("SYMLINK_SKIPPED", directory.name, "leads back to a directory above it")
                return
            ancestor = ancestor.parent
        self._pending.append(directory)

    def _special(self, name: bytes, leaf: bytes, fd: int) -> None:
        try:
            mode = os.stat(leaf, dir_fd=fd, follow_symlinks=False).st_mode
        except OSError as error:
            if note_missed(self._note, name, error):
                return
            raise
        kind = "socket" if stat.S_ISSOCK(mode) else "fifo" if stat.S_ISFIFO(mode) else "device"
        self._note("SPECIAL_FILE_SKIPPED", name, f"{kind} left out: it has no content to keep")

    def _count(self, found: Found) -> Found:
        self.files += 1
        self._within(self.files, self._rules.max_files, "MAX_FILES", found.name)
        return found

    def _within(self, count: int, limit: int, variable: str, name: bytes) -> None:
        if limit and count > limit:
            message = (
                f"the source exceeds BAQUP_SOURCE_{variable}={limit} at {printable(name)!r}; "
                "raise the limit, or exclude what does not belong to the backup"
            )
            self._note("RESOURCE_LIMIT_EXCEEDED", name, message)
            raise LimitExceeded(message)
