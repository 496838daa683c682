"""Directory trees for tests: making them, and comparing them to the last bit of metadata."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple


class Thing(NamedTuple):
    """All that a backup must keep of one thing in a tree."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    content: bytes
    first_name: bytes


def picture(root: Path) -> dict[bytes, Thing]:
    """Return every thing of a tree by its path; the root is ``b'.'``."""
    names: dict[tuple[int, int], bytes] = {}
    things: dict[bytes, Thing] = {}
    start = os.fsencode(root)
    for name in sorted(_names(start)):
        path = os.path.join(start, name)
        found = os.lstat(path)
        first = names.setdefault((found.st_dev, found.st_ino), name)
        things[name] = Thing(
            kind=_kind(found.st_mode),
            mode=stat.S_IMODE(found.st_mode),
            owner=(found.st_uid, found.st_gid),
            mtime_ns=found.st_mtime_ns,
            content=_content(path, found.st_mode),
            first_name=first,
        )
    return things


def _names(start: bytes) -> list[bytes]:
    names = [b"."]
    for folder, folders, files in os.walk(start):
        names += [os.path.relpath(os.path.join(folder, leaf), start) for leaf in folders + files]
    return names


def _kind(mode: int) -> str:
    return {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}[
        stat.S_IFMT(mode)
    ]


def _content(path: bytes, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    if stat.S_ISREG(mode):
        with open(path, "rb") as file:
            return file.read()
    return b""
