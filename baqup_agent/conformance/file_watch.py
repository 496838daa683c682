"""What happens below a directory, told by the kernel (inotify)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from pathlib import Path

from baqup_agent.conformance.verdicts import CannotJudge

_IN_CLOSE_WRITE = 0x8
_IN_MOVED_FROM = 0x40
_IN_MOVED_TO = 0x80
_IN_CREATE = 0x100
_IN_DELETE = 0x200
_IN_Q_OVERFLOW = 0x4000
_IN_ISDIR = 0x40000000

_WORDS = {
    _IN_CREATE: "created",
    _IN_CLOSE_WRITE: "written",
    _IN_MOVED_FROM: "moved away",
    _IN_MOVED_TO: "moved here",
    _IN_DELETE: "deleted",
}
_WANTED = _IN_CREATE | _IN_CLOSE_WRITE | _IN_MOVED_FROM | _IN_MOVED_TO | _IN_DELETE

_HEAD = struct.Struct("iIII")
_BUFFER = 65536

#: Directories that are watched at most: an agent's staging has three.
_MAX_WATCHES = 256

#: What happened, and the path below the root.
Change = tuple[str, str]


class FileWatch:
    """Watches a directory and what is made below it.

    Args:
        root: an existing directory.

    Raises:
        CannotJudge: the kernel grants no watch.
    """

    def __init__(self, root: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise CannotJudge(
                f"files cannot be watched: {os.strerror(ctypes.get_errno())}; "
                "run fewer checks at once (--jobs)"
            )
        self._root = root
        self._directories: dict[int, Path] = {}
        self._add(root)

    def close(self) -> None:
        """End it."""
        os.close(self.descriptor)

    def changes(self) -> list[Change]:
        """Return what happened since the last call, without waiting."""
        found: list[Change] = []
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.descriptor, _BUFFER):
                found += self._parse(data)
        return found

    def _parse(self, data: bytes) -> list[Change]:
        found: list[Change] = []
        offset = 0
        while offset < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, offset)
            name = data[offset + _HEAD.size : offset + _HEAD.size + length].rstrip(b"\0")
            offset += _HEAD.size + length
            if mask & _IN_Q_OVERFLOW:
                found.append(("lost sight of", "."))
            elif watch in self._directories:
                found += self._change(self._directories[watch] / os.fsdecode(name), mask)
        return found

    def _change(self, path: Path, mask: int) -> list[Change]:
        word = next((word for bit, word in _WORDS.items() if mask & bit), None)
        found = [(word, str(path.relative_to(self._root)))] if word else []
        if mask & _IN_ISDIR and mask & (_IN_CREATE | _IN_MOVED_TO):
            found += self._add(path)
        return found

    def _add(self, directory: Path) -> list[Change]:
        """Watch a directory; what came to be in it before that counts as created."""
        if len(self._directories) >= _MAX_WATCHES:
            return []
        watch = self._libc.inotify_add_watch(self.descriptor, os.fsencode(directory), _WANTED)
        if watch < 0:
            return []  # it is gone already
        self._directories[watch] = directory
        found: list[Change] = []
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                path = Path(entry.path)
                found.append(("created", str(path.relative_to(self._root))))
                if entry.is_dir(follow_symlinks=False):
                    found += self._add(path)
        return found
