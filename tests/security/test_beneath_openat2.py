"""The kernel's own way to a directory beneath another, and the way on foot: one and the same."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from baqup_agent.security import openat2
from baqup_agent.security.beneath import open_beneath


@pytest.fixture(params=["openat2", "walk"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """A root with a directory, a file and links in it, and one of the two ways into it."""
    if request.param == "walk":
        monkeypatch.setattr(openat2, "available", lambda: False)
    elif not openat2.available():
        pytest.skip("the kernel refuses openat2")
    base = tmp_path / "tree"
    (base / "a" / "b" / "c").mkdir(parents=True)
    (base / "file").touch()
    (base / "link").symlink_to("a")
    (base / "a" / "out").symlink_to("../..")
    (base / "a" / "magic").symlink_to("/proc/self/root")
    fd = os.open(base, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("path", [(b"a",), (b"a", b"b"), (b"a", b"b", b"c")])
def test_a_directory_is_opened(root: int, path: tuple[bytes, ...]) -> None:
    """Real directories are opened at any depth, for reading and not for children to inherit."""
    fd = open_beneath(root, path)
    try:
        there = Path(f"/proc/self/fd/{fd}").readlink()
        assert os.fsencode(there).endswith(b"/tree/" + b"/".join(path))
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ((b"link",), {errno.ENOTDIR, errno.ELOOP}),
        ((b"link", b"b"), {errno.ENOTDIR, errno.ELOOP}),
        ((b"a", b"out"), {errno.ENOTDIR, errno.ELOOP}),
        ((b"a", b"out", b"tree"), {errno.ENOTDIR, errno.ELOOP}),
        ((b"a", b"magic", b"etc"), {errno.ENOTDIR, errno.ELOOP}),
        ((b"file",), {errno.ENOTDIR}),
        ((b"a", b"..", b"..", b"tree"), {errno.EXDEV}),
        ((b"..",), {errno.EXDEV}),
        ((b"a", b"nothing", b"b"), {errno.ENOENT}),
        ((b"a", b"n" * 300), {errno.ENAMETOOLONG}),
        ((b"n" * 5000, b"a"), {errno.ENAMETOOLONG}),
    ],
)
def test_nothing_else_is(root: int, path: tuple[bytes, ...], codes: set[int]) -> None:
    """Links, files, ways out and what is missing are refused, and no descriptor is left open."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  names, not paths

    with pytest.raises(OSError) as caught:
        open_beneath(root, path)

    assert caught.value.errno in codes
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_zero_byte_ends_no_name(root: int) -> None:
    """A name is not taken for what stands before its zero byte."""
    with pytest.raises(ValueError, match="null"):
        open_beneath(root, (b"a", b"b\0c"))


def test_paths_longer_than_the_system_takes_at_once_are_opened(root: int) -> None:
    """Forty levels of names of 200 bytes are reached from the root."""
    name, fd = b"d" * 200, os.dup(root)
    for _ in range(40):
        os.mkdir(name, dir_fd=fd)
        deeper = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    wanted = os.fstat(fd)
    os.close(fd)

    fd = open_beneath(root, [name] * 40)
    found = os.fstat(fd)
    os.close(fd)
    assert os.path.samestat(found, wanted)


def test_a_refused_call_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a sandbox answers that there is no such call, or that it is forbidden, we walk."""
    for code in (errno.ENOSYS, errno.EPERM):
        calls = []

        def refuse(start: int, path: bytes, code: int = code) -> int:
            calls.append(path)  # noqa: B023  called before the next turn
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(openat2, "_call", lambda refuse=refuse: refuse)
        openat2.available.cache_clear()
        try:
            assert not openat2.available()
            assert not openat2.available()
        finally:
            openat2.available.cache_clear()
        assert len(calls) == 1


def test_a_walk_that_was_disturbed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the kernel gives up because names moved meanwhile, it is asked again, not for ever."""
    answers = [errno.EAGAIN, errno.EAGAIN, 7]

    def call(_start: int, _path: bytes) -> int:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer == errno.EAGAIN:
            raise OSError(answer, "moved")
        return answer

    monkeypatch.setattr(openat2, "_call", lambda: call)
    assert openat2.open_directory(3, b"a/b") == 7

    answers[:] = [errno.EAGAIN]
    with pytest.raises(BlockingIOError):
        openat2.open_directory(3, b"a/b")
