"""Directories swapped for links by another process while an archive is written."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from baqup_agent.errors import BaqupError
from baqup_agent.security import openat2
from baqup_agent.security.extraction import extract
from baqup_agent.security.member import Member
from tests.security import swapper
from tests.security.hostile import END, file, folder, hardlink, symlink
from tests.security.sentinel import Sentinel


class Deaf:
    """Is told of everything and does nothing."""

    def member(self, member: Member, /) -> None:
        """Ignore it."""

    def data(self, count: int, /) -> None:
        """Ignore it."""

    def note(self, code: str, name: bytes, message: str, /) -> None:
        """Ignore it."""


class Swaps:
    """A running swapper."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.count = 0

    def stop(self) -> None:
        """Ask it to stop and for its count."""
        out, _ = self._process.communicate(timeout=60)
        self.count = int(out)


@contextmanager
def swapping(target: Path, outside: Path) -> Iterator[Swaps]:
    argv = [sys.executable, swapper.__file__, str(target), str(outside)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        swaps = Swaps(process)
        yield swaps
        swaps.stop()


def archive(number: int) -> bytes:
    """Directories, and files that go to one and the other of them in turn."""
    base = b"r%d" % number
    parts = [folder(base), folder(base + b"/d"), folder(base + b"/d/e"), folder(base + b"/z")]
    for each in range(12):
        parts.append(file(base + b"/d/e/f%d" % each, b"content"))
        parts.append(file(base + b"/z/f%d" % each, b"content"))
        parts.append(symlink(base + b"/d/l%d" % each, b"e"))
        parts.append(hardlink(base + b"/d/h%d" % each, base + b"/d/e/f%d" % each))
    return b"".join(parts) + END


@pytest.mark.timeout(400)
@pytest.mark.parametrize("way", ["openat2", "walk"])
def test_nothing_gets_out_while_directories_are_swapped(
    way: str, long: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often directories become links to outside meanwhile, nothing is written there."""
    if way == "walk":
        monkeypatch.setattr(openat2, "available", lambda: False)
    elif not openat2.available():
        pytest.skip("the kernel refuses openat2")
    sentinel = Sentinel(tmp_path)
    written = refused = 0
    rounds = 10_000 if long else 30
    root = os.open(sentinel.target, os.O_RDONLY)
    deadline_s = time.monotonic() + 300
    try:
        with swapping(sentinel.target, tmp_path / "outside") as swaps:
            while written + refused < rounds or not (written and refused):
                assert time.monotonic() < deadline_s
                source = io.BytesIO(archive(written + refused))
                try:
                    extract(source, root, Deaf(), owners=False)
                    written += 1
                except BaqupError:
                    refused += 1
    finally:
        os.close(root)

    print(f"{swaps.count} swaps, {written} archives written, {refused} refused")
    sentinel.check()
    assert swaps.count >= (20_000 if long else 10)
