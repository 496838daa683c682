"""Walks the source: finds what belongs to the backup, directories before their contents.

Everything is reached by descriptors from the source's root, so that a directory that is replaced
by a link meanwhile leads nowhere else. A directory's files are handed out while it is read; only
the names of directories still to be entered are kept, and most of them on disk.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from baqup_agent.agents.fs.excludes import Excluded
from baqup_agent.agents.fs.links import LinkPolicy
from baqup_agent.agents.fs.notes import Note, note_missed
from baqup_agent.agents.fs.pending import Pending, PendingDirectories
from baqup_agent.errors import IOFailure, LimitExceeded
from baqup_agent.security.beneath import Components, Tree
from baqup_agent.security.member import printable, split

#: Share of a limit from which on a note says that it is near, and the least limit for that.
_NEAR, _NEAR_FROM = 0.9, 100

#: Excluded things between two looks at the cancellation.
_CHECK_EVERY = 256

_ENCODING = sys.getfilesystemencoding()
_ERRORS = sys.getfilesystemencodeerrors()


class What(Enum):
    """Kinds of things that a backup keeps."""

    DIRECTORY = "directory"
    FILE = "file"
    LINK = "link"


_FILE = What.FILE  # looking a member up in its class takes as long as the rest of the tuple


class Found(NamedTuple):
    """One thing in the source.

    Attributes:
        what: its kind.
        name: its path from the root, components joined by ``/``; empty for the root.
        attributes: its metadata; None for a file, which has to be opened for them.
        directory: descriptor of the directory it stands in, a directory's own; valid until the
            walk goes on, and -1 for a directory that could not be opened.
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


class Rules(NamedTuple):
    """What a walk goes by.

    Attributes:
        links: decides on symbolic links.
        spill_dir: where the list of directories still to be entered may overflow to.
        excluded: says what is left out; None for nothing.
        max_files: most things other than directories; 0 for no limit.
        max_depth: most components of a path; 0 for no limit.
        one_file_system: whether other filesystems than the root's are left out.
    """

    links: LinkPolicy
    spill_dir: Path
    excluded: Excluded | None = None
    max_files: int = 0
    max_depth: int = 0
    one_file_system: bool = False


class Walk:
    """One walk over a source; a context manager, iterated once.

    Args:
        tree: the source.
        rules: what to leave out, follow and refuse.
        note: told of what is left out and why.
        check: called now and then where nothing is handed out; raises when the job must stop.

    Attributes:
        files: things found so far, other than directories.
        excluded: things that a pattern left out; an excluded directory counts once.

    Iterating raises `LimitExceeded`, `DataError` for a link that the policy refuses, and
    `IOFailure` when a directory cannot be read.
    """

    def __init__(
        self, tree: Tree, rules: Rules, note: Note, check: Callable[[], None] = lambda: None
    ) -> None:
        self.files = 0
        self.excluded = 0
        self._tree = tree
        self._rules = rules
        self._note = note
        self._check = check
        self._pending = PendingDirectories(rules.spill_dir)
        self._device = -1
        #: Files after which the limit is looked at.
        self._near = rules.max_files or sys.maxsize
        if rules.max_files >= _NEAR_FROM:
            self._near = int(rules.max_files * _NEAR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was still to be walked."""
        self._pending.close()

    def __iter__(self) -> Iterator[Found]:
        self._pending.push(Pending(b"", b""))
        while self._pending:
            self._check()
            directory = self._pending.pop()
            try:
                yield from self._enter(directory)
            except OSError as error:
                raise IOFailure(
                    f"directory {printable(directory.name) or '.'!r} of the source cannot be read: "
                    f"{error.strerror}; check the source's filesystem"
                ) from error

    def _enter(self, directory: Pending) -> Iterator[Found]:
        place = split(directory.place)
        fd = self._open(directory.name, place)
        if fd is None:
            yield from self._closed(directory.name, place)
            return
        found = os.fstat(fd)
        yield Found(What.DIRECTORY, directory.name, found, fd)
        if self.elsewhere(found):
            self._note("MOUNT_POINT_SKIPPED", directory.name, "another filesystem is mounted here")
            return
        with _own_description(fd, place) as own, os.scandir(own) as entries:
            yield from self._read(entries, directory, place, fd)

    def _read(
        self,
        entries: Iterator[os.DirEntry[str]],
        directory: Pending,
        place: Components,
        fd: int,
    ) -> Iterator[Found]:
        """Hand out the files of a directory and defer the directories in it."""
        prefix = directory.name + b"/" if directory.name else b""
        excluded, near = self._rules.excluded, self._near
        too_deep = 0 < self._rules.max_depth < len(split(directory.name)) + 1
        for entry in entries:
            leaf = entry.name.encode(_ENCODING, _ERRORS)
            name = prefix + leaf
            if excluded is not None and excluded(name, entry.is_dir(follow_symlinks=False)):
                self._leave_out()
                continue
            if too_deep:
                self._refuse("MAX_DEPTH", self._rules.max_depth, name)
            if entry.is_file(follow_symlinks=False):
                self.files += 1
                if self.files > near:
                    self._near_the_limit(name)
                # Calling the class runs a function of Python, which takes three times as long.
                yield tuple.__new__(Found, (_FILE, name, None, fd, leaf, b"", False))
            elif entry.is_dir(follow_symlinks=False):
                self._defer(directory, name, b"/".join((*place, leaf)))
            elif entry.is_symlink():
                yield from self._link(name, leaf, directory, fd)
            else:
                self._special(name, leaf, fd)

    def elsewhere(self, found: os.stat_result) -> bool:
        """Whether something is on a filesystem that the walk leaves out."""
        if not self._rules.one_file_system:
            return False
        if self._device < 0:
            self._device = found.st_dev  # the root, which is found first
        return found.st_dev != self._device

    def _open(self, name: bytes, place: Components) -> int | None:
        try:
            return self._tree.enter(place)
        except OSError as error:
            if not note_missed(self._note, name, error):
                raise
            return None

    def _closed(self, name: bytes, place: Components) -> Iterator[Found]:
        """Find a directory that cannot be read but is there: it is kept, empty."""
        try:
            parent = self._tree.enter(place[:-1])
            found = os.stat(place[-1], dir_fd=parent, follow_symlinks=False)
        except (OSError, IndexError):
            return  # it was noted when it could not be opened
        if stat.S_ISDIR(found.st_mode):
            yield Found(What.DIRECTORY, name, found)

    def _link(self, name: bytes, leaf: bytes, directory: Pending, fd: int) -> Iterator[Found]:
        try:
            text = os.readlink(leaf, dir_fd=fd)
            found = os.stat(leaf, dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            if note_missed(self._note, name, error):
                return
            raise
        verdict = self._rules.links.decide(split(directory.place), leaf, text)
        if verdict.code is not None:
            self._note(verdict.code, name, verdict.message)
        if verdict.text is not None:
            yield self._count(Found(What.LINK, name, found, fd, leaf, verdict.text))
        elif verdict.place is not None:
            yield from self._follow(name, directory, verdict.place)

    def _follow(self, name: bytes, directory: Pending, place: Components) -> Iterator[Found]:
        try:
            found = self._rules.links.stat(place)
        except OSError:
            self._note("SYMLINK_SKIPPED", name, "leads to nothing that can be reached")
            return
        if stat.S_ISDIR(found.st_mode):
            self._defer_followed(directory, name, b"/".join(place))
        elif stat.S_ISREG(found.st_mode) and place:
            parent = self._rules.links.directory(place)
            yield self._count(Found(_FILE, name, None, parent, place[-1], followed=True))
        else:
            self._note("SYMLINK_SKIPPED", name, "leads in circles, or to a special file")

    def _defer(self, directory: Pending, name: bytes, place: bytes) -> None:
        # Without followed links no directory can stand in itself.
        if self._rules.links.follows and directory.stands_in(place):
            self._note("SYMLINK_SKIPPED", name, "leads back to a directory above it")
        else:
            self._pending.push(Pending(name, place, directory.landing, directory.trail))

    def _defer_followed(self, directory: Pending, name: bytes, place: bytes) -> None:
        if directory.stands_in(place):
            self._note("SYMLINK_SKIPPED", name, "leads back to a directory above it")
        else:
            trail = (*directory.trail, (directory.landing, directory.place))
            self._pending.push(Pending(name, place, place, trail))

    def _special(self, name: bytes, leaf: bytes, fd: int) -> None:
        try:
            mode = os.stat(leaf, dir_fd=fd, follow_symlinks=False).st_mode
        except OSError as error:
            if note_missed(self._note, name, error):
                return
            raise
        kind = "socket" if stat.S_ISSOCK(mode) else "fifo" if stat.S_ISFIFO(mode) else "device"
        self._note("SPECIAL_FILE_SKIPPED", name, f"{kind} left out: it has no content to keep")

    def _leave_out(self) -> None:
        self.excluded += 1
        if self.excluded % _CHECK_EVERY == 0:
            self._check()

    def _count(self, found: Found) -> Found:
        self.files += 1
        if self.files > self._near:
            self._near_the_limit(found.name)
        return found

    def _near_the_limit(self, name: bytes) -> None:
        limit = self._rules.max_files
        if self.files > limit:
            self._refuse("MAX_FILES", limit, name)
        if self.files == self._near + 1:
            message = f"the source has {self.files} files, and BAQUP_SOURCE_MAX_FILES={limit}"
            self._note("RESOURCE_LIMIT_APPROACHING", name, message)

    def _refuse(self, variable: str, limit: int, name: bytes) -> None:
        message = (
            f"the source exceeds BAQUP_SOURCE_{variable}={limit} at {printable(name)!r}; "
            "raise the limit, or exclude what does not belong to the backup"
        )
        self._note("RESOURCE_LIMIT_EXCEEDED", name, message)
        raise LimitExceeded(message)


@contextmanager
def _own_description(fd: int, place: Components) -> Iterator[int]:
    """Give a descriptor of a directory whose entries nobody else reads.

    Descriptors that were duplicated share the place in a directory up to which its entries were
    read. That of the root comes from outside, and two walks that shared it would each find what the
    other has left.
    """
    if place:
        yield fd
        return
    own = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        yield own
    finally:
        os.close(own)
