"""A tree around a target that must not change, whatever is extracted into the target."""

from __future__ import annotations

import os
from pathlib import Path

from tests.trees import picture


class Sentinel:
    """The tree: files, links and directories beside and above the target.

    Args:
        base: an empty directory.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.target = base / "target"
        outside = base / "outside"
        outside.mkdir()
        (outside / "victim").write_bytes(b"untouched")
        (outside / "d").mkdir(mode=0o700)
        (outside / "l").symlink_to("victim")
        for path in (outside / "victim", outside / "d", outside):
            os.utime(path, ns=(1, 1))
        self.target.mkdir()
        os.utime(base, ns=(2, 2))
        self._before = self._look()

    def check(self) -> None:
        """Fail if anything but the target changed."""
        assert self._look() == self._before

    def _look(self) -> object:
        outside = self.base / "outside"
        links = {path.name: path.lstat().st_nlink for path in outside.iterdir()}
        beside = sorted(path.name for path in self.base.iterdir())
        return picture(outside), links, beside, self.base.stat().st_mtime_ns
