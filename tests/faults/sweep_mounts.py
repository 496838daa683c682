"""Filesystems of a test's own, gone at its end whatever happened; root's alone to make."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import eventually

#: ``EXT4_IOC_SHUTDOWN``, and its flag that drops what the journal has not on the disk yet.
_SHUTDOWN, _WITHOUT_FLUSH = 0x8004587D, 2


def _ran(*command: str | Path) -> str:
    """Run a command; return what went wrong, nothing if it went well."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"{command[0]} is not installed"
    return (done.stderr.strip() or "it failed") if done.returncode else ""


@contextmanager
def mounted(target: Path, *arguments: str | Path) -> Iterator[Path]:
    """Mount something for the length of a block; the test is skipped where that is refused."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    target.mkdir(parents=True, exist_ok=True)
    if trouble := _ran("mount", *arguments, target):
        pytest.skip(f"mounting is not permitted here: {trouble}")
    try:
        yield target
    finally:
        _unmount(target)


def _unmount(target: Path) -> None:
    """Unmount, waiting for whoever looks into it just now; in the end without their consent."""
    try:
        eventually(lambda: _ran("umount", target) == "", within_s=30)
    except AssertionError:
        _ran("umount", "--lazy", target)
        raise


@contextmanager
def memory(target: Path, options: str) -> Iterator[Path]:
    """Mount a ``tmpfs``, the options of which bound it."""
    with mounted(target, "-t", "tmpfs", "-o", options, "tmpfs"):
        yield target


def make_read_only(target: Path) -> None:
    """Remount a filesystem so that nothing can be written to it any more."""
    assert _ran("mount", "-o", "remount,ro", target) == ""


class Disk:
    """A filesystem with a journal in a file, from which the power can be taken.

    Args:
        image: the file that holds it.
        target: where it is mounted.
        size_bytes: its size.
    """

    #: Seconds after which the kernel would write by itself; far longer than any test.
    _COMMIT_S = 300

    def __init__(self, image: Path, target: Path, size_bytes: int = 64 << 20) -> None:
        self._image = image
        self._target = target
        with image.open("wb") as file:
            file.truncate(size_bytes)
        if trouble := _ran("mkfs.ext4", "-q", "-F", image):
            pytest.skip(f"no filesystem can be made here: {trouble}")

    @contextmanager
    def powered(self) -> Iterator[Path]:
        """Mount it for the length of a block; what a power cut left is recovered before."""
        options = f"loop,commit={self._COMMIT_S}"
        with mounted(self._target, "-t", "ext4", "-o", options, self._image):
            yield self._target
        # A second mount of a device that is still in use would show the first one's state.
        eventually(lambda: not self._in_use(), within_s=30)

    def _in_use(self) -> bool:
        listed = subprocess.run(
            ["losetup", "--associated", self._image], capture_output=True, check=True
        )
        return bool(listed.stdout)

    def cut(self) -> None:
        """Take the power: what is not on the disk now never will be."""
        import fcntl
        import struct

        fd = os.open(self._target, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
        finally:
            os.close(fd)
