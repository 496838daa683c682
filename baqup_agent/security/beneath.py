"""Directories reached from a root by descriptors alone, never through a link (Contract §7).

Checking a path's text, or what it resolves to, and opening it afterwards leaves a gap in which
somebody can put a symbolic link in the way. Here a single component is opened relative to the
directory before it and with ``O_NOFOLLOW``, several at once by the kernel's ``openat2``, and where
that is refused one after the other: what is reached lies beneath the root, or nothing is reached.
Names are raw bytes; a path is a tuple of its components, the root the empty tuple.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

from baqup_agent.security import openat2

Components = tuple[bytes, ...]

#: Descriptors that one tree keeps open beside its root; deeper paths cost repeated opening.
_KEPT = 64

#: Links that one resolution passes before it is taken for a loop, the kernel's own number.
_MAX_LINKS = 40

#: What readlink says of a name that is no link, or that does not or cannot exist.
_NO_LINK = frozenset({errno.EINVAL, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Tree:
    """The directories beneath a root.

    Args:
        root: descriptor of the root directory; it stays the caller's to close.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._names: list[bytes] = []
        #: One for each name; None for those closed to stay within `_KEPT`.
        self._fds: list[int | None] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def enter(self, path: Sequence[bytes]) -> int:
        """Return a descriptor of the directory ``path``, valid until the next call.

        Raises:
            OSError: a component is missing (ENOENT), is a link or no directory (ENOTDIR, ELOOP),
                or is ``..`` (EXDEV).
            ValueError: a component has a zero byte.
        """
        common = 0
        for ours, theirs in zip(self._names, path, strict=False):
            if ours != theirs:
                break
            common += 1
        self._leave(common)
        if missing := path[common:]:
            fd = open_beneath(self._top(), missing)
            for name in missing[:-1]:
                self._push(name, None)
            self._push(missing[-1], fd)
        return self._top()

    def close(self) -> None:
        """Close every descriptor but the root's."""
        self._leave(0)

    def _leave(self, keep: int) -> None:
        while len(self._fds) > keep:
            self._names.pop()
            fd = self._fds.pop()
            if fd is not None:
                os.close(fd)

    def _push(self, name: bytes, fd: int | None) -> None:
        self._names.append(name)
        self._fds.append(fd)
        if len(self._fds) > _KEPT:
            oldest = self._fds[-1 - _KEPT]
            self._fds[-1 - _KEPT] = None
            if oldest is not None:
                os.close(oldest)

    def _top(self) -> int:
        if not self._fds:
            return self._root
        fd = self._fds[-1]
        if fd is None:
            fd = self._fds[-1] = open_beneath(self._root, self._names)
        return fd


def open_beneath(start: int, path: Sequence[bytes]) -> int:
    """Open the directory ``path``, at least one component, beneath another one.

    Returns:
        Its descriptor, the caller's to close.

    Raises:
        OSError: a component is missing (ENOENT), is a link or no directory (ENOTDIR, ELOOP), or is
            ``..`` (EXDEV).
        ValueError: a component has a zero byte.
    """
    if b".." in path:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), "..")
    if len(path) > 1 and openat2.available():
        return _jump(start, path)
    return _walk(start, path)


def _jump(start: int, path: Sequence[bytes]) -> int:
    """Let the kernel go the whole way, in as few stretches as it takes."""
    text = b"/".join(path)
    half = len(path) // 2
    if not half or openat2.fits(text):
        return openat2.open_directory(start, text)
    middle = _jump(start, path[:half])
    try:
        return _jump(middle, path[half:])
    finally:
        os.close(middle)


def _walk(start: int, path: Sequence[bytes]) -> int:
    """Go one component after the other."""
    fd = start
    for name in path:
        try:
            deeper = os.open(name, _DIRECTORY, dir_fd=fd)
        finally:
            if fd != start:
                os.close(fd)
        fd = deeper
    return fd


class Resolution(NamedTuple):
    """Where a link's text leads.

    Attributes:
        place: the path it ends at, free of links; None when it leaves the root, when it meets
            an absolute text, or when it goes round in circles.
        links: how many other links were passed on the way.
    """

    place: Components | None
    links: int

    @property
    def circular(self) -> bool:
        """Whether it goes round in circles."""
        return self.links > _MAX_LINKS


def resolve(tree: Tree, directory: Components, text: bytes) -> Resolution:
    """Follow a link's text as the kernel would, but only beneath the root.

    What does not exist is taken by its text, so that a dangling link has a place too.

    Args:
        tree: the root.
        directory: where the link stands; real directories only.
        text: what the link says.

    Raises:
        OSError: a directory on the way cannot be read.
    """
    at = list(directory)
    todo = deque(text.split(b"/"))
    links = 0
    outside = text.startswith(b"/")
    while todo and not outside:
        part = todo.popleft()
        if part in {b"", b"."}:
            continue
        if part == b"..":
            outside = not at
            del at[-1:]
            continue
        target = _readlink(tree, at, part)
        if target is None:
            at.append(part)
            continue
        links += 1
        outside = target.startswith(b"/") or links > _MAX_LINKS
        todo.extendleft(reversed(target.split(b"/")))
    return Resolution(None if outside else tuple(at), links)


def climbs_back(text: bytes) -> bool:
    """Whether a relative text goes up again after a name, as ``a/../b`` does.

    Where such a text leads depends on whether the names before ``..`` are links; a text without
    it starts in a real directory, climbs by a known count and only descends from there.
    """
    named = False
    for part in text.split(b"/"):
        if part == b".." and named:
            return True
        named = named or part not in {b"", b".", b".."}
    return False


def climb(text: bytes) -> int:
    """Count the leading ``..`` of a relative text."""
    count = 0
    for part in text.split(b"/"):
        if part == b"..":
            count += 1
        elif part not in {b"", b"."}:
            break
    return count


def _readlink(tree: Tree, directory: list[bytes], name: bytes) -> bytes | None:
    """Return a link's text; None for what is no link or does not exist."""
    try:
        return os.readlink(name, dir_fd=tree.enter(directory))
    except OSError as error:
        if error.errno in _NO_LINK:
            return None
        raise
