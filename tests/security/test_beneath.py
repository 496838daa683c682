"""Directories beneath a root, and where links lead: held against the kernel's own answer."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baqup_agent.security.beneath import Tree, climb, climbs_back, resolve
from baqup_agent.security.member import printable


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """A root with a directory, a file and links in it."""
    base = tmp_path / "tree"
    (base / "a" / "b").mkdir(parents=True)
    (base / "file").touch()
    (base / "link").symlink_to("a")
    (base / "out").symlink_to("..")
    (base / "far").symlink_to("/a")
    fd = os.open(base, os.O_RDONLY)
    yield fd
    os.close(fd)


def place_of(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}").readlink()


def test_a_directory_is_reached_again_and_again(root: int, tmp_path: Path) -> None:
    """The same tree goes up, down and sideways."""
    base = tmp_path / "tree"
    with Tree(root) as tree:
        for path in ((), (b"a",), (b"a", b"b"), (), (b"a", b"b"), (b"a",)):
            found = place_of(tree.enter(path))

            assert found == base.joinpath(*map(os.fsdecode, path))


@pytest.mark.parametrize(
    "path", [(b"link",), (b"link", b"b"), (b"out",), (b"file",), (b"a", b"nothing"), (b"gone",)]
)
def test_what_is_no_directory_is_not_entered(root: int, path: tuple[bytes, ...]) -> None:
    """Links, files and what does not exist are refused, and the tree can be used afterwards."""
    with Tree(root) as tree:
        with pytest.raises(OSError):
            tree.enter(path)

        assert place_of(tree.enter((b"a", b"b"))).name == "b"


def test_deep_paths_take_few_descriptors(root: int, tmp_path: Path) -> None:
    """However deep the paths, only some descriptors are open, and none is left at the end."""
    place = tmp_path / "tree"
    for _ in range(200):
        place /= "d"
        place.mkdir()
    before = open_descriptors()
    with Tree(root) as tree:
        for depth in (200, 199, 150, 151, 10, 180, 1, 200):
            found = place_of(tree.enter([b"d"] * depth))

            assert len(found.relative_to(tmp_path / "tree").parts) == depth
            assert open_descriptors() <= before + 66
    assert open_descriptors() == before


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_directory_that_is_replaced_is_not_entered_again(root: int, tmp_path: Path) -> None:
    """A link that takes a directory's place is refused once the directory was left."""
    with Tree(root) as tree:
        tree.enter((b"a", b"b"))
        tree.enter(())
        (tmp_path / "tree" / "a").rename(tmp_path / "elsewhere")
        (tmp_path / "tree" / "a").symlink_to("../elsewhere")

        with pytest.raises(OSError) as caught:
            tree.enter((b"a", b"b"))
    assert caught.value.errno in {errno.ENOTDIR, errno.ELOOP}


@pytest.mark.parametrize(
    ("text", "place", "links"),
    [
        (b"a/b", (b"a", b"b"), 0),
        (b"./a//b/", (b"a", b"b"), 0),
        (b"link/b", (b"a", b"b"), 1),
        (b"link/../file", (b"file",), 1),
        (b"nothing/at/all", (b"nothing", b"at", b"all"), 0),
        (b"a/..", (), 0),
        (b"..", None, 0),
        (b"a/../..", None, 0),
        (b"out/tree/a", None, 1),
        (b"far", None, 1),
        (b"far/b", None, 1),
        (b"/a", None, 0),
        (b"n" * 300, (b"n" * 300,), 0),
    ],
)
def test_a_text_leads_to_a_place(
    root: int, text: bytes, place: tuple[bytes, ...] | None, links: int
) -> None:
    """Texts lead to places beneath the root, or out of it, and the links on the way are counted."""
    with Tree(root) as tree:
        found = resolve(tree, (), text)

    assert (found.place, found.links) == (place, links)
    assert not found.circular


def test_circles_end(root: int, tmp_path: Path) -> None:
    """Links that lead to each other are told as that."""
    (tmp_path / "tree" / "one").symlink_to("two")
    (tmp_path / "tree" / "two").symlink_to("one")
    with Tree(root) as tree:
        found = resolve(tree, (), b"one/x")

    assert found.place is None
    assert found.circular


@pytest.mark.parametrize(
    ("text", "count", "back"),
    [
        (b"a", 0, False),
        (b"..", 1, False),
        (b"./.././/../a", 2, False),
        (b"../a/..", 1, True),
        (b"a/../b", 0, True),
        (b"a/./..", 0, True),
        (b"..a/b..", 0, False),
        (b"", 0, False),
    ],
)
def test_the_shape_of_a_text_is_seen(text: bytes, count: int, *, back: bool) -> None:
    """How far a text climbs at its start, and whether it climbs again later."""
    assert climb(text) == count
    assert climbs_back(text) == back


parts = st.sampled_from(["a", "b", "c", "..", ".", "", "f"])
texts = st.lists(parts, min_size=1, max_size=6).map("/".join).filter(bool)
spots = st.sampled_from(["a", "b", "c", "a/a", "a/b", "a/c", "b/a", "b/b", "a/a/a", "a/a/b"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    folders=st.lists(st.sampled_from(["a", "b", "a/a", "a/b", "a/a/a"]), max_size=5),
    web=st.dictionaries(spots, texts, max_size=8),
    text=texts,
    start=st.sampled_from(["", "a", "a/a"]),
)
def test_places_are_where_the_kernel_goes(
    folders: list[str],
    web: dict[str, str],
    text: str,
    start: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Where the kernel reaches something, the place is the same; a place is never outside."""
    base = tmp_path_factory.mktemp("web") / "tree"
    base.mkdir()
    for folder in folders:
        (base / folder).mkdir(parents=True, exist_ok=True)
    for spot, said in web.items():
        if (base / spot).parent.is_dir() and not os.path.lexists(base / spot):
            (base / spot).symlink_to(said)
    if (base / start).is_symlink() or not (base / start).is_dir():
        return
    root = os.open(base, os.O_RDONLY)
    try:
        with Tree(root) as tree:
            directory = tuple(os.fsencode(part) for part in Path(start).parts)
            if (base / start).resolve() != base / start:
                return
            found = resolve(tree, directory, os.fsencode(text))
    finally:
        os.close(root)

    answer = kernels_answer(base / start, text)
    if found.place is not None and answer is not None:
        assert answer == base.joinpath(*map(os.fsdecode, found.place))
    if found.circular:
        assert answer is None
    if answer is not None and not answer.is_relative_to(base):
        assert found.place is None


def kernels_answer(start: Path, text: str) -> Path | None:
    try:
        fd = os.open(f"{start}/{text}", os.O_PATH)
    except OSError:
        return None
    try:
        return Path(f"/proc/self/fd/{fd}").readlink()
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain", "plain"),
        ("größe".encode(), "größe"),
        (b"\xff\xfe", r"\xff\xfe"),
        (b"new\nline\x1b[31m", r"new\nline\x1b[31m"),
        ("\u202e\u2028".encode(), r"\u202e\u2028"),
    ],
)
def test_names_are_printed_on_one_line(name: bytes, text: str) -> None:
    """Names in messages are text on one line, whatever bytes they have."""
    assert printable(name) == text
