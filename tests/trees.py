"""Directory trees for tests: making them, and comparing them to the last bit of metadata."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
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
    for path in sorted(_paths(root)):
        name = os.fsencode(path.relative_to(root))
        found = path.lstat()
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


def _paths(root: Path) -> Iterator[Path]:
    yield root
    for folder, folders, files in os.walk(root):
        yield from (Path(folder, leaf) for leaf in folders + files)


def _kind(mode: int) -> str:
    return {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}[
        stat.S_IFMT(mode)
    ]


def _content(path: Path, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return os.fsencode(os.readlink(path))  # noqa: PTH115  a Path would tidy the text
    return path.read_bytes() if stat.S_ISREG(mode) else b""
